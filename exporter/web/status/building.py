"""Build what the status page shows from an observation; nothing here reads a clock or a file."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from heapq import nlargest
from typing import Final

from exporter.metrics.descriptions import find_quota
from exporter.polling import snapshots
from exporter.polling.demand import (
    compute_demand_ratio,
    count_requests_per_hour,
    count_target_requests,
)
from exporter.polling.request_log import PollTrace, RequestRecord
from exporter.polling.snapshots import FileCounts, UserUsage
from exporter.polling.store import TargetState
from exporter.polling.targets import DiskUsageTarget, FilesTarget
from exporter.web.status.observation import ConfiguredAccount, Observation, ReadFile
from exporter.web.status.status_model import (
    AccountStatus,
    DiskUsageStatus,
    ExporterStatus,
    FilesStatus,
    FolderRequests,
    FolderStatus,
    LastPoll,
    Overview,
    Reloads,
    RequestMade,
    ScheduleStatus,
    State,
    StatusProblem,
    Summary,
    UsageChanges,
    UserStatus,
)
from exporter.web.status.status_problems import (
    FAULTY_STATES,
    TargetNow,
    find_account_problems,
    find_process_problems,
    list_targets_now,
)

MAX_FOLDERS: Final = 10
"""The folders of a path that are shown."""

_NO_TRACE: Final = PollTrace()
_WORST_FIRST: Final = (State.STALE, State.FAILING, State.WAITING, State.OK)
_DAYS: Final = {"day": 1, "week": 7, "month": snapshots.HISTORY_DAYS - 1}


def build_overview(observation: Observation, only: ConfiguredAccount | None = None) -> Overview:
    """Return what is wrong now, and each account in a few numbers; or the same of one account."""
    summaries: list[Summary] = []
    problems = list(find_process_problems(observation)) if only is None else []
    for account in observation.accounts.values() if only is None else (only,):
        targets = list_targets_now(account, observation)
        summaries.append(_summarize(account, targets, observation))
        problems += find_account_problems(account, targets, observation)
    summaries.sort(key=lambda summary: _WORST_FIRST.index(summary.state))
    problems.sort(key=lambda problem: problem.severity)
    return Overview(
        time=observation.at(observation.now),
        state=_find_worst_state(summaries, problems),
        problems=tuple(problems),
        exporter=_describe_exporter(observation),
        summaries=tuple(summaries),
    )


def build_account(
    observation: Observation, account: ConfiguredAccount, *, with_requests: bool = False
) -> AccountStatus:
    """Return all that is known of an account, and the requests of the last polls if asked."""
    targets = list_targets_now(account, observation)
    if not with_requests:
        targets = [observed._replace(known=_drop_trace(observed.known)) for observed in targets]
    usages = [observed for observed in targets if isinstance(observed.target, DiskUsageTarget)]
    demand = count_requests_per_hour(observed.known for observed in targets)
    ratio = compute_demand_ratio(
        [observed.known for observed in targets], observation.requests_per_second
    )
    return AccountStatus(
        summary=_summarize(account, targets, observation),
        disk_usage=_build_disk_usage(account, usages[0], observation) if usages else None,
        files=tuple(
            _build_files(observed.target, observed, observation)
            for observed in targets
            if isinstance(observed.target, FilesTarget)
        ),
        requests_per_hour=_round(demand, 1),
        rate_limit_share=_round(ratio, 4),
    )


def _summarize(
    account: ConfiguredAccount, targets: Sequence[TargetNow], observation: Observation
) -> Summary:
    states = [observed.state for observed in targets]
    users, size = _count_users(targets)
    goods = [observed.known.good for observed in targets]
    successes = [good.finished for good in goods if good is not None]
    return Summary(
        name=account.name,
        cdn=account.cdn,
        state=next((state for state in _WORST_FIRST if state in states), State.OK),
        targets=len(targets),
        failing_targets=states.count(State.FAILING) + states.count(State.STALE),
        waiting_targets=states.count(State.WAITING),
        users=users,
        bytes=size,
        files=_count_files(targets),
        last_success=observation.at(max(successes)) if successes else None,
    )


def _count_users(targets: Iterable[TargetNow]) -> tuple[int | None, int | None]:
    """Return how many users have a number, and the bytes of the account if all have one.

    ScaleEngine does not document what the user with an empty name means. The larger of its bytes
    and the sum of the others is stored in any case, as the dashboard has it.
    """
    for observed in targets:
        usage = observed.snapshot
        if isinstance(usage, snapshots.DiskUsageSnapshot):
            unnamed = sum([user.bytes for user in usage.users if not user.cpu_user])
            named = sum([user.bytes for user in usage.users]) - unnamed
            return len(usage.users), None if usage.rejected_users else max(named, unnamed)
    return None, None


def _count_files(targets: Iterable[TargetNow]) -> int | None:
    counts = [observed.snapshot for observed in targets if isinstance(observed.target, FilesTarget)]
    found = [count.files for count in counts if isinstance(count, FileCounts)]
    return sum(found) if found and len(found) == len(counts) else None


def _drop_trace(known: TargetState) -> TargetState:
    if known.last is None:
        return known
    return replace(known, last=replace(known.last, trace=_NO_TRACE))


def _build_request(made: RequestRecord, observation: Observation) -> RequestMade:
    return RequestMade(
        began_seconds=round(made.began, 3),
        duration_seconds=round(made.seconds, 3),
        path=observation.text(made.path),
        offset=made.offset,
        attempt=made.attempt,
        status=made.status,
        code=made.code,
        reason=None if made.reason is None else str(made.reason),
        response_bytes=made.size,
    )


def _build_schedule(target: TargetNow, observation: Observation) -> ScheduleStatus:
    known, last = target.known, target.known.last
    return ScheduleStatus(
        state=target.state,
        interval_seconds=target.target.interval,
        stale_after_seconds=target.target.stale_after,
        last_poll=None
        if last is None
        else LastPoll(
            finished=observation.at(last.finished),
            duration_seconds=round(last.seconds, 3),
            requests=last.requests,
            reason=None if last.reason is None else str(last.reason),
            cause=observation.text(last.cause) or None,
            last_requests=tuple(_build_request(made, observation) for made in last.trace.requests),
            costly_folders=tuple(
                FolderRequests(observation.text(cost.path), cost.requests, round(cost.seconds, 3))
                for cost in last.trace.folders
            ),
        ),
        last_success=None if known.good is None else observation.at(known.good.finished),
        failing_since=None if known.failing_since is None else observation.at(known.failing_since),
        next_poll=None if known.next_due is None else observation.at(known.next_due),
        requests_per_hour=_round(count_target_requests(known), 1),
        rate_limit_share=_round(compute_demand_ratio([known], observation.requests_per_second), 4),
    )


def _round(number: float | None, digits: int) -> float | None:
    return None if number is None else round(number, digits)


def _build_disk_usage(
    account: ConfiguredAccount, target: TargetNow, observation: Observation
) -> DiskUsageStatus:
    usage = target.snapshot
    users: tuple[UserStatus, ...] | None = None
    rejected: list[str] = []
    if isinstance(usage, snapshots.DiskUsageSnapshot):
        largest_first = sorted(usage.users, key=lambda user: (-user.bytes, user.cpu_user))
        users = tuple(_build_user(user, account, observation) for user in largest_first)
        rejected = sorted(map(observation.text, usage.rejected_users))
    return DiskUsageStatus(
        schedule=_build_schedule(target, observation),
        users=users,
        users_without_number=tuple(rejected),
    )


def _build_user(
    usage: UserUsage, account: ConfiguredAccount, observation: Observation
) -> UserStatus:
    days = usage.days
    return UserStatus(
        cpu_user=observation.text(usage.cpu_user),
        day=usage.day,
        bytes=usage.bytes,
        quota_bytes=find_quota(account.quotas, usage.cpu_user),
        changes=UsageChanges(**{name: _compute_change(days, age) for name, age in _DAYS.items()}),
        days=days,
    )


def _compute_change(days: Sequence[int | None], age: int) -> int | None:
    """Return by how much the newest day differs from the one that many days before."""
    newest, earlier = days[-1], days[-1 - age] if age < len(days) else None
    return None if newest is None or earlier is None else newest - earlier


def _build_files(target: FilesTarget, now: TargetNow, observation: Observation) -> FilesStatus:
    files = now.snapshot if isinstance(now.snapshot, FileCounts) else None
    by_folder = (files and files.by_folder) or ()
    largest = nlargest(MAX_FOLDERS, by_folder, key=lambda count: count.files)
    return FilesStatus(
        path=target.path,
        file_type=target.file_type,
        schedule=_build_schedule(now, observation),
        files=None if files is None else files.files,
        folders=None if files is None else files.folders,
        largest_folders=tuple(
            FolderStatus(folder=observation.text(count.folder), files=count.files)
            for count in largest
        ),
    )


def _describe_exporter(observation: Observation) -> ExporterStatus:
    process = observation.process
    return ExporterStatus(
        version=process.version,
        revision=process.revision,
        python_version=process.python_version,
        started=observation.at(process.started),
        memory_bytes=process.memory,
        accounts=len(observation.accounts),
        targets=sum(map(len, observation.known.values())),
        shard=process.shard,
        total_shards=process.total_shards,
        config_file=None if process.config_file is None else observation.text(process.config_file),
        config=_build_reloads(process.config, observation),
        web_config=None
        if process.web_config is None
        else _build_reloads(process.web_config, observation),
    )


def _build_reloads(read: ReadFile, observation: Observation) -> Reloads:
    return Reloads(successful=read.successful, last_success=observation.at(read.last_success))


def _find_worst_state(summaries: Iterable[Summary], problems: Sequence[StatusProblem]) -> State:
    worst = min((summary.state for summary in summaries), key=_WORST_FIRST.index, default=State.OK)
    if worst in FAULTY_STATES or not problems:
        return worst
    return State.FAILING
