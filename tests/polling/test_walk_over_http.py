"""Over real HTTP, a walk counts a tree exactly under every reading of the API's pages."""

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from exporter.polling.session import PolledAccount
from exporter.polling.snapshots import FileCounts, SnapshotLimits
from exporter.polling.targets import FilesTarget
from exporter.polling.walk import WalkLimits
from exporter.scaleengine.errors import LimitReachedError, Reason, ScaleEngineError
from exporter.simulator import Behaviour, FaultRule, FileType, Folder, SimulatedAccount, Simulator
from tests.polling.times import make_session, run_poll
from tests.support.api_variants import (
    ApiVariant,
    Array,
    Content,
    Empty,
    FileCount,
    FolderShape,
    LoadFlagPlacement,
    Numbers,
    Offsets,
    Unreached,
)
from tests.support.clocks import LeapingClock
from tests.support.credentials import KEY, SECRET
from tests.support.faults import FAILING, NOT_FOUND, Fault, Held, Refusal
from tests.support.fixtures import OpenAccount
from tests.support.sentences import LONG_LABEL

# Around the hundred files that a response holds, and names that look like something else.
sizes = st.sampled_from([0, 0, 1, 3, 40, 99, 100, 101, 150, 230])
names = st.sampled_from(
    ["1", "007", "-1", "__x", "a b", "été", "🎬", "[]", "_other", 'a"\\b', "null"]
)


def folders_of(size: int, below: dict[str, Folder]) -> Folder:
    files = {f"{number:04}.mp4": FileType.VIDEO for number in range(size)}
    return Folder(files={**files, "notes.pdf": FileType.OTHER}, folders=below)


trees = st.recursive(
    sizes.map(lambda size: folders_of(size, {})),
    lambda below: st.builds(folders_of, sizes, st.dictionaries(names, below, max_size=4)),
    max_leaves=12,
)
variant = st.builds(
    ApiVariant,
    folder=st.sampled_from(FolderShape),
    files=st.sampled_from(Array),
    numbers=st.sampled_from(Numbers),
    content=st.sampled_from(Content),
    loaded=st.sampled_from(LoadFlagPlacement),
    empty=st.sampled_from(Empty),
    offsets=st.sampled_from(Offsets),
    file_count=st.sampled_from(FileCount),
    unreached=st.sampled_from(Unreached),
    overlap=st.sampled_from([0, 1, 7, 50]),
)


BROKEN_RESPONSES = frozenset(
    {
        Fault.OTHER_PATH,
        Fault.NOT_ROWS,
        Fault.NOT_A_FOLDER,
        Fault.HTML_PAGE,
        Fault.EMPTY_BODY,
        Fault.TRUNCATED,
        Fault.NULL,
        Fault.DUPLICATE_KEYS,
        Fault.RESET,
        Fault.RESET_IN_BODY,
    }
)


def account_with(tree: Folder) -> SimulatedAccount:
    storage = Folder(folders={"sestore4": Folder(folders={"jb": tree})})
    return SimulatedAccount(cdn=158, api_key=KEY, api_secret=SECRET, storage=storage)


def target(file_type: str = "video", depth: int | None = None) -> FilesTarget:
    return FilesTarget("main", 60.0, 180.0, "sestore4/jb", file_type, depth)


def count(account: PolledAccount, wanted: FilesTarget) -> FileCounts:
    counts = run_poll(make_session(account, wanted), wanted)
    assert isinstance(counts, FileCounts)
    return counts


def names_in(folder: Folder) -> set[str]:
    below = folder.folders()
    return {name for name, _ in below}.union(*(names_in(child) for _, child in below))


def plain_count(folder: Folder) -> tuple[int, int]:
    """Count videos and folders the plain way, by recursion."""
    below = [plain_count(child) for _, child in folder.folders()]
    files = len(folder.names("video")) + sum(files for files, _ in below)
    return files, len(below) + sum(folders for _, folders in below)


def test_a_long_folder_label_fails_the_poll(open_account: OpenAccount) -> None:
    """A label that is longer than allowed is not cut: the poll fails, and says what to do."""
    tree = Folder(folders={"a": Folder(folders={"bcd": Folder()})})
    with Simulator([account_with(tree)]) as simulator, open_account(simulator) as account:
        limits = replace(account.limits, snapshot=SnapshotLimits(label_length=4))
        narrow = replace(account, limits=limits)
        assert count(narrow, target(depth=1)).folders == 2
        with pytest.raises(LimitReachedError) as caught:
            count(narrow, target(depth=2))
    assert str(caught.value) == (
        f"the path of a folder below 'sestore4/jb' has 5 {LONG_LABEL} 4: "
        "raise limits.label_length, or lower folder_depth"
    )


