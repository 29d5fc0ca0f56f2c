"""A machine whose clock is off asks as well as one whose clock is right, after one refusal.

``simulator`` keeps the true time here. It refuses a request whose time is more than five minutes
off, and a signed text that it has seen.
"""

import json
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from exporter.scaleengine.client import Client, Credentials, Exchange
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.disk_usage import request_disk_usage
from exporter.scaleengine.errors import ClockError, CorrectedClockError, Reason, ScaleEngineError
from exporter.scaleengine.file_listing import list_files
from exporter.scaleengine.timestamps import ServerTime, TimestampAllocator
from exporter.scaleengine.transport import Endpoint, Transport
from exporter.simulator import Behaviour, Checks, FaultRule, Folder, SimulatedAccount, Simulator
from tests.support.faults import Fault, Refusal
from tests.support.fixtures import StartFixedServer
from tests.support.sentences import CHECK_CLOCK, REFUSED_TIME

NOW = 1415700000
"""2014-11-11 10:00 UTC."""

HOUR = 3600
WINDOW = 300

KNOWN = Credentials("APX4GKLM0RKQLSP2FBO1ROPKSSW47DZE", "8fc8c48da81e6a2a06a9556379bf798af508dc")


class SkewedMachine:
    """A machine whose clock is off by ``off`` seconds; the true time goes on when it waits."""

    def __init__(self, off: float = 0.0) -> None:
        self.true = float(NOW)
        self.off = off
        self.missed = 0.0
        """Seconds that the monotonic clock has not counted."""
        self.exchanges: list[Exchange] = []

    def client(self, url: str) -> Client:
        """Return a client that goes by this machine's clock."""
        clock = Clock(now=lambda: self.true + self.off, monotonic=lambda: self.true - self.missed)
        return Client(
            account="main",
            cdn=158,
            transport=Transport(Endpoint(url, timeout=60.0, connections=1)),
            timestamps=TimestampAllocator(self._wait),
            clock=clock,
            time=ServerTime(clock),
            observe=self.exchanges.append,
        )

    def _wait(self, seconds: float) -> bool:
        self.true += seconds
        return False


def scaleengine(machine: SkewedMachine, late: float = 0.0) -> Simulator:
    """Return a simulator with the true time, which sees the first request ``late`` seconds late."""
    waits = [late]

    def read_clock() -> float:
        machine.true += waits.pop() if waits else 0.0
        return machine.true

    storage = Folder()
    storage.make("sestore4/jb")
    account = SimulatedAccount(158, KNOWN.api_key, KNOWN.api_secret, storage=storage)
    return Simulator([account], clock=read_clock)


@pytest.fixture
def machine() -> SkewedMachine:
    """Return a machine whose clock is right at first."""
    return SkewedMachine()


@pytest.fixture
def simulator(machine: SkewedMachine) -> Iterator[Simulator]:
    """Run a simulator that has the true time."""
    with scaleengine(machine) as running:
        yield running


@pytest.fixture
def client(machine: SkewedMachine, simulator: Simulator) -> Iterator[Client]:
    """Return a client of the simulator's that goes by the machine's clock."""
    with closing(machine.client(simulator.url)) as made:
        yield made


def ask(client: Client) -> None:
    """Make a request."""
    list_files(client, KNOWN, "sestore4/jb", "video", 0)


def refused(client: Client) -> ScaleEngineError:
    """Make a request that is refused for its time, and return the error."""
    with pytest.raises(ClockError) as caught:
        ask(client)
    return caught.value


def refusal(date: str = "") -> bytes:
    """Return a response that refuses the time of a request; ``date`` is a header line, or none."""
    body = json.dumps({"status": "failure", "code": "0002", "message": "Timestamp"}).encode()
    head = f"HTTP/1.1 200 OK\r\n{date}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def codes(simulator: Simulator) -> list[str | None]:
    """Return how the requests ended, oldest first."""
    return [request.code for request in simulator.requests]


