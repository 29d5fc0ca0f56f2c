"""Find what is wrong now with the process and with each account, for the status page."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from exporter.metrics.descriptions import find_quota
from exporter.polling import snapshots
from exporter.polling.demand import (
    DEMAND_ADVICE,
    HIGH_DEMAND_RATIO,
    compute_demand_ratio,
    find_costliest_target,
)
from exporter.polling.store import TargetState
from exporter.polling.targets import FilesTarget, Target
from exporter.web.status.observation import ConfiguredAccount, Observation
from exporter.web.status.status_model import Severity, State, StatusProblem

NEAR_QUOTA: Final = 0.85
"""The share of a quota from which on it is a problem, as in ``monitoring/alerts.yml``."""

FAULTY_STATES: Final = (State.STALE, State.FAILING)
_READ_AGAIN: Final = "the log has each mistake; correct the file and reload it"
_OVERDUE: Final = (
    "overdue",
    "the last good poll is too old for its numbers to be served, and the next one has not ended",
    "compare how long a poll takes with its interval and stale_after, and read the log",
)
"""The reason, the cause and the advice where no poll has failed, and there are no numbers."""
_DEMAND: Final = (
    f"the polls of the account need more than {HIGH_DEMAND_RATIO * 100:.0f} % of the requests that "
    "its rate limit allows, those of this target most"
)


class TargetNow(NamedTuple):
    """A target now: its state, and its last good snapshot while that counts."""

    target: Target
    known: TargetState
    state: State
    snapshot: snapshots.Snapshot | None


def list_targets_now(account: ConfiguredAccount, observation: Observation) -> Sequence[TargetNow]:
    """Return the targets of an account as they are now."""
    found, now = [], observation.now
    for known in observation.known.get(account.name, ()):
        snapshot = known.snapshot(now)
        if known.last is None:
            state = State.WAITING
        elif snapshot is None:
            state = State.STALE
        else:
            state = State.OK if known.last.reason is None else State.FAILING
        found.append(TargetNow(known.target, known, state, snapshot))
    return found


def find_process_problems(observation: Observation) -> Iterator[StatusProblem]:
    """Return what is wrong with the process now."""
    process = observation.process
    if process.dead_threads:
        yield StatusProblem(
            severity=Severity.ERROR,
            reason="thread",
            cause="threads that should run do not",
            advice="they are started again after a pause; the log has the traceback: report it",
            subjects=process.dead_threads,
        )
    for reason, name, read in (
        ("configuration", observation.text(process.config_file or "configuration"), process.config),
        ("web_configuration", "web configuration", process.web_config),
    ):
        if read is not None and not read.successful:
            yield StatusProblem(
                severity=Severity.ERROR,
                reason=reason,
                cause="the changed file is not in force; the one before is",
                advice=_READ_AGAIN,
                subjects=(name,),
            )


def find_account_problems(
    account: ConfiguredAccount, targets: Sequence[TargetNow], observation: Observation
) -> Iterator[StatusProblem]:
    """Return what is wrong with an account now."""
    failed = [observed for observed in targets if observed.state in FAULTY_STATES]
    if failed:
        yield from _find_poll_problems(account, failed, observation)
    yield from _find_demand_problems(account, targets, observation)
    for observed in targets:
        if isinstance(observed.snapshot, snapshots.DiskUsageSnapshot):
            yield from _find_usage_problems(account, observed.snapshot, observation)


def _find_poll_problems(
    account: ConfiguredAccount, targets: Sequence[TargetNow], observation: Observation
) -> Iterator[StatusProblem]:
    """Return a problem for each cause; one cause can concern many targets."""
    alike: dict[tuple[str, str, str], list[TargetNow]] = defaultdict(list)
    for observed in targets:
        last = observed.known.last
        if last is not None and last.reason is not None:
            alike[str(last.reason), last.cause, last.advice].append(observed)
        else:
            alike[_OVERDUE].append(observed)
    for (reason, cause, advice), failed in alike.items():
        since = [
            moment
            for observed in failed
            if (moment := _find_wrong_since(observed.known)) is not None
        ]
        due = [
            observed.known.next_due for observed in failed if observed.known.next_due is not None
        ]
        is_missing = any(observed.snapshot is None for observed in failed)
        yield StatusProblem(
            severity=Severity.ERROR if is_missing else Severity.WARNING,
            reason=reason,
            cause=observation.text(cause),
            advice=observation.text(advice),
            account=account.name,
            subjects=tuple(_describe_subject(observed.target) for observed in failed),
            since=observation.at(min(since)) if since else None,
            next_attempt=observation.at(min(due)) if due else None,
        )


def _find_demand_problems(
    account: ConfiguredAccount, targets: Sequence[TargetNow], observation: Observation
) -> Iterator[StatusProblem]:
    known = [observed.known for observed in targets]
    ratio = compute_demand_ratio(known, observation.requests_per_second)
    if ratio is not None and ratio > HIGH_DEMAND_RATIO:
        costliest = find_costliest_target(known)
        yield StatusProblem(
            severity=Severity.WARNING,
            reason="demand",
            cause=_DEMAND,
            advice=DEMAND_ADVICE,
            account=account.name,
            subjects=(_describe_subject(costliest.target),),
        )


def _find_wrong_since(known: TargetState) -> float | None:
    """Return since when a target fails, or has no numbers that count, in monotonic time."""
    if known.failing_since is not None or known.good is None:
        return known.failing_since
    return known.good.finished + known.target.stale_after


def _describe_subject(target: Target) -> str:
    if isinstance(target, FilesTarget):
        return f"{target.path} {target.file_type}"
    return "disk usage"


def _find_usage_problems(
    account: ConfiguredAccount, usage: snapshots.DiskUsageSnapshot, observation: Observation
) -> Iterator[StatusProblem]:
    if usage.rejected_users:
        yield StatusProblem(
            severity=Severity.WARNING,
            reason="rejected_rows",
            cause="CPU users have no number: ScaleEngine's rows of them cannot be read",
            advice="run scaleengine-exporter check, and ask ScaleEngine's support",
            account=account.name,
            subjects=tuple(sorted(map(observation.text, usage.rejected_users))),
        )
    if not account.quotas:
        return
    over: list[str] = []
    near: list[str] = []
    for user in usage.users:
        quota = find_quota(account.quotas, user.cpu_user)
        if quota is not None and user.bytes >= NEAR_QUOTA * quota:
            (over if user.bytes >= quota else near).append(observation.text(user.cpu_user))
    full = StatusProblem(
        severity=Severity.ERROR,
        reason="quota",
        cause="the quota is full",
        advice="delete files or raise the quota",
        account=account.name,
        subjects=tuple(over),
    )
    if over:
        yield full
    if near:
        cause = f"more than {NEAR_QUOTA * 100:.0f} % of the quota is used"
        yield replace(full, severity=Severity.WARNING, cause=cause, subjects=tuple(near))
