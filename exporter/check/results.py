"""The results of a check: what was tried, with which outcome, and what to do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeAlias

from exporter.check.file_type_search import OtherTypes
from exporter.check.poll_estimate import PollEstimate, estimate_poll
from exporter.polling.demand import DEMAND_ADVICE, HIGH_DEMAND_RATIO, HOUR
from exporter.polling.folder_progress import FolderProgress
from exporter.polling.follow_ups import accept_response, decide_next_step
from exporter.polling.snapshots import DiskUsageSnapshot, RejectedRows
from exporter.polling.target_poller import find_missing_users
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target
from exporter.polling.usage import REJECTED_ADVICE, name_users
from exporter.polling.walk_traits import WalkTraits
from exporter.scaleengine.errors import Reason, ScaleEngineError
from exporter.scaleengine.file_listing import Listing

_Scalar: TypeAlias = str | int | float | None
Fact: TypeAlias = _Scalar | Sequence[str] | Sequence[Mapping[str, _Scalar]]


class Outcome(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    """It works, but should be looked at."""
    FAIL = "fail"
    NOT_TRIED = "not_tried"
    """It was skipped, because something that it needs has failed."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What was checked: ``title`` for a reader, the rest for a script.

    ``path`` and ``file_type`` are "" where there is no path.
    """

    title: str
    what: str
    account: str | None = None
    path: str = ""
    file_type: str = ""


CONFIGURATION = Subject("configuration", "configuration")
PROXY = Subject("proxy", "proxy")
NAME = Subject("name", "name")
CONNECTION = Subject("connection", "connection")
CERTIFICATE = Subject("certificate", "certificate")
CLOCK = Subject("clock", "clock")


def build_secrets_subject(account: str) -> Subject:
    """Return the subject for reading the key and the secret of an account."""
    return Subject(f"{account} secrets", "secrets", account)


def build_key_subject(account: str, command: str) -> Subject:
    """Return the subject for the permission of a key to run a command."""
    return Subject(f"{account} key for {command}", "key", account)


def build_demand_subject(account: str) -> Subject:
    """Return the subject for the requests that an account needs, compared with its rate limit."""
    return Subject(f"{account} demand", "demand", account)


def build_target_subject(target: Target) -> Subject:
    """Return the subject for a target."""
    return Subject(str(target), target.collector, target.account, target.path, target.file_type)


@dataclass(frozen=True, slots=True)
class RequestRange:
    """The least and the most requests that a poll takes; ``high`` is None if unknown."""

    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of one check.

    ``detail`` is for a reader, ``facts`` has the same for a script. ``advice`` is the next step, or
    None. ``reason`` is the class of a failure. ``requests`` says how many requests a poll of the
    target takes; None if that is unknown.
    """

    subject: Subject
    outcome: Outcome
    detail: str
    advice: str | None = None
    reason: Reason | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)
    requests: RequestRange | None = None


def build_failure_result(
    subject: Subject, error: ScaleEngineError, facts: Mapping[str, Fact] | None = None
) -> CheckResult:
    """Build the result of a failed check from its error."""
    return CheckResult(subject, Outcome.FAIL, error.cause, error.advice, error.reason, facts or {})


def redact_result(result: CheckResult, redact: Callable[[str], str]) -> CheckResult:
    """Return the result without secrets, which ScaleEngine may have echoed."""
    facts = {name: _redact_fact(fact, redact) for name, fact in result.facts.items()}
    advice = None if result.advice is None else redact(result.advice)
    return replace(result, detail=redact(result.detail), advice=advice, facts=facts)


def _redact_fact(fact: Fact, redact: Callable[[str], str]) -> Fact:
    if fact is None or isinstance(fact, str | int | float):
        return _redact_scalar(fact, redact)
    texts = [redact(item) for item in fact if isinstance(item, str)]
    objects = [
        {name: _redact_scalar(value, redact) for name, value in item.items()}
        for item in fact
        if not isinstance(item, str)
    ]
    return objects or texts


