"""A reload keeps what is known of an account, also where it changes others."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from exporter.accounts import AccountPool, Dependencies, build_accounts
from exporter.polling.targets import DiskUsageTarget
from exporter.scaleengine.client import Credentials
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.errors import AuthError
from exporter.scaleengine.timestamps import TimestampAllocator
from exporter.scaleengine.transport import Connections, Endpoint
from exporter.settings import AccountSettings, Settings
from tests.support.sentences import REFUSED_KEY

CREDENTIALS = Credentials("key", "secret")
ENDPOINT = Endpoint("http://127.0.0.1:9/", timeout=30.0, connections=4)
WAITS: list[float] = []


async def sleep(seconds: float) -> None:
    WAITS.append(seconds)
    raise asyncio.CancelledError


AROUND = Dependencies(
    clock=Clock(now=lambda: 1000.0, monotonic=lambda: 0.0, sleep=sleep),
    timestamps=TimestampAllocator(lambda _: False),
    observe=lambda _: None,
    register=lambda _, __: None,
)
USAGE = DiskUsageTarget("other", 60.0, 180.0)
REFUSED = AuthError("disk.usage", REFUSED_KEY, "check api_key")

Renew = Callable[[AccountPool, Settings], AccountPool]


def account(name: str, cdn: int = 158) -> AccountSettings:
    return AccountSettings(name, cdn, lambda: CREDENTIALS)


PLAN = Settings(
    endpoint=ENDPOINT,
    concurrency=4,
    requests_per_second=5.0,
    requests_per_poll=5000,
    accounts=(account("main"), account("other", 159)),
    targets=(),
)


@pytest.fixture
def renew() -> Iterator[Renew]:
    """Return a function that reconciles accounts; the connections of both are closed at the end."""
    with ExitStack() as at_the_end:

        def reconcile(before: AccountPool, settings: Settings) -> AccountPool:
            after = before.reconcile(settings, AROUND)
            for held in (before, after):
                at_the_end.callback(held.close)
            return after

        yield reconcile


def before_reload() -> AccountPool:
    """Return accounts of which `main` is held by a 429, refused, and off in time by an hour."""
    known = build_accounts(PLAN, AROUND)
    main = known.accounts["main"]
    main.limiter.pause(600.0)
    main.breaker.record_refusal("disk_usage", CREDENTIALS, REFUSED, 600.0)
    main.client.time.update(4600.0)
    main.client.time.use_server_time()
    return known


SAME_API = [
    PLAN,
    replace(PLAN, concurrency=2),
    replace(PLAN, requests_per_second=None),
    replace(PLAN, requests_per_poll=7),
    replace(PLAN, endpoint=replace(ENDPOINT, timeout=5.0)),
    replace(PLAN, endpoint=replace(ENDPOINT, connections=1), concurrency=1),
    replace(PLAN, accounts=(account("main"),)),
    replace(PLAN, accounts=(account("new", 160), *PLAN.accounts)),
]


@pytest.mark.parametrize("settings", SAME_API)
def test_a_reload_keeps_pauses_refusals_and_clock_corrections(
    renew: Renew, settings: Settings
) -> None:
    """The wait that HTTP 429 asked for, refused credentials and ScaleEngine's time stay known."""
    before = before_reload()
    main = renew(before, settings).accounts["main"]

    assert main.limiter.pause_left() == 600.0
    assert main.breaker.find_refusal("disk_usage", CREDENTIALS) is REFUSED
    assert main.client.time.now() == pytest.approx(4600.5)
    assert main.limiter is before.accounts["main"].limiter, "requests in flight are counted twice"
    assert main.limits.max_requests == settings.requests_per_poll


@pytest.mark.parametrize("settings", SAME_API)
def test_connections_are_kept_while_they_are_made_in_the_same_way(
    renew: Renew, settings: Settings
) -> None:
    """Connections are kept exactly as long as they are made in the same way."""
    before = before_reload()
    after = renew(before, settings)
    kept = after.accounts["main"].client is before.accounts["main"].client

    assert kept == (settings.endpoint == ENDPOINT)


