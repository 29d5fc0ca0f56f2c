"""Print findings: line by line for a reader, or as one JSON document for a script.

The document has these keys, and will keep them:

``ok``        whether nothing failed: the exit status is 0
``counts``    the number of findings by outcome: ``ok``, ``warn``, ``fail``, ``not_tried``
``findings``  in the order in which they were made, each with

  ``what``       configuration, proxy, name, connection, certificate, clock, secrets, key,
                 disk_usage, files or demand
  ``account``    its name; null for what belongs to no account
  ``path``, ``file_type``   of ``files``; null for everything else
  ``outcome``    one of those that are counted
  ``detail``     a few words for a reader
  ``advice``     the next step, or null
  ``reason``     of a failure: as the label ``reason`` of the metrics, or null
  ``facts``      what was seen, by ``what``; empty where a step failed, but for
                 ``key``:

    name         ``host``, ``addresses``
    connection   ``address``, ``port``, ``seconds``, ``failed_addresses``
    certificate  ``expires`` (RFC 3339), ``days_left``; both null where there is none
    clock        ``skew_seconds``: our clock minus ScaleEngine's
    key          ``command``: the one that the key was tried with
    disk_usage   ``cpu_users``, ``missing_cpu_users`` (asked for, without a row),
                 ``rejected_cpu_users`` (without a number, because of rejected rows),
                 ``rejected_rows`` (their number), ``newest_day`` (null: no day)
    files        ``files_in_first_answer``, ``folders_in_first_answer``, ``requests_estimated``
                 (1 is certain), ``requests_allowed`` (``api.max_requests_per_poll``),
                 ``file_types_found`` (only where there is no file of the type: other types that
                 were found; one that is configured for the path ends the search for more)
    demand       ``requests_per_hour_min``, ``requests_per_hour_max`` (null: not known),
                 ``requests_per_hour_allowed`` (null: no limit); the targets of an account that
                 were tried, at their intervals

With ``--full``, ``files`` has ``files`` and ``folders`` in place of the numbers of the first
response, and both ``files`` and ``disk_usage`` have what the whole poll cost: ``requests``,
``requests_allowed``, ``requests_per_hour`` (at the interval), ``seconds``, ``response_bytes``, and
``costliest_folders``: a list of objects with ``path``, ``requests`` and ``seconds``.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TextIO, TypeAlias

import click

from exporter.check.results import CheckResult, Outcome
from exporter.terminal import escape_unprintable, has_colours

Counts: TypeAlias = Mapping[Outcome, int]
Write: TypeAlias = Callable[[Iterable[CheckResult], TextIO], Counts]

_LOOKS: Final = {
    Outcome.OK: ("ok", "green"),
    Outcome.WARN: ("warn", "yellow"),
    Outcome.FAIL: ("FAIL", "red"),
}
_SUMMED: Final = {
    Outcome.OK: "ok",
    Outcome.WARN: "to be looked at",
    Outcome.FAIL: "failed",
    Outcome.NOT_TRIED: "not tried because of that",
}
_INDENT: Final = 6


def write_text(findings: Iterable[CheckResult], stream: TextIO) -> Counts:
    """Print a line for each finding, its next step below it, and a sum; return the counts.

    There are colours on a terminal only, and none where NO_COLOR is set. What was not tried is
    counted, not listed.
    """
    colours = has_colours(stream)
    counts: Counter[Outcome] = Counter()
    for result in findings:
        counts[result.outcome] += 1
        if result.outcome is Outcome.NOT_TRIED:
            continue
        label, colour = _LOOKS[result.outcome]
        line = escape_unprintable(f"{result.subject.title}: {result.detail}", stream)
        click.echo(click.style(label.ljust(_INDENT), fg=colour) + line, stream, color=colours)
        if result.advice:
            click.echo(" " * _INDENT + escape_unprintable(result.advice, stream), stream)
    parts = [f"{counts[outcome]} {said}" for outcome, said in _SUMMED.items() if counts[outcome]]
    click.echo(", ".join(parts), stream)
    return counts


def write_json(findings: Iterable[CheckResult], stream: TextIO) -> Counts:
    """Print the document described above when everything has been tried; return the counts."""
    found = tuple(findings)
    counts = Counter(result.outcome for result in found)
    document = {
        "ok": not counts[Outcome.FAIL],
        "counts": {str(outcome): counts[outcome] for outcome in Outcome},
        "findings": [_as_json(result) for result in found],
    }
    click.echo(json.dumps(document, indent=2), stream)
    return counts


WRITERS: Final[Mapping[str, Write]] = {"text": write_text, "json": write_json}
"""How to print, by the value of ``--output``."""


def _as_json(result: CheckResult) -> dict[str, object]:
    subject = result.subject
    return {
        "what": subject.what,
        "account": subject.account,
        "path": subject.path or None,
        "file_type": subject.file_type or None,
        "outcome": result.outcome,
        "detail": result.detail,
        "advice": result.advice,
        "reason": result.reason,
        "facts": dict(result.facts),
    }
