"""Requests carry our time until ScaleEngine refuses it, and from then on ScaleEngine's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.scaleengine.clock import Clock
from exporter.scaleengine.timestamps import ServerTime

TRUE = 1_415_700_000
"""What time it is at ScaleEngine at first."""


class SkewedMachine:
    """A machine whose clock may be off, and ScaleEngine, whose clock is right."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.true = float(TRUE)
        self.ahead = ahead
        self.time = ServerTime(
            Clock(now=lambda: self.true + self.ahead, monotonic=lambda: self.true - TRUE)
        )

    def take_response(self) -> None:
        """Take a response, whose Date is cut to whole seconds."""
        self.time.update(int(self.true))

    @property
    def off(self) -> float:
        """Say how far the time for requests is ahead of ScaleEngine's, in seconds."""
        return self.time.now() - self.true


def test_the_skew_is_unknown_before_a_response() -> None:
    """Before any response there is no skew, and our clock is the only one there is."""
    machine = SkewedMachine(ahead=3600)
    assert machine.time.skew is None
    assert machine.off == 3600


def test_our_clock_is_used_before_any_response() -> None:
    """ScaleEngine's time cannot be used before a response; our clock is used until then."""
    machine = SkewedMachine(ahead=3600)
    machine.time.use_server_time()
    assert machine.off == 3600
    machine.take_response()
    assert machine.off == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize("ahead", [-3600, -1, 0, 1, 3600, 10**9])
def test_the_skew_is_our_clock_minus_the_servers(ahead: float) -> None:
    """The skew is our clock minus ScaleEngine's, whose Date is read as the middle of its second."""
    machine = SkewedMachine(ahead)
    assert machine.time.update(TRUE) == ahead - 0.5
    assert machine.time.skew == ahead - 0.5


@pytest.mark.parametrize(("ahead", "latest"), [(-3600, 0.5), (0, 0.5), (1, 1), (3600, 3600)])
def test_the_later_time_is_the_servers_where_our_clock_is_behind(
    ahead: float, latest: float
) -> None:
    """Before a response it is our clock's; then ScaleEngine's where ours is behind."""
    machine = SkewedMachine(ahead)
    assert machine.time.latest() == TRUE + ahead
    machine.take_response()
    assert machine.time.latest() == TRUE + latest


def test_an_untrusted_date_adds_a_week_at_most() -> None:
    """Until ScaleEngine's time is trusted, it is at most a week later than ours."""
    machine = SkewedMachine(-10 * 86_400)
    machine.take_response()
    assert machine.time.latest() == TRUE - 3 * 86_400
    machine.time.use_server_time()
    assert machine.time.latest() == TRUE + 0.5


def test_our_clock_does_not_count_once_the_server_is_trusted() -> None:
    """When ScaleEngine's time is trusted, ours does not count."""
    machine = SkewedMachine(10 * 86_400)
    machine.take_response()
    machine.time.use_server_time()
    assert machine.time.latest() == TRUE + 0.5


@pytest.mark.parametrize(("ahead", "earliest"), [(-3600, -3600), (0, 0), (1, 0.5), (3600, 0.5)])
def test_the_earlier_time_is_the_servers_where_our_clock_is_ahead(
    ahead: float, earliest: float
) -> None:
    """Where our clock is ahead it is ScaleEngine's."""
    machine = SkewedMachine(ahead)
    assert machine.time.earliest() == TRUE + ahead
    machine.take_response()
    assert machine.time.earliest() == TRUE + earliest


def test_an_untrusted_date_subtracts_a_day_at_most() -> None:
    """Until ScaleEngine's time is trusted, it is at most a day earlier than ours."""
    machine = SkewedMachine(10 * 86_400)
    machine.take_response()
    assert machine.time.earliest() == TRUE + 9 * 86_400
    machine.time.use_server_time()
    assert machine.time.earliest() == TRUE + 0.5


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9))
def test_the_skew_is_known_to_half_a_second(ahead: float, passed: float) -> None:
    """Wherever in its second a response was given, the skew is wrong by half a second at most."""
    machine = SkewedMachine(ahead)
    machine.true += passed
    machine.take_response()
    assert machine.time.skew == pytest.approx(ahead, abs=0.501)


def test_an_untrusted_date_does_not_move_the_request_time() -> None:
    """The Date header of a response does not move the time of requests: it may be a proxy's."""
    machine = SkewedMachine(ahead=3600)
    machine.take_response()
    assert machine.off == 3600


@pytest.mark.parametrize("ahead", [-3600, 3600])
def test_a_trusted_date_sets_the_request_time(ahead: float) -> None:
    """Once our time was refused, requests carry ScaleEngine's."""
    machine = SkewedMachine(ahead)
    machine.take_response()
    machine.time.use_server_time()
    machine.true += 1000
    assert machine.off == pytest.approx(0, abs=0.5)
    assert machine.time.skew == ahead - 0.5


@pytest.mark.parametrize("jump", [-7200, -1, 1, 7200])
def test_a_clock_jump_moves_the_skew_only(jump: float) -> None:
    """A jump of our clock moves the skew at once, and the time of requests not at all."""
    machine = SkewedMachine(ahead=3600)
    machine.take_response()
    machine.time.use_server_time()
    machine.true += 1000
    machine.ahead += jump
    assert machine.off == pytest.approx(0, abs=0.5)
    assert machine.time.skew == 3600 + jump - 0.5


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.booleans()), max_size=20),
)
def test_the_correction_is_kept_fresh(steps: list[tuple[float, float, bool]]) -> None:
    """However our clock jumps and time passes, the newest response sets the time of requests."""
    machine = SkewedMachine()
    machine.time.use_server_time()
    for jump, passing, answered in steps:
        machine.ahead += jump
        machine.true += passing
        if answered:
            machine.take_response()
            assert machine.off == pytest.approx(0, abs=0.501)


def test_our_clock_is_used_again_after_a_second_refusal() -> None:
    """Once ScaleEngine's time was refused as well, our clock serves again."""
    machine = SkewedMachine(ahead=3600)
    machine.take_response()
    machine.time.use_server_time()
    machine.time.use_local_time()
    machine.take_response()
    assert machine.off == 3600
