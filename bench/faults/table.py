"""The fault matrix as a table of plain text."""

from collections.abc import Iterator, Sequence
from typing import Final

from structlog.processors import LogfmtRenderer

from bench.faults.catalogue import Case
from bench.faults.trial import Outcome, When

_LEGEND: Final = """\
Each fault begins at the start or after good polls, and lasts until each target has finished a poll.
  usage     numbers of the disk usage meanwhile: good, the last good ones, or absent; and the reason
            in scaleengine_poll_failures_total, where scaleengine_poll_success is 0
  files     the same of the files
  up        scaleengine_up meanwhile
  requests  how many ScaleEngine got meanwhile
  back      seconds from the end of the fault until what it had spoiled was good again by itself
  wrong     publications with a number that was true at no moment of its poll
  log       the cause, from the first line of the log about it
"""
_RENDER: Final = LogfmtRenderer(key_order=("level", "msg", "result"), drop_missing=True)
_WIDTHS: Final = {
    "when": 16,
    "usage": 24,
    "files": 24,
    "up": 2,
    "requests": 8,
    "back": 5,
    "wrong": 5,
}


def heading(cases: Sequence[Case]) -> str:
    """Return what stands above the rows."""
    names = [name.ljust(width) for name, width in _WIDTHS.items()]
    return f"{_LEGEND}\n{'fault'.ljust(_width(cases))}  {'  '.join(names)}  log"


def row(outcome: Outcome, cases: Sequence[Case]) -> str:
    """Return the row of an outcome, and below it what is not as it must be."""
    name = outcome.case.name.ljust(_width(cases))
    if outcome.skipped:
        return f"{name}  {outcome.when.value.ljust(_WIDTHS['when'])}  not tried: {outcome.skipped}"
    cells = (
        outcome.when.value.ljust(_WIDTHS["when"]),
        outcome.usage.ljust(_WIDTHS["usage"]),
        outcome.files.ljust(_WIDTHS["files"]),
        outcome.up.rjust(_WIDTHS["up"]),
        str(outcome.requests).rjust(_WIDTHS["requests"]),
        ("never" if outcome.back is None else f"{outcome.back:.0f} s").rjust(_WIDTHS["back"]),
        str(outcome.wrong).rjust(_WIDTHS["wrong"]),
        outcome.log,
    )
    problems = [f"    NOT AS IT MUST BE: {problem}" for problem in outcome.problems]
    return "\n".join([f"{name}  {'  '.join(cells)}", *problems])


def log_of(outcome: Outcome, level: str) -> Iterator[str]:
    """Return a heading, and the lines of the log of this level (``info``, ``debug``) and above."""
    yield f"# {outcome.case.name}, {outcome.when.value}"
    for event in outcome.lines:
        fields = {"level": event["log_level"], "msg": event["event"], **event}
        del fields["log_level"], fields["event"]
        fields = {name: value for name, value in fields.items() if value is not None}
        if level == "debug" or fields["level"] != "debug":
            yield str(_RENDER(None, "", fields))
    yield ""


def summary(outcomes: Sequence[Outcome], seconds: float) -> str:
    """Return what all rows come to."""
    tried = [outcome for outcome in outcomes if not outcome.skipped]
    bad = [outcome for outcome in tried if outcome.problems]
    slowest = {
        when: max((outcome.back or 0.0 for outcome in tried if outcome.when is when), default=0.0)
        for when in When
    }
    return (
        f"\n{len(tried)} cases in {seconds:.0f} s, {len(outcomes) - len(tried)} not tried; "
        f"not as they must be: {len(bad)}\n"
        f"wrong numbers published: {sum(outcome.wrong for outcome in tried) or 'none'} "
        f"(in {sum(outcome.publications for outcome in tried)} publications)\n"
        + "\n".join(
            f"slowest to be good again, {when.value}: {slowest[when]:.0f} s" for when in When
        )
    )


def _width(cases: Sequence[Case]) -> int:
    return max(len(case.name) for case in cases)
