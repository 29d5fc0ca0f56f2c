"""Every fault, and what the exporter has to show for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final

from bench.faults.environment import INTERVAL, PATH, Environment, Way
from bench.faults.truth import Holdings
from exporter.scaleengine.errors import Reason
from exporter.simulator import FaultRule
from exporter.simulator.behaviour import AnyFault
from tests.support.faults import BUSY, Fault, HttpError, Refusal

_BUSY_SECONDS: Final = 120.0
_LONG_TIMEOUT: Final = 10.0
_SHORT_TIMEOUT: Final = 0.4
_HOUR: Final = 3600.0
_WALK: Final = 12
"""More requests than a whole walk of the account takes."""


@dataclass(frozen=True, slots=True)
class Spoiled:
    """What a fault makes of polls: why they fail (None: they do not), and of what is up.

    ``requests`` are those that a failing poll makes at most: they bound what is tried again.
    """

    usage: Reason | None
    files: Reason | None
    up: bool
    requests: int = 1


@dataclass(frozen=True, slots=True)
class Case:
    """A fault by its name: how it begins, and what is to come of it.

    ``faults`` are the responses it spoils; ``begin`` does the rest. ``asked`` are the seconds
    that ScaleEngine asks to wait, ``skew`` those by which the clock is wrong.
    It lasts until each target has finished a poll; ``until_stale``, until the last good numbers
    count no more. ``timeout`` is that of a request, in real seconds. ``alone`` is for what takes so
    much of the processor that the simulated time of others would run away from them.
    """

    name: str
    spoiled: Spoiled
    faults: tuple[FaultRule, ...] = ()
    begin: Callable[[Environment], None] | None = None
    way: Way = Way.STRAIGHT
    asked: float = 0.0
    skew: float = 0.0
    until_stale: bool = False
    timeout: float = 2.0
    at_start: bool = True
    alone: bool = False

    def begin_in(self, environment: Environment) -> None:
        """Let the fault begin."""
        if self.faults:
            environment.spoil(*self.faults)
        if self.begin is not None:
            self.begin(environment)

    @property
    def waits(self) -> bool:
        """Return whether real time passes while nothing happens."""
        return self.timeout == _SHORT_TIMEOUT


def catalogue() -> Sequence[Case]:
    """Return all cases, in the order of the table."""
    return (
        *_codes(),
        *_statuses(),
        *_bodies(),
        *_contents(),
        *_connections(),
        *_walks(),
        *_circumstances(),
    )


def _all_requests(
    name: str, fault: AnyFault, reason: Reason, *, up: bool = False, requests: int = 1
) -> Case:
    """Return a fault of every response."""
    return Case(name, Spoiled(reason, reason, up, requests), (FaultRule(fault),))


def _listings(name: str, fault: Fault, reason: Reason, requests: int = 1) -> Case:
    """Return a fault of the responses of files.list only."""
    return Case(
        name,
        Spoiled(None, reason, up=True, requests=requests),
        (FaultRule(fault, command="files.list"),),
    )


def _once(name: str, fault: AnyFault) -> Case:
    """Return a fault of the first response to each command, which the same poll gets over."""
    faults = tuple(
        FaultRule(fault, command, requests=(1,)) for command in ("disk.usage", "files.list")
    )
    return Case(name, Spoiled(None, None, up=True), faults)


def _codes() -> Sequence[Case]:
    return (
        _all_requests("code 0000", Refusal("0000"), Reason.API, up=True),
        _all_requests("code 0001", Refusal("0001"), Reason.AUTH),
        _all_requests("code 0002", Refusal("0002"), Reason.CLOCK, requests=2),
        _once("code 0002 once (replayed)", Refusal("0002")),
        _all_requests("code 0003", Refusal("0003"), Reason.SIGNATURE),
        _all_requests("code 0004", Refusal("0004"), Reason.SERVER, requests=3),
        _once("code 0004 once", Refusal("0004")),
        _all_requests("code 0005", Refusal("0005"), Reason.AUTH),
        _all_requests("code 0006", Refusal("0006"), Reason.API, up=True),
        Case(
            "code 1000",
            Spoiled(Reason.RATE_LIMITED, Reason.RATE_LIMITED, up=False, requests=3),
            (FaultRule(BUSY),),
            asked=_BUSY_SECONDS,
        ),
        _all_requests("unknown code 4242", Refusal("4242"), Reason.API, up=True),
    )


def _statuses() -> Sequence[Case]:
    limited = Spoiled(Reason.RATE_LIMITED, Reason.RATE_LIMITED, up=False, requests=3)
    failing = Spoiled(Reason.SERVER, Reason.SERVER, up=False, requests=3)
    minute = 60.0

    def until_a_date(environment: Environment) -> None:
        date = formatdate(environment.time.now() + minute, usegmt=True)
        environment.spoil(FaultRule(HttpError(429, retry_after=date)))

    return (
        _all_requests("HTTP 401", HttpError(401), Reason.AUTH),
        _all_requests("HTTP 403", HttpError(403), Reason.AUTH),
        _all_requests("HTTP 429", HttpError(429), Reason.RATE_LIMITED, requests=3),
        Case(
            "HTTP 429, Retry-After 60",
            limited,
            (FaultRule(HttpError(429, retry_after="60")),),
            asked=minute,
        ),
        Case("HTTP 429, Retry-After a date", limited, begin=until_a_date, asked=minute),
        _all_requests("HTTP 500", HttpError(500), Reason.SERVER, requests=3),
        _all_requests("HTTP 503", HttpError(503), Reason.SERVER, requests=3),
        Case(
            "HTTP 503, Retry-After 60",
            failing,
            (FaultRule(HttpError(503, retry_after="60")),),
            asked=minute,
        ),
        Case(
            "HTTP 500 past stale_after",
            failing,
            (FaultRule(HttpError(500)),),
            until_stale=True,
            at_start=False,
        ),
    )


def _bodies() -> Sequence[Case]:
    names = {
        "an HTML page": Fault.HTML_PAGE,
        "an empty body": Fault.EMPTY_BODY,
        "a truncated body": Fault.TRUNCATED,
        "null": Fault.NULL,
        "a list": Fault.A_LIST,
        "NaN": Fault.NAN,
        "a number of 10,000 digits": Fault.HUGE_NUMBER,
        "duplicate keys": Fault.DUPLICATE_KEYS,
        "deep nesting": Fault.DEEP_NESTING,
        "bytes that are no UTF-8": Fault.BAD_UTF8,
        "a redirect": Fault.REDIRECT,
    }
    spoiled = Spoiled(Reason.PROTOCOL, Reason.PROTOCOL, up=False)
    large = {"an endless body": Fault.ENDLESS_BODY, "a gzip bomb": Fault.GZIP_BOMB}
    return (
        *(_all_requests(name, fault, Reason.PROTOCOL) for name, fault in names.items()),
        *(
            Case(name, spoiled, (FaultRule(fault),), timeout=_LONG_TIMEOUT, alone=True)
            for name, fault in large.items()
        ),
    )


def _contents() -> Sequence[Case]:
    both = {
        "half a surrogate pair": Fault.LONE_SURROGATE,
        "rows that are not rows": Fault.NOT_ROWS,
        "a text for a folder": Fault.NOT_A_FOLDER,
    }
    return (
        *(_all_requests(name, fault, Reason.PROTOCOL, up=True) for name, fault in both.items()),
        _listings("another path than requested", Fault.OTHER_PATH, Reason.PROTOCOL),
    )


def _connections() -> Sequence[Case]:
    timed_out = Spoiled(Reason.TIMEOUT, Reason.TIMEOUT, up=False, requests=3)
    unreachable = Spoiled(Reason.NETWORK, Reason.NETWORK, up=False, requests=3)
    slow = {
        "no response": Fault.HANG,
        "slow headers": Fault.SLOW_HEADERS,
        "a slow body": Fault.SLOW_BODY,
    }

    def expired(environment: Environment) -> None:
        environment.show_certificate(lambda certificates: certificates.expired)

    def wrong_name(environment: Environment) -> None:
        environment.show_certificate(lambda certificates: certificates.wrong_name)

    return (
        *(
            Case(name, timed_out, (FaultRule(fault),), timeout=_SHORT_TIMEOUT)
            for name, fault in slow.items()
        ),
        _all_requests("reset", Fault.RESET, Reason.NETWORK, requests=3),
        _all_requests("reset in the body", Fault.RESET_IN_BODY, Reason.NETWORK, requests=3),
        _once("reset once", Fault.RESET),
        Case("connection refused", unreachable, begin=Environment.refuse, way=Way.BY_PROXY),
        Case("name not found", unreachable, begin=Environment.lose_name, way=Way.BY_NAME),
        Case("expired certificate", unreachable, begin=expired, way=Way.BY_TLS),
        Case("certificate of another name", unreachable, begin=wrong_name, way=Way.BY_TLS),
    )


def _walks() -> Sequence[Case]:
    incomplete = Spoiled(None, Reason.INCOMPLETE, up=True, requests=_WALK)

    def vanish(held: Holdings) -> None:
        held.storage.remove(f"{PATH}/live")

    def added(name: str) -> Callable[[Holdings], None]:
        return lambda held: held.storage.add(f"{PATH}/{name}.mp4")

    def removed(name: str) -> Callable[[Holdings], None]:
        return lambda held: held.storage.remove(f"{PATH}/{name}.mp4")

    def in_mid_walk(*happens: Callable[[Holdings], None]) -> Callable[[Environment], None]:
        def begin(environment: Environment) -> None:
            environment.mid_walk = happens

        return begin

    return (
        _listings("an offset that does not move", Fault.STUCK_OFFSET, Reason.INCOMPLETE, _WALK),
        _listings("a folder always skipped", Fault.ALWAYS_SKIPPED, Reason.INCOMPLETE, _WALK),
        _listings("a listing that gets shorter", Fault.SHRINKING, Reason.INCOMPLETE, _WALK),
        Case("a folder vanishes in mid-walk", incomplete, begin=in_mid_walk(vanish)),
        Case(
            "the tree grows in mid-walk",
            Spoiled(None, None, up=True),
            begin=in_mid_walk(*map(added, ("live/0 in front", "live/z behind", "news/late"))),
        ),
        Case(
            "the tree shrinks in mid-walk",
            incomplete,
            begin=in_mid_walk(*(removed(f"live/recording {number:03}") for number in range(5))),
        ),
    )


def _circumstances() -> Sequence[Case]:
    def clock_off(seconds: float) -> Callable[[Environment], None]:
        def begin(environment: Environment) -> None:
            environment.clock_off = seconds

        return begin

    unread = Spoiled(Reason.AUTH, Reason.AUTH, up=False, requests=0)
    right = Spoiled(None, None, up=True)
    return (
        Case("clock an hour ahead", right, begin=clock_off(_HOUR), skew=_HOUR),
        Case("clock an hour behind", right, begin=clock_off(-_HOUR), skew=-_HOUR),
        Case("the file of the secret gone", unread, begin=Environment.hide_secret),
    )


def stale_after(case: Case) -> float:
    """Return for how many seconds good numbers count in a case."""
    return (2 if case.until_stale else 3) * INTERVAL
