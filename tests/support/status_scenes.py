"""The states that the status page is looked at in: made up, the same at each run."""

import random
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

from exporter.polling.request_log import MAX_REQUESTS, FolderCost, PollTrace, RequestRecord
from exporter.polling.snapshots import (
    DiskUsageSnapshot,
    FileCounts,
    FolderCount,
    RejectedRows,
    Snapshot,
    UserUsage,
)
from exporter.polling.store import LastGood, PollResult, TargetState
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target
from exporter.scaleengine.disk_usage import RejectedRow, RowFault
from exporter.scaleengine.errors import Reason
from exporter.web.status.observation import ConfiguredAccount, Observation, ReadFile
from tests.support.observed import NOW, PROCESS, WALL_OFFSET, observe

TODAY = datetime.fromtimestamp(NOW + WALL_OFFSET, UTC).date()
HOSTILE = "<script>alert(1)</script>\"'><img src=//x.invalid/y onerror=alert(2)>{{ 7*7 }}&amp;"
LONG = "w" * 1024

_TB = 10**12
_SECONDS = 0.21
"""What a request takes: 5 in a second are allowed."""
_FAILURES = (
    (Reason.AUTH, 1, 0.3, "the key was refused (code 0001)", "check api_key and cdn"),
    (
        Reason.TIMEOUT,
        3,
        92.4,
        "no complete response came within 30 s",
        "check the network, or raise api.timeout",
    ),
    (Reason.API, 1, 0.3, "ScaleEngine reports: no such path", "check the path in files.paths"),
)
"""Reason, requests and seconds of failed polls, with cause and advice."""


def month(rng: random.Random, newest: int, growth: float) -> bytes:
    """Return the days before the newest, which grew so much a day, give or take."""
    sizes, size = [], float(newest)
    for _ in range(29):
        size /= 1 + growth * rng.uniform(-0.6, 2.6)
        sizes.append(int(size))
    return array("q", reversed(sizes)).tobytes()


def user(
    rng: random.Random, name: str, size: int, growth: float = 0.004, day: date = TODAY
) -> UserUsage:
    """Return a CPU user with a month behind it."""
    return UserUsage(name, day, size, month(rng, size, growth))


def trace_of(target: Target, requests: int) -> PollTrace:
    """Return the last requests of a poll; where it made several, the last one was sent twice."""
    pages = max(1, requests - 1)
    made = [
        RequestRecord(page * _SECONDS, 0.12, target.path, page * 100, 1, 200, None, None, 4096)
        for page in range(max(0, pages - MAX_REQUESTS + 1), pages)
    ]
    if requests == 1:
        return PollTrace(tuple(made))
    last = made[-1]
    made[-1] = last._replace(status=503, reason=Reason.SERVER, size=120)
    made.append(last._replace(began=last.began + 0.62, attempt=2))
    costs = [
        FolderCost(target.path, requests - 1, (requests - 1) * 0.12),
        FolderCost(f"{target.path}/a", 1, 0.12),
    ]
    return PollTrace(tuple(made), tuple(costs) if target.path else ())


def polled(
    target: Target, snapshot: Snapshot, ago: float = 240.0, requests: int = 1
) -> TargetState:
    """Return what is known of a target after a good poll."""
    seconds = _SECONDS * requests + 0.14
    result = PollResult(NOW - ago, seconds, requests, trace=trace_of(target, requests))
    good = LastGood(snapshot, NOW - ago, requests)
    return TargetState(target, result, good, next_due=NOW - ago - seconds + target.interval)


def failed(known: TargetState, failure: int, since: float | None = None) -> TargetState:
    """Return what is known of a target after failed polls, one in each interval.

    Without ``since`` two polls have failed. The last good one was an interval before them.
    """
    reason, requests, seconds, cause, advice = _FAILURES[failure % len(_FAILURES)]
    interval, good = known.target.interval, known.good
    began = NOW - (interval + 30.0 if since is None else since)
    if good is not None:
        good = replace(good, finished=min(good.finished, began - interval))
    ended = NOW - (NOW - began) % interval
    result = PollResult(ended, seconds, requests, reason, cause=cause, advice=advice)
    return replace(known, last=result, good=good, failing_since=began, next_due=ended + interval)