def test_a_renamed_account_keeps_its_state(renew: Renew) -> None:
    """An account that is renamed is the same at ScaleEngine; its requests carry the new name."""
    renamed = renew(before_reload(), replace(PLAN, accounts=(account("prod"), account("too"))))
    prod, too = renamed.accounts["prod"], renamed.accounts["too"]

    assert (prod.name, prod.client.account) == ("prod", "prod")
    assert prod.limiter.pause_left() == 600.0
    assert prod.client.time.now() == pytest.approx(4600.5)
    assert too.limiter.pause_left() == 0.0
    assert too.limiter is not prod.limiter


@pytest.mark.parametrize(
    "settings",
    [
        replace(PLAN, accounts=(account("main", 7),)),
        replace(PLAN, endpoint=replace(ENDPOINT, url="http://127.0.0.1:10/")),
    ],
)
def test_another_cdn_or_api_starts_without_state(renew: Renew, settings: Settings) -> None:
    """Another CDN under the same name, and another API, are strangers."""
    main = renew(before_reload(), settings).accounts["main"]

    assert main.limiter.pause_left() == 0.0
    assert main.breaker.find_refusal("disk_usage", CREDENTIALS) is None
    assert main.client.time.now() == 1000.0


OLD = (DiskUsageTarget("main", 60.0, 180.0), USAGE)
OTHER_SECRET = AccountSettings("main", 158, lambda: Credentials("key", "another"))


@pytest.mark.parametrize(
    ("changes", "replaced", "new_credentials"),
    [
        ({}, set(), set()),
        ({"requests_per_second": 1.0}, set(), set()),
        ({"endpoint": replace(ENDPOINT, timeout=5.0)}, set(), set()),
        ({"endpoint": replace(ENDPOINT, url="http://127.0.0.1:10/")}, {"main", "other"}, set()),
        ({"accounts": PLAN.accounts[::-1]}, set(), set()),
        ({"accounts": (replace(PLAN.accounts[0], cdn=7), PLAN.accounts[1])}, {"main"}, set()),
        ({"accounts": (OTHER_SECRET, PLAN.accounts[1])}, set(), {"main"}),
        ({"accounts": (account("new", 158), PLAN.accounts[1])}, set(), set()),
    ],
)
def test_another_cdn_or_api_makes_another_account(
    changes: dict[str, object], replaced: set[str], new_credentials: set[str]
) -> None:
    """Another CDN number or API makes another account; other credentials are those of the same."""
    settings = replace(PLAN, targets=OLD)
    changed = replace(settings, **changes)  # type: ignore[arg-type]
    delta = AccountPool(settings, {}, Connections(ENDPOINT)).compute_delta(changed)

    assert delta.replaced_accounts == replaced
    assert delta.accounts_with_new_credentials == new_credentials
    assert (delta.targets, delta.added, delta.removed) == (OLD, frozenset(), frozenset())


def test_another_interval_makes_another_target() -> None:
    """A target at another interval is another target; their order is that of the configuration."""
    often, new = replace(USAGE, interval=30.0), DiskUsageTarget("new", 60.0, 180.0)
    delta = AccountPool(replace(PLAN, targets=OLD), {}, Connections(ENDPOINT)).compute_delta(
        replace(PLAN, targets=(new, often, OLD[0]))
    )

    assert delta.targets == (new, often, OLD[0])
    assert delta.added == {new, often}
    assert delta.removed == {USAGE}


def test_a_kept_account_gets_the_limits_of_the_new_settings(renew: Renew) -> None:
    """An account that stays is polled within the new limits, not within those before."""
    after = renew(before_reload(), replace(PLAN, requests_per_second=0.5, concurrency=2))
    limiter = after.accounts["other"].limiter

    async def send() -> None:
        for _ in range(2):
            async with limiter.slot(USAGE):
                pass

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(send())
    assert WAITS == [2.0]


@pytest.mark.parametrize(
    ("changes", "is_kept"),
    [
        ({}, True),
        ({"concurrency": 2}, True),
        ({"endpoint": replace(ENDPOINT, timeout=5.0)}, False),
        ({"accounts": (account("main"),)}, False),
    ],
    ids=["same", "concurrency", "timeout", "secrets"],
)
def test_reloads_begin_no_second_read_of_a_file_that_hangs(
    renew: Renew, changes: dict[str, Any], *, is_kept: bool
) -> None:
    """Reloads while a file hangs begin no other read of it, unless they change what is read."""
    before = before_reload()
    after = renew(before, replace(PLAN, **changes))
    reader = before.accounts["main"].credentials
    assert (after.accounts["main"].credentials is reader) is is_kept
