"""All targets are polled side by side, in threads that end when told to."""

import random
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from exporter.polling.account import Account as PolledAccount
from exporter.polling.poller import FIRST_POLLS_WITHIN, Poller
from exporter.polling.store import PollResult, Store
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target
from exporter.scaleengine.clock import Clock
from exporter.simulator import Account, Behaviour, Broken, Fault, Folder, Simulator, steady_usage

KEY = "APX4GKLM0RKQLSP2FBO1ROPKSSW47DZE"
SECRET = "8fc8c48da81e6a2a06a9556379bf798af508dc0792497c678b4c3532ba8b637f"
OpenAccount = Callable[..., AbstractContextManager[PolledAccount]]

USAGE = DiskUsageTarget("main", 60.0, 180.0)
FILES = FilesTarget("main", 60.0, 180.0, "sestore4", "video")
ACCOUNT = Account(
    cdn=158,
    api_key=KEY,
    api_secret=SECRET,
    usage=steady_usage({"demo": 1024}),
    storage=Folder(folders={"sestore4": Folder()}),
)


class AtOnce(random.Random):
    """Chance that always spreads the first polls by nothing."""

    def uniform(self, a: float, b: float) -> float:
        assert (a, b) == (0, FIRST_POLLS_WITHIN)
        return 0.0


def poller(
    account: PolledAccount, store: Store, finished: Callable[[Target, PollResult], None]
) -> Poller:
    return Poller([account], store, Clock(), threading.Event(), AtOnce(), finished)


def test_one_target_that_fails_does_not_hold_up_another(open_account: OpenAccount) -> None:
    """Targets fail alone: one whose calls hang leaves the others as they are."""
    store, ended = Store([USAGE, FILES]), threading.Event()
    hang = Behaviour(broken=(Broken(Fault.HANG, command="disk.usage"),))
    with Simulator([ACCOUNT], hang) as simulator, open_account(simulator) as account:
        polling = poller(account, store, lambda _, __: ended.set())
        polling.start()
        assert ended.wait(5.0)
        assert store.unfinished() == (USAGE,)
        assert store.current()[FILES].good is not None
        assert polling.stop(5.0)


def test_the_end_comes_at_once_while_calls_hang(open_account: OpenAccount) -> None:
    """Told to stop, polls end at once even if ScaleEngine never answers; no thread is left."""
    hang = Behaviour(broken=(Broken(Fault.HANG),))
    threads = set(threading.enumerate())
    with Simulator([ACCOUNT], hang) as simulator, open_account(simulator, timeout=60.0) as account:
        polling = poller(account, Store([USAGE, FILES]), lambda _, __: None)
        polling.start()
        assert simulator.wait_for_calls(2)
        assert polling.dead() == ()
        began = time.monotonic()
        assert polling.stop(5.0)
        assert time.monotonic() - began < 1.0
    assert {thread.name for thread in set(threading.enumerate()) - threads} == set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_thread_is_noticed(open_account: OpenAccount) -> None:
    """A thread that ended by itself is named, for the health page to tell."""
    store = Store([USAGE, FILES])

    def die(target: Target, _: PollResult) -> None:
        if target is USAGE:
            raise RuntimeError("a defect")

    with Simulator([ACCOUNT]) as simulator, open_account(simulator) as account:
        polling = poller(account, store, die)
        polling.start()
        deadline = time.monotonic() + 5.0
        while (not polling.dead() or store.unfinished()) and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        assert polling.dead() == ("poll main disk usage",)
        assert polling.stop(5.0)