def _redact_scalar(fact: _Scalar, redact: Callable[[str], str]) -> _Scalar:
    return redact(fact) if isinstance(fact, str) else fact


def build_disk_usage_result(target: DiskUsageTarget, usage: DiskUsageSnapshot) -> CheckResult:
    """Build the result for a disk usage: what a poll would publish, and what it would reject."""
    users = [user.cpu_user for user in usage.users]
    rejected_users = sorted(usage.rejected_users)
    missing = sorted(find_missing_users(target, usage))
    newest = max((user.day for user in usage.users), default=None)
    facts: dict[str, Fact] = {
        "cpu_users": users,
        "missing_cpu_users": missing,
        "rejected_cpu_users": rejected_users,
        "rejected_rows": sum(rows.count for rows in usage.rejected),
        "newest_day": newest.isoformat() if newest else None,
    }
    found = [f"{format_count(users, 'CPU user')} ({name_users(users)}), newest day {newest}"]
    if newest is None:
        found = [f"no CPU user {'with a number' if usage.rejected else 'in the last thirty days'}"]
    advice = []
    if usage.rejected:
        found += map(_describe_rejected, usage.rejected)
        advice.append(REJECTED_ADVICE)
    if missing:
        found.append(f"ScaleEngine has nothing of {name_users(missing)}")
        advice.append("check cpu_users")
    if newest is None and not advice:
        advice.append(
            f"check cdn of account {target.account!r}, or set disk_usage.enabled to false"
        )
    outcome = Outcome.WARN if advice else Outcome.OK
    next_step = "; ".join(advice) or None
    return CheckResult(
        build_target_subject(target), outcome, "; ".join(found), next_step, facts=facts
    )


def _describe_rejected(rows: RejectedRows) -> str:
    examples = ", ".join(f"({row})" for row in rows.examples)
    text = f"{format_count(rows.count, 'row')} rejected as {rows.fault}: {examples}"
    if not rows.cpu_users:
        return text
    return f"{text}, so there is no number of {name_users(rows.cpu_users)}"


def build_listing_result(
    target: FilesTarget, listing: Listing, requests_allowed: int
) -> CheckResult:
    """Build the result for the first response of a path: whether a poll takes more requests.

    Raises IncompleteError for a response with which a poll would fail, too.
    """
    seen = estimate_target_poll(target, listing)
    facts = {
        "files_in_first_answer": seen.files,
        "folders_in_first_answer": seen.folders,
        "requests_estimated": seen.requests,
        "requests_allowed": requests_allowed,
    }
    found = f"found {format_count(seen.files, 'file')} and {format_count(seen.folders, 'folder')}"
    if seen.requests == 1:
        detail = f"{found}; a full poll takes this one request"
        cost = RequestRange(1, 1)
        return CheckResult(
            build_target_subject(target), Outcome.OK, detail, facts=facts, requests=cost
        )
    detail = (
        f"{found} in the first response; a full poll takes more requests, use --full to count them"
    )
    cost = RequestRange(2, None)
    if seen.requests <= requests_allowed:
        return CheckResult(
            build_target_subject(target), Outcome.OK, detail, facts=facts, requests=cost
        )
    return CheckResult(
        build_target_subject(target),
        Outcome.WARN,
        f"{detail}; it may take about {seen.requests}, more than api.max_requests_per_poll "
        f"({requests_allowed}) allows",
        "raise api.max_requests_per_poll, or configure smaller paths",
        facts=facts,
        requests=cost,
    )


