"""The calls of an account keep its pace, all of them, and other accounts have theirs."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

from exporter.polling.account import Account as PolledAccount
from exporter.polling.account import Calls
from exporter.polling.polls import poll
from exporter.polling.snapshots import FileCounts
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target
from exporter.scaleengine.clock import Clock
from exporter.simulator import (
    FAILING,
    Account,
    Behaviour,
    Broken,
    FileType,
    Folder,
    HttpError,
    Simulator,
    steady_usage,
)

KEY = "APX4GKLM0RKQLSP2FBO1ROPKSSW47DZE"
SECRET = "8fc8c48da81e6a2a06a9556379bf798af508dc0792497c678b4c3532ba8b637f"
OpenAccount = Callable[..., AbstractContextManager[PolledAccount]]

USAGE = DiskUsageTarget("main", 60.0, 180.0)
FILES = FilesTarget("main", 60.0, 180.0, "sestore4", "video")


def stored(cdn: int, folders: int) -> Account:
    full = {f"{number:04}.mp4": FileType.VIDEO for number in range(100)}
    below = {f"f{number:02}": Folder(files=dict(full)) for number in range(folders)}
    tree = Folder(folders={"sestore4": Folder(files=dict(full), folders=below)})
    return Account(cdn, KEY, SECRET, usage=steady_usage({"demo": 1024}), storage=tree)


@contextmanager
def in_the_background(account: PolledAccount, target: Target) -> Iterator[Calls]:
    """Poll a target in a thread of its own; the poll is given up at the end."""
    stop = threading.Event()
    calls = Calls(account, target, stop, random.Random(0))
    with ThreadPoolExecutor(1) as polling:
        under_way = polling.submit(poll, target, calls)
        yield calls
        assert not under_way.done(), "the poll was to be a slow one"
        stop.set()


def calls_of(account: PolledAccount, target: Target) -> Calls:
    return Calls(account, target, threading.Event(), random.Random(0))


def test_all_calls_keep_the_pace(open_account: OpenAccount) -> None:
    """No call comes before its time: neither of a page, nor of a retry, nor of another target."""
    broken = Broken(FAILING, command="files.list", calls=(2, 5))
    clock = Clock(elapsed=time.time)
    with (
        Simulator([stored(158, folders=8)], Behaviour(broken=(broken,))) as simulator,
        open_account(simulator, per_second=10.0, leaping=(clock, threading.Event())) as account,
        ThreadPoolExecutor(2) as polling,
    ):
        began = time.time()
        polls = [
            polling.submit(poll, target, calls_of(account, target)) for target in (FILES, USAGE)
        ]
        assert polls[0].result() == FileCounts(files=900, folders=8)
        polls[1].result()
        times = [call.time for call in simulator.calls]
    assert len(times) == 1 + 8 + 2 + 1
    assert all(moment >= began + number / 10.0 for number, moment in enumerate(times))


def test_a_slow_walk_does_not_hold_back_the_disk_usage(open_account: OpenAccount) -> None:
    """A disk usage that asks in the middle of a long walk is answered in the middle of it."""
    with (
        Simulator([stored(158, folders=40)]) as simulator,
        open_account(simulator, per_second=4.0) as account,
        in_the_background(account, FILES) as walk,
    ):
        assert simulator.wait_for_calls(3)
        poll(USAGE, calls_of(account, USAGE))
        assert walk.made < 30


def test_a_slow_account_does_not_slow_others(open_account: OpenAccount) -> None:
    """Where one account is kept to a call in fifty seconds, another is polled as fast as it can."""
    with (
        Simulator([stored(158, folders=40), stored(159, folders=40)]) as simulator,
        open_account(simulator, per_second=0.02) as slow,
        open_account(simulator, cdn=159) as quick,
        in_the_background(slow, FILES) as walk,
    ):
        assert simulator.wait_for_calls(1)
        assert poll(FILES, calls_of(quick, FILES)) == FileCounts(files=4100, folders=40)
        assert walk.made <= 2


def test_an_account_that_was_asked_to_wait_does_not_slow_others(open_account: OpenAccount) -> None:
    """ScaleEngine's 429 is for one account; another goes on as before."""
    broken = Broken(HttpError(429, retry_after="50"), calls=(1,))
    with (
        Simulator([stored(158, 3), stored(159, 3)], Behaviour(broken=(broken,))) as simulator,
        open_account(simulator) as slow,
        open_account(simulator, cdn=159) as quick,
        in_the_background(slow, FILES) as walk,
    ):
        assert simulator.wait_for_calls(1)
        assert poll(FILES, calls_of(quick, FILES)) == FileCounts(files=400, folders=3)
        assert walk.made == 1