@pytest.mark.parametrize(
    ("off", "compared"),
    [
        (HOUR, "the clock of this machine is 3600 s ahead of ScaleEngine's"),
        (-HOUR, "the clock of this machine is 3600 s behind ScaleEngine's"),
        (WINDOW + 1, "the clock of this machine is 300 s ahead of ScaleEngine's"),
        (-10 * 365 * 24 * HOUR, "the clock of this machine is 315360000 s behind ScaleEngine's"),
    ],
)
def test_a_wrong_clock_is_refused_once(
    machine: SkewedMachine, simulator: Simulator, client: Client, off: float, compared: str
) -> None:
    """The first request is refused and may be made again at once; all later ones are accepted."""
    machine.off = off
    with capture_logs() as lines:
        error = refused(client)
        for _ in range(5):
            ask(client)
            machine.true += 1000

    (line,) = [line for line in lines if line["event"] == "clock corrected"]
    assert (line["log_level"], line["account"], line["skew"]) == ("info", "main", off - 0.5)
    assert str(error) == (f"{REFUSED_TIME} (0002); {compared}: {CHECK_CLOCK}")
    assert type(error) is CorrectedClockError
    assert codes(simulator) == ["0002", None, None, None, None, None]
    assert machine.exchanges[0].reason is Reason.CLOCK
    assert [exchange.skew for exchange in machine.exchanges] == [off - 0.5] * 6


@pytest.mark.parametrize("off", [-WINDOW + 1, -1, 0, 1, WINDOW - 1])
def test_an_accepted_time_is_not_corrected(
    machine: SkewedMachine, simulator: Simulator, client: Client, off: float
) -> None:
    """A time that ScaleEngine accepts is not corrected: requests carry our own."""
    machine.off = off
    ask(client)

    assert [request.timestamp for request in simulator.requests] == [NOW + off]
    assert client.time.now() == NOW + off


@pytest.mark.parametrize("off", [-HOUR, HOUR])
def test_the_days_of_a_disk_usage_end_today_by_the_servers_time(
    machine: SkewedMachine, simulator: Simulator, client: Client, off: float
) -> None:
    """The thirty days of a disk usage end today by ScaleEngine's time, once that is known."""
    machine.true = NOW - 10 * HOUR + (HOUR / 2 if off < 0 else 23.5 * HOUR)
    machine.off = off
    refused(client)
    request_disk_usage(client, KNOWN, ())

    midnight = NOW - 10 * HOUR
    assert simulator.requests[-1].starttime == midnight - 29 * 24 * HOUR


@pytest.mark.parametrize("before", [-HOUR, HOUR])
@pytest.mark.parametrize("after", [-2 * HOUR, 0, 2 * HOUR])
def test_a_jump_after_a_correction_is_not_refused(
    machine: SkewedMachine, simulator: Simulator, client: Client, before: float, after: float
) -> None:
    """A clock that is set right, or jumps elsewhere, costs no further refusal.

    Requests go by ScaleEngine's time, which the monotonic clock continues.
    """
    machine.off = before
    refused(client)
    ask(client)
    machine.off = after
    assert client.time.skew == pytest.approx(after, abs=1)
    for _ in range(3):
        machine.true += 1000
        ask(client)

    assert codes(simulator) == ["0002", None, None, None, None]
    assert client.time.skew == pytest.approx(after, abs=1)


def test_time_that_the_monotonic_clock_misses_is_noticed(
    machine: SkewedMachine, simulator: Simulator, client: Client
) -> None:
    """Time that the monotonic clock does not count, as in a suspended virtual machine, is noticed.

    It costs one more refusal, and no more.
    """
    machine.off = HOUR
    refused(client)
    machine.missed = 2 * HOUR
    refused(client)
    for _ in range(3):
        ask(client)

    assert codes(simulator) == ["0002", "0002", None, None, None]


def test_a_right_clock_that_is_refused_is_not_blamed(
    machine: SkewedMachine, simulator: Simulator, client: Client
) -> None:
    """Where the clock is not the cause, the advice does not name it."""
    simulator.behave(Behaviour(checks=Checks(window=-1)))
    machine.off = 2
    error = refused(client)

    assert str(error) == (
        f"{REFUSED_TIME} (0002); "
        "the clock of this machine shows the same time as ScaleEngine's: "
        "it may be temporary; if it lasts, ask ScaleEngine's support"
    )