@settings(max_examples=60)
@given(tree=trees, reading=variant, max_concurrency=st.sampled_from([1, 4]))
def test_any_tree_is_counted_under_any_reading(
    open_account: OpenAccount,
    leaping: LeapingClock,
    tree: Folder,
    reading: ApiVariant,
    max_concurrency: int,
) -> None:
    """For any tree and any reading of the API, the walk counts what recursion counts.

    Except for one form that is ambiguous: a requested folder that is printed as a mapping, has no
    member of its own but sub-folders 0, 1, 2 and so on, and so comes as a list.
    """
    clock = leaping.clock
    assume(reading.folder is not FolderShape.MAPPING or "0" not in names_in(tree))
    with (
        Simulator([account_with(tree)], Behaviour(variant=reading), clock=clock.now) as simulator,
        open_account(simulator, leaping=leaping, max_concurrency=max_concurrency) as account,
    ):
        counts = count(account, target(depth=1))
    assert (counts.files, counts.folders) == plain_count(tree)
    assert counts.by_folder is not None
    assert sum(part.files for part in counts.by_folder) == counts.files


@settings(max_examples=30)
@given(tree=trees, reading=variant, fault_at=st.integers(1, 6), data=st.data())
def test_a_broken_response_never_makes_a_smaller_number(
    open_account: OpenAccount,
    leaping: LeapingClock,
    tree: Folder,
    reading: ApiVariant,
    fault_at: int,
    data: st.DataObject,
) -> None:
    """With a response broken somewhere in the walk, the count is still exact, or there is none."""
    clock = leaping.clock
    assume(reading.folder is not FolderShape.MAPPING or "0" not in names_in(tree))
    fault = data.draw(st.sampled_from(sorted(BROKEN_RESPONSES, key=str)))
    behaviour = Behaviour(variant=reading, faults=(FaultRule(fault, requests=(fault_at,)),))
    with (
        Simulator([account_with(tree)], behaviour, clock=clock.now) as simulator,
        open_account(simulator, leaping=leaping) as account,
    ):
        try:
            counts = count(account, target())
        except ScaleEngineError:
            return
    assert (counts.files, counts.folders) == plain_count(tree)


@pytest.mark.parametrize("file_type", ["video", "valid", "invalid", "deleted", "includeinvalid"])
def test_each_file_type_is_counted_on_its_own(open_account: OpenAccount, file_type: str) -> None:
    """Each file type is counted on its own."""
    kinds = list(FileType)
    tree = Folder(files={f"{number}.x": kinds[number % len(kinds)] for number in range(500)})
    with Simulator([account_with(tree)]) as simulator, open_account(simulator) as account:
        assert count(account, target(file_type)).files == tree.count(file_type)


def test_a_walk_makes_the_fewest_requests(open_account: OpenAccount) -> None:
    """A flat folder takes a request for every 99 files; a skipped folder one of its own."""
    tree = folders_of(250, {"a": folders_of(100, {}), "b": folders_of(100, {})})
    with Simulator([account_with(tree)]) as simulator, open_account(simulator) as account:
        assert count(account, target()).files == 450
        assert sorted((request.path, request.offset or 0) for request in simulator.requests) == [
            ("sestore4/jb", 0),
            ("sestore4/jb", 99),
            ("sestore4/jb", 198),
            ("sestore4/jb/a", 0),
            ("sestore4/jb/b", 0),
        ]


def test_concurrent_requests_are_limited(open_account: OpenAccount) -> None:
    """Calls run side by side, up to the concurrency and not beyond."""
    tree = folders_of(0, {f"f{number:02}": folders_of(100, {}) for number in range(8)})
    rule = FaultRule(Held(count=3), requests=range(2, 10))
    with (
        Simulator([account_with(tree)], Behaviour(latency=0.1, faults=(rule,))) as simulator,
        open_account(simulator, max_concurrency=3) as account,
    ):
        assert count(account, target()).files == 800
        assert simulator.max_in_flight == 3


def test_a_deep_tree_is_counted(open_account: OpenAccount, leaping: LeapingClock) -> None:
    """Depth has no limit but that of one response: a chain of folders is followed to its end."""
    tree = folders_of(1, {})
    for level in range(70):
        tree = folders_of(1, {f"level{level}": tree})
    clock = leaping.clock
    with (
        Simulator([account_with(tree)], clock=clock.now) as simulator,
        open_account(simulator, leaping=leaping) as account,
    ):
        counts = count(account, target(depth=2))
    assert (counts.files, counts.folders) == (71, 70)


FAILURES = [
    (FaultRule(Fault.STUCK_OFFSET, requests=(2,)), Reason.INCOMPLETE, "does not move on"),
    (FaultRule(Fault.ALWAYS_SKIPPED, requests=(2,)), Reason.INCOMPLETE, "comes back skipped"),
    (FaultRule(Fault.SHRINKING), Reason.INCOMPLETE, "has changed while it was read"),
    (FaultRule(NOT_FOUND, requests=(2,)), Reason.API, "without a code"),
    (FaultRule(Fault.HTML_PAGE, requests=(3,)), Reason.PROTOCOL, "not JSON"),
    (
        FaultRule(Fault.OTHER_PATH, requests=(2,)),
        Reason.PROTOCOL,
        "does not hold the requested path",
    ),
    (FaultRule(Refusal("1000"), requests=(3,)), Reason.RATE_LIMITED, "busy"),
    (FaultRule(FAILING, requests=range(3, 9)), Reason.SERVER, "0004"),
    (FaultRule(Fault.RESET_IN_BODY, requests=range(3, 9)), Reason.NETWORK, "broke off"),
]