def build_empty_path_result(result: CheckResult, found: OtherTypes) -> CheckResult:
    """Return the result of a path without a file of its type as a warning.

    ``found`` are the other file types of which the path has files.
    """
    path, file_type = result.subject.path, result.subject.file_type
    if found.others:
        advice = f"check file_types of {path}: it has files of other types: "
        advice += ", ".join(found.others)
    elif found.failure is not None:
        advice = (
            f"check the path {path}; not all other file types could be looked at ({found.failure})"
        )
    elif found.configured:
        advice = (
            f"remove {file_type} from file_types of {path}, or leave it if such files are to come"
        )
    else:
        advice = f"check the path {path}: it shows no file of any other type either"
    detail = f"no file of the type {file_type}: {result.detail.removeprefix('found ')}"
    if result.advice is not None:
        advice = f"{advice}; {result.advice}"
    facts = {**result.facts, "file_types_found": (*found.configured, *found.others)}
    return replace(result, outcome=Outcome.WARN, detail=detail, advice=advice, facts=facts)


def estimate_target_poll(target: FilesTarget, listing: Listing) -> PollEstimate:
    """Return what the first response of a path shows; raises IncompleteError as a poll does."""
    folder, traits = FolderProgress(target.path), WalkTraits()
    traits.observe(listing, 0)
    if accept_response(folder, listing, traits):
        decide_next_step(folder, listing, listing.entries, traits)
    return estimate_poll(listing, is_end=folder.is_complete)


def format_count(things: int | Sequence[object], name: str) -> str:
    """Return a number with the name of what is counted: ``1 file``, ``2 files``."""
    number = things if isinstance(things, int) else len(things)
    return f"{number:,} {name}" if number == 1 else f"{number:,} {name}s"


def build_demand_result(
    account: str,
    needed: Mapping[Target, RequestRange | None],
    requests_per_second: float | None,
    *,
    is_part: bool = False,
) -> CheckResult | None:
    """Build the result for the requests per hour that an account needs.

    ``needed`` has the requests of one poll of each target, None if they are unknown. ``is_part``
    says that the account has other targets, too. Return None if nothing is known of any target.
    """
    known = {target: requests for target, requests in needed.items() if requests is not None}
    if not known:
        return None
    low = sum(requests.low * HOUR / target.interval for target, requests in known.items())
    high: float | None = 0.0
    for target, requests in needed.items():
        if requests is None or requests.high is None or high is None:
            high = None
        else:
            high += requests.high * HOUR / target.interval
    allowed = None if requests_per_second is None else requests_per_second * HOUR
    facts = {
        "requests_per_hour_min": round(low, 3),
        "requests_per_hour_max": None if high is None else round(high, 3),
        "requests_per_hour_allowed": allowed,
    }
    parts = [_describe_need(low, high, allowed)]
    if high == low and len(known) > 1:
        target = max(known, key=lambda target: known[target].low / target.interval)
        alone = known[target].low * HOUR / target.interval
        parts.append(f"{str(target).removeprefix(f'{account} ')} alone {_format_number(alone)}")
    if any(requests.high is None for requests in known.values()):
        parts.append("use --full to count them")
    if any(requests is None for requests in needed.values()):
        parts.append("what failed is not counted")
    detail = f"{'what was tried ' if is_part else ''}needs {'; '.join(parts)}"
    if allowed is not None and low > HIGH_DEMAND_RATIO * allowed:
        return CheckResult(
            build_demand_subject(account), Outcome.WARN, detail, DEMAND_ADVICE, facts=facts
        )
    return CheckResult(build_demand_subject(account), Outcome.OK, detail, facts=facts)


def _describe_need(low: float, high: float | None, allowed: float | None) -> str:
    if high is None:
        need = f"at least {_name_requests(low)}"
    elif low == high:
        need = f"about {_name_requests(low)}"
    else:
        need = f"{_format_number(low)} to {_format_number(high)} requests an hour (estimate)"
    return (
        f"{need}, without a limit"
        if allowed is None
        else f"{need} of {_format_number(allowed)} allowed"
    )


def _name_requests(requests: float) -> str:
    number = _format_number(requests)
    return f"{number} request an hour" if number == "1" else f"{number} requests an hour"


def _format_number(requests: float) -> str:
    """Return a number of requests an hour; a target that is polled once a day needs a part."""
    return f"{requests:,.0f}" if requests >= 10 else f"{requests:,.2g}"  # noqa: PLR2004 - below, a digit matters