def test_a_late_request_corrects_no_clock(machine: SkewedMachine) -> None:
    """No clock is wrong, and the log does not say that one was corrected."""
    with (
        scaleengine(machine, late=WINDOW + 100.0) as simulator,
        closing(machine.client(simulator.url)) as client,
        capture_logs() as lines,
    ):
        error = refused(client)
        ask(client)

    assert "shows the same time as ScaleEngine's" in str(error)
    assert codes(simulator) == ["0002", None]
    assert [line["event"] for line in lines if line["log_level"] != "debug"] == []


def test_a_clock_that_goes_wrong_later_is_corrected(machine: SkewedMachine) -> None:
    """It is corrected and logged then: the late request was none of its doing."""
    with (
        scaleengine(machine, late=WINDOW + 100.0) as simulator,
        closing(machine.client(simulator.url)) as client,
        capture_logs() as lines,
    ):
        refused(client)
        machine.off = HOUR
        refused(client)
        ask(client)

    assert codes(simulator) == ["0002", "0002", None]
    events = [line["event"] for line in lines if line["log_level"] != "debug"]
    assert events == ["clock corrected"]


@pytest.mark.parametrize("date", ["", "Date: \r\n", "Date: yesterday\r\n"])
def test_a_refusal_without_a_date_corrects_nothing(
    machine: SkewedMachine, fixed_server: StartFixedServer, date: str
) -> None:
    """Without ScaleEngine's time there is no correction: the operator has to set the clock."""
    machine.off = HOUR
    with closing(machine.client(fixed_server(refusal(date)))) as client:
        error = refused(client)

        assert type(error) is ClockError
        assert str(error) == (f"{REFUSED_TIME} (0002): {CHECK_CLOCK}")
        assert client.time.skew is None
        assert client.time.now() == NOW + HOUR


def test_only_the_date_of_the_refusal_corrects_the_clock(
    machine: SkewedMachine, fixed_server: StartFixedServer
) -> None:
    """It is the refusal itself that must have the time: an earlier one may be outdated."""
    machine.off = HOUR
    with closing(machine.client(fixed_server(refusal()))) as client:
        client.time.update(NOW)

        assert type(refused(client)) is ClockError
        assert client.time.now() == NOW + HOUR


@pytest.mark.parametrize("fault", [Refusal("0001"), Refusal("0003"), Fault.HTML_PAGE])
def test_the_date_of_other_failures_corrects_nothing(
    machine: SkewedMachine, simulator: Simulator, client: Client, fault: Refusal | Fault
) -> None:
    """The time of a response that does not refuse ours is taken note of, and not gone by."""
    simulator.behave(Behaviour(faults=(FaultRule(fault),)))
    machine.off = HOUR
    with pytest.raises(ScaleEngineError):
        ask(client)

    assert client.time.skew == HOUR - 0.5
    assert client.time.now() == NOW + HOUR


@settings(max_examples=20)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 0, 0, 1, -1, 100, -100, HOUR, -HOUR, 30 * HOUR, -30 * HOUR]),
            st.sampled_from([0.0, 0.0, 0.3, 1.0, 60.0, HOUR]),
        ),
        max_size=20,
    )
)
def test_each_jump_costs_one_refusal_at_most(steps: list[tuple[float, float]]) -> None:
    """However the clock jumps: each jump costs a refusal at most, and no text is sent twice."""
    machine = SkewedMachine()
    with scaleengine(machine) as simulator, closing(machine.client(simulator.url)) as client:
        for jump, passing in steps:
            machine.off += jump
            machine.true += passing
            before = simulator.request_count
            try:
                ask(client)
            except ClockError:
                ask(client)
            assert simulator.request_count - before <= 1 + (jump != 0)

        timestamps = [request.timestamp for request in simulator.requests]
        assert len(set(timestamps)) == len(timestamps)


def test_a_wrong_date_returns_to_our_clock(
    machine: SkewedMachine, fixed_server: StartFixedServer
) -> None:
    """Where it is the Date that is wrong, as a proxy's may be, our own clock serves again.

    A right request is refused once, as a replay may be; the next one goes by the wrong Date, and
    after that was refused too, the one that follows carries the right time.
    """
    wrong = "Date: Tue, 11 Nov 2014 11:00:00 GMT\r\n"  # an hour ahead
    with closing(machine.client(fixed_server(refusal(wrong)))) as client:
        timestamps = []
        for _ in range(3):
            timestamps.append(round(client.time.now()))
            refused(client)
    assert timestamps == [NOW, NOW + HOUR, NOW]
