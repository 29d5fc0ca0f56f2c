"""Signals are taken one by one, those to stop first, and nothing that hangs delays the end."""

import signal
import threading
from collections.abc import Iterator

import pytest

from exporter.process.blocking import TAKEN, block_signals
from exporter.process.ending import EXIT_INTERRUPTED, EXIT_OK
from exporter.process.signals import GRACE_SECONDS, SignalThread
from tests.support.waiting import wait_until

STOPPING = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture(autouse=True)
def _blocked() -> Iterator[None]:
    """Block the signals in the thread of the test, and leave none pending."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    block_signals()
    yield
    while signal.sigtimedwait(TAKEN, 0):
        pass
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def send(*numbers: signal.Signals) -> None:
    """Send signals to this thread, which has blocked them."""
    for number in numbers:
        signal.pthread_kill(threading.get_ident(), number)


@pytest.fixture
def happened() -> list[object]:
    """Return the list of what has happened: statuses of the end, seconds slept, names."""
    return []


@pytest.fixture
def signals(happened: list[object]) -> SignalThread:
    """Return what takes signals; the process does not really end, so that ``run`` returns."""
    return SignalThread(happened.append, sleep=happened.append)


@pytest.mark.parametrize("number", STOPPING)
@pytest.mark.parametrize("status", [EXIT_OK, EXIT_INTERRUPTED])
def test_a_signal_before_the_start_ends_the_process(
    happened: list[object], number: signal.Signals, status: int
) -> None:
    """While there is nothing to stop, the process ends at once."""
    signals = SignalThread(happened.append, status)
    send(number)
    signals.run()
    assert happened == [status]


@pytest.mark.parametrize("number", STOPPING)
def test_a_stop_that_hangs_is_ended_after_some_seconds(
    signals: SignalThread, happened: list[object], number: signal.Signals
) -> None:
    """What is asked to stop has some seconds; then the process ends, also while something hangs."""
    signals.on_stop(lambda: happened.append("stop"), lambda: happened.append("overdue"))
    send(number)
    signals.run()
    assert happened == ["stop", GRACE_SECONDS, "overdue", EXIT_OK]


@pytest.mark.parametrize("number", sorted(TAKEN))
def test_a_command_ends_at_any_signal(happened: list[object], number: signal.Signals) -> None:
    """What serves nothing ends at any signal, after it has cleaned up; SIGHUP is one."""

    def exit_process(status: int) -> None:
        happened.append(status)
        raise SystemExit

    signals = SignalThread(exit_process)
    signals.end_at_once(EXIT_INTERRUPTED, lambda: happened.append("clean up"))
    send(number)
    with pytest.raises(SystemExit):
        signals.run()
    assert happened[:2] == ["clean up", EXIT_INTERRUPTED]


def test_the_process_ends_where_asking_it_fails(
    signals: SignalThread, happened: list[object]
) -> None:
    """Where asking fails, the process ends all the same."""

    def fail() -> None:
        raise ValueError("the event loop is closed")

    signals.on_stop(fail)
    send(signal.SIGTERM)
    with pytest.raises(ValueError, match="loop is closed"):
        signals.run()
    assert happened == [EXIT_OK]


def test_a_signal_before_the_handler_stops_at_once(
    signals: SignalThread, happened: list[object]
) -> None:
    """What is there to be stopped only after the signal is stopped at once."""
    signals.on_stop(lambda: signals.on_stop(lambda: happened.append("stop")))
    send(signal.SIGTERM)
    signals.run()
    assert happened == ["stop", GRACE_SECONDS, EXIT_OK]


@pytest.mark.parametrize("times", [1, 3])
def test_an_early_sighup_reloads_once(
    signals: SignalThread, happened: list[object], times: int
) -> None:
    """SIGHUP that comes too early ends nothing: one reload follows, however many came."""

    def take_over() -> None:
        signals.on_reload(lambda: happened.append("reload"))

    signals.on_stop(take_over)
    for _ in range(times):
        send(signal.SIGHUP)
        assert signal.SIGHUP in signal.sigpending()
    threading.Thread(target=_send_later, args=(threading.get_ident(), signal.SIGTERM)).start()
    signals.run()
    assert happened == ["reload", GRACE_SECONDS, EXIT_OK]


def _send_later(thread: int, number: signal.Signals) -> None:
    """Send a signal to a thread when it has no SIGHUP pending any more."""
    wait_until(lambda: b"\nSigPnd:\t0000000000000000\n" in _status(thread))
    signal.pthread_kill(thread, number)


def _status(thread: int) -> bytes:
    (found,) = [running.native_id for running in threading.enumerate() if running.ident == thread]
    with open(f"/proc/self/task/{found}/status", "rb") as file:  # noqa: PTH123 - it is no file
        return file.read()


def test_each_sighup_reloads(signals: SignalThread, happened: list[object]) -> None:
    """Each SIGHUP that comes alone reloads; the process ends at the signal to stop only."""

    def reload() -> None:
        happened.append("reload")
        send(signal.SIGTERM if happened == ["reload"] * 3 else signal.SIGHUP)

    signals.on_reload(reload)
    send(signal.SIGHUP)
    signals.run()
    assert happened == ["reload", "reload", "reload", EXIT_OK]


def test_a_stop_signal_has_priority_over_sighup(
    signals: SignalThread, happened: list[object]
) -> None:
    """Where another SIGHUP waits whenever one was taken, a signal to stop is taken all the same."""

    def reload() -> None:
        happened.append("reload")
        send(signal.SIGHUP, signal.SIGTERM)

    signals.on_reload(reload)
    send(signal.SIGHUP)
    signals.run()
    assert happened == ["reload", EXIT_OK]