@pytest.mark.parametrize(("faults", "reason", "words"), FAILURES, ids=lambda value: str(value)[:40])
def test_a_permanent_fault_fails_the_walk_with_its_reason(
    open_account: OpenAccount, leaping: LeapingClock, faults: FaultRule, reason: Reason, words: str
) -> None:
    """A fault in the middle of a walk that does not pass fails it as a whole, with the reason."""
    clock = leaping.clock
    stored, behaviour = account_with(folders_of(250, {})), Behaviour(faults=(faults,))
    with (
        Simulator([stored], behaviour, clock=clock.now) as simulator,
        open_account(simulator, leaping=leaping) as account,
        pytest.raises(ScaleEngineError, match=words) as caught,
    ):
        count(account, target())
    assert caught.value.reason is reason


def test_a_folder_that_vanishes_fails_the_walk(open_account: OpenAccount) -> None:
    """A skipped folder that is gone when asked for leaves the tree incomplete."""
    tree = folders_of(100, {"gone": folders_of(5, {})})
    faults = FaultRule(NOT_FOUND, path="sestore4/jb/gone")
    with (
        Simulator([account_with(tree)], Behaviour(faults=(faults,))) as simulator,
        open_account(simulator) as account,
        pytest.raises(ScaleEngineError, match="cannot be requested separately") as caught,
    ):
        count(account, target())
    assert caught.value.reason is Reason.INCOMPLETE


def test_a_missing_path_is_a_failure_of_the_api(open_account: OpenAccount) -> None:
    """An unknown path is the API's own failure, not an empty count."""
    with (
        Simulator([account_with(Folder())]) as simulator,
        open_account(simulator) as account,
        pytest.raises(ScaleEngineError) as caught,
    ):
        count(account, FilesTarget("main", 60.0, 180.0, "sestore4/nobody", "video"))
    assert caught.value.reason is Reason.API


def test_too_many_requests_fail_the_walk(open_account: OpenAccount) -> None:
    """A walk that would need more requests than allowed ends as soon as that is sure."""
    tree = folders_of(100, {f"f{number:02}": folders_of(99, {}) for number in range(40)})
    with (
        Simulator([account_with(tree)]) as simulator,
        open_account(simulator, max_requests=40) as account,
    ):
        with pytest.raises(ScaleEngineError, match="more than 40 requests") as caught:
            count(account, target())
        assert simulator.request_count < 40
    assert caught.value.reason is Reason.INCOMPLETE


def test_files_that_arrive_behind_a_walk_do_not_fail_it(open_account: OpenAccount) -> None:
    """Files that arrive behind the walk do not fail it; what was there at its start is counted."""
    tree = folders_of(250, {})

    def grow(_: float) -> None:
        tree.add(f"new {len(tree.names('video'))}.mp4")

    account = SimulatedAccount(
        cdn=158,
        api_key=KEY,
        api_secret=SECRET,
        storage=account_with(tree).storage,
        refresh=grow,
    )
    with Simulator([account]) as simulator, open_account(simulator) as polled:
        assert 250 <= count(polled, target()).files <= 253


def test_overlapping_paths_are_no_replays(open_account: OpenAccount) -> None:
    """Two targets that request the same folder in the same second both get a response."""
    tree = folders_of(100, {"a": folders_of(3, {})})
    inner = FilesTarget("main", 60.0, 180.0, "sestore4/jb/a", "video")
    with Simulator([account_with(tree)]) as simulator, open_account(simulator) as account:
        assert count(account, inner).files == 3
        assert count(account, target()).files == 103
        assert {request.code for request in simulator.requests} == {None}


def test_requests_that_were_not_sent_do_not_count(open_account: OpenAccount) -> None:
    """When a walk fails, requests that still wait for their turn are not counted as made."""
    tree = folders_of(0, {f"f{number:02}": folders_of(100, {}) for number in range(40)})
    faults = FaultRule(Fault.HTML_PAGE, requests=(2,))
    with (
        Simulator([account_with(tree)], Behaviour(latency=0.2, faults=(faults,))) as simulator,
        open_account(simulator, max_concurrency=2) as account,
    ):
        eager = replace(account, limits=WalkLimits(max_concurrency=8, max_requests=100))
        session = make_session(eager, target())
        with pytest.raises(ScaleEngineError):
            run_poll(session, target())
        assert 2 <= session.requests == simulator.request_count < 40
