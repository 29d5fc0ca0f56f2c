"""How many requests are accepted."""

from base64 import b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING

import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.web.config_file import WebConfig
from exporter.web.config_file.middleware import TokenBucket
from exporter.web.config_file.web_config import RateLimit
from tests.support.clocks import FakeClock

if TYPE_CHECKING:
    from tests.web_config.conftest import Site


def test_a_burst_is_served_and_then_one_request_an_interval() -> None:
    """Given one in two seconds and three at once, then the fourth waits two seconds."""
    clock = FakeClock(50.0)
    bucket = TokenBucket(RateLimit(interval=2.0, burst=3), clock)
    assert [bucket.take() for _ in range(4)] == [0.0, 0.0, 0.0, 2.0]
    clock.monotonic += 1.5
    assert bucket.take() == 0.5
    clock.monotonic += 0.5
    assert [bucket.take(), bucket.take()] == [0.0, 2.0]
    clock.monotonic += 1000.0
    assert [bucket.take() for _ in range(4)] == [0.0, 0.0, 0.0, 2.0]


@settings(deadline=None)  # a busy machine is no failure
@given(
    interval=st.floats(0.001, 100.0),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0.0, 50.0), max_size=100),
)
def test_no_more_than_the_burst_and_the_rate_are_served(
    interval: float, burst: int, pauses: list[float]
) -> None:
    """In any time, at most the burst and one for each interval are served."""
    clock = FakeClock(50.0)
    bucket = TokenBucket(RateLimit(interval, burst), clock)
    served = 0
    for pause in pauses:
        clock.monotonic += pause
        served += bucket.take() == 0.0
    assert served <= burst + (clock.monotonic - 50.0) / interval + 1e-6


def test_too_many_requests_get_429_with_retry_after(
    serve: Callable[[str], "Site"],
) -> None:
    """The response is 429 with Retry-After, for any path."""
    site = serve("rate_limit: {interval: 1h, burst: 2}\n")
    assert [site.ask().status, site.ask("/nowhere").status] == [200, 404]
    response = site.ask()
    assert (response.status, response.body) == (429, b"Too Many Requests\n")
    assert 3590 < int(response.headers["Retry-After"]) <= 3600


def test_requests_without_a_password_do_not_use_up_the_burst(
    serve: Callable[[str], "Site"],
) -> None:
    """However many come without the right password, a client that has it gets the whole burst."""
    hashed = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
    site = serve(
        f"basic_auth_users: {{prometheus: {hashed}}}\nrate_limit: {{interval: 1h, burst: 2}}\n"
    )
    right = {"Authorization": "Basic " + b64encode(b"prometheus:right").decode()}
    wrong = {"Authorization": "Basic " + b64encode(b"prometheus:wrong").decode()}
    assert {site.ask(headers=headers).status for headers in (None, wrong) * 5} == {401}
    assert [site.ask(headers=right).status for _ in range(3)] == [200, 200, 429]
    assert site.ask(headers=wrong).status == 401


def test_a_reload_with_the_same_limit_fills_no_bucket(serve: Callable[[str], "Site"]) -> None:
    """Given a bucket that is empty, then only another limit, or none, begins again."""
    text = "rate_limit: {interval: 1h, burst: 1}\n"
    site = serve(text)
    assert [site.ask().status, site.ask().status] == [200, 429]
    for new, status in ((text + "http_server_config: {}\n", 429), (text.replace("1}", "2}"), 200)):
        (site.folder / "web.yml").write_text(new)
        assert site.refresh_twice() == ()
        assert site.ask().status == status
    for new in ("basic_auth_users: {}\n", text):
        (site.folder / "web.yml").write_text(new)
        assert site.refresh_twice() == ()
        assert site.ask().status == 200


@pytest.mark.parametrize("interval", ["0", "0s", "0.0"])
def test_no_interval_is_no_limit(load: Callable[[str], WebConfig], interval: str) -> None:
    """As in the toolkit, 0 switches the limit off."""
    assert load(f"rate_limit: {{interval: {interval}, burst: 5}}\n").rate_limit is None


def test_an_interval_is_a_duration(load: Callable[[str], WebConfig]) -> None:
    """It is written as durations are everywhere."""
    limit = load("rate_limit: {interval: 1m30s, burst: 5}\n").rate_limit
    assert limit == RateLimit(interval=90.0, burst=5)