def folders(files: int, names: Sequence[str]) -> tuple[FolderCount, ...]:
    """Return the files of folders, each with half of what is left; the last with all of it."""
    counts = []
    for name in names[:-1]:
        counts.append(FolderCount(name, files // 2))
        files -= files // 2
    return (*counts, FolderCount(names[-1], files))


def main_account(rng: random.Random) -> list[TargetState]:
    """Return the targets of an account as a video company has one."""
    users = (
        user(rng, "archive", 18_412_775_301_992, 0.002),
        user(rng, "live", 4_702_118_530_048, 0.012),
        user(rng, "podcast", 962_004_118_771, 0.006),
        user(rng, "web", 48_200_113_009, -0.01),
        user(rng, "test", 8_212, 0),
    )
    names = ("2026-11", "2026-10", "2026-09", "kanal-1", "sport", "télé-région", "_other")
    return [
        polled(DiskUsageTarget("main", 3600, 10800), DiskUsageSnapshot(users), 1260),
        polled(
            FilesTarget("main", 900, 2700, "sestore4/jb", "video", 1),
            FileCounts(148_220, 1_204, folders(148_220, names)),
            184,
            1498,
        ),
        polled(
            FilesTarget("main", 900, 2700, "sestore4/jb", "invalid"), FileCounts(3, 1204), 310, 14
        ),
        polled(
            FilesTarget("main", 21600, 64800, "sestore4/archive", "video"),
            FileCounts(402_114, 8_830),
            9_300,
            4104,
        ),
    ]


def second_account(rng: random.Random) -> list[TargetState]:
    """Return the targets of a small account."""
    users = (user(rng, "magazine", 310_220_118_000, 0.003), user(rng, "news", 92_411_903_118, 0.02))
    return [
        polled(DiskUsageTarget("region", 3600, 10800), DiskUsageSnapshot(users), 1262),
        polled(
            FilesTarget("region", 900, 2700, "sestore2/region", "video"),
            FileCounts(8_114, 96),
            95,
            84,
        ),
    ]


MAIN = ConfiguredAccount("main", 158, {"archive": 20 * _TB, "live": 10 * _TB})
REGION = ConfiguredAccount("region", 211, {"*": 500 * 10**9})


def all_well() -> Observation:
    """Return two accounts of which every target was polled well."""
    rng = random.Random(4)
    main = replace(MAIN, quotas={"archive": 25 * _TB, "live": 10 * _TB})
    return observe({"main": main_account(rng), "region": second_account(rng)}, [main, REGION])


def some_failing() -> Observation:
    """Return the same accounts with something of each kind that can be wrong."""
    rng = random.Random(4)
    usage, videos, invalid, archive = main_account(rng)
    small_usage, small_files = second_account(rng)
    row = RejectedRow(RowFault.INVALID_BYTES, "old", TODAY, "bytes_total must be a whole number")
    assert small_usage.good is not None
    assert isinstance(small_usage.good.snapshot, DiskUsageSnapshot)
    rejected = (RejectedRows(RowFault.INVALID_BYTES, 2, (row,), ("old",)),)
    hurt = replace(small_usage.good.snapshot, rejected=rejected)
    known = {
        "main": [
            usage,
            failed(videos, 1),
            invalid,
            failed(replace(archive, good=None), 2, since=5430.0),
        ],
        "region": [
            replace(small_usage, good=replace(small_usage.good, snapshot=hurt)),
            small_files,
        ],
    }
    return observe(known, [MAIN, REGION])


def everything_failing() -> Observation:
    """Return accounts of which every target fails, in a process that fails too."""
    rng = random.Random(4)
    main = [
        failed(replace(known, good=None), 0, since=36030.0) if n % 2 else failed(known, 0)
        for n, known in enumerate(main_account(rng))
    ]
    region = [failed(known, 1) for known in second_account(rng)]
    process = replace(
        PROCESS,
        dead_threads=("publish",),
        config=ReadFile(successful=False, last_success=NOW - 86400),
        web_config=ReadFile(successful=False, last_success=NOW - 7200),
    )
    return observe({"main": main, "region": region}, [MAIN, REGION], process)


def waiting() -> Observation:
    """Return an account before its first poll."""
    targets = (DiskUsageTarget("main", 3600, 10800), FilesTarget("main", 900, 2700, "s", "video"))
    return observe({"main": [TargetState(target) for target in targets]}, [MAIN])


def thousand_accounts(paths: int = 5, users: int = 10) -> Observation:
    """Return 1,000 accounts, of which three in a hundred fail, with 5,000 paths in all."""
    rng = random.Random(4)
    known: dict[str, Sequence[TargetState]] = {}
    for number in range(1000):
        name = f"customer-{number:04}"
        own = tuple(user(rng, f"user-{n}", rng.randrange(10**9, 10**12)) for n in range(users))
        targets = [
            polled(
                DiskUsageTarget(name, 3600, 10800), DiskUsageSnapshot(own), rng.uniform(5, 3600)
            ),
            *(
                polled(
                    FilesTarget(name, 900, 2700, f"sestore4/{name}/{n}", "video", 1),
                    FileCounts(
                        files := rng.randrange(10, 200), 5, folders(files, ("a", "b", "c", "."))
                    ),
                    rng.uniform(5, 890),
                    3,
                )
                for n in range(paths)
            ),
        ]
        if number % 33 == 7:
            targets[1] = failed(targets[1], number)
        known[name] = targets
    return observe(known)


def hostile_names() -> Observation:
    """Return names of every kind with markup in them, and very long ones."""
    rng = random.Random(4)
    account = ConfiguredAccount(HOSTILE, 1)
    users = tuple(user(rng, name, 5 * 10**9) for name in (HOSTILE, LONG, "", "\u202eexe.tob"))
    target = FilesTarget(HOSTILE, 900, 2700, f"sestore4/{HOSTILE}", "video", 1)
    counts = FileCounts(7, 2, (FolderCount(HOSTILE, 4), FolderCount(LONG, 3)))
    known = [
        polled(DiskUsageTarget(HOSTILE, 3600, 10800), DiskUsageSnapshot(users)),
        polled(target, counts),
        failed(polled(replace(target, file_type="valid"), counts), 0),
    ]
    last = known[-1].last
    assert last is not None
    known[-1] = replace(known[-1], last=replace(last, cause=HOSTILE, advice=HOSTILE))
    return observe({HOSTILE: known}, [account])


SCENES: Mapping[str, Observation] = {
    "well": all_well(),
    "some": some_failing(),
    "failing": everything_failing(),
    "waiting": waiting(),
    "thousand": thousand_accounts(),
    "hostile": hostile_names(),
}
