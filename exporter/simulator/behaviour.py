"""How a simulator behaves: slow or fast, by which reading, and the hook for faults.

The simulator knows no fault itself. Tests and benchmarks bring theirs: ``tests/support/faults.py``.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import Enum, auto
from random import Random
from typing import TYPE_CHECKING, Protocol

from aiohttp import web

from exporter.simulator.php import PhpValue, encode
from exporter.simulator.published import ListedFolder, PublishedFormat, ResponseFormat

if TYPE_CHECKING:
    from exporter.simulator.api import PlannedResponse
    from exporter.simulator.commands import ResponseContext, SimulatedResponse


class AnyFault(Protocol):
    """What goes wrong with a response; a method that changes nothing returns what it gets."""

    @property
    def name(self) -> str:
        """Return what the record of requests shows."""

    @property
    def status(self) -> int | None:
        """Return the HTTP status in the record of requests; None for that of the response."""

    def replace_response(self, context: "ResponseContext") -> "SimulatedResponse | None":
        """Return a response that is sent instead of any other, or None."""

    def change_listing(self, listed: ListedFolder, offset: int) -> ListedFolder:
        """Return the listing to send; ``offset`` is the requested one."""

    def change_content(self, content: Mapping[str, PhpValue]) -> Mapping[str, PhpValue]:
        """Return the content of a response, a mapping of one member."""

    def encode(self, envelope: Mapping[str, PhpValue]) -> bytes:
        """Return the body of a response."""

    async def send(
        self, request: web.BaseRequest, planned: "PlannedResponse", headers: Mapping[str, str]
    ) -> web.StreamResponse | None:
        """Send a response in another way than usual, or return None.

        Raises ConnectionError where the client has left.
        """


@dataclass(frozen=True, slots=True)
class FaultRule:
    """A fault and the requests that it hits.

    A request counts when it is of the command and of the path (None: any). ``requests`` are the
    numbers of those that are hit, from 1 on, counted from the moment at which the behaviour came
    into force: ``(3,)`` the third, ``range(1, 4)`` the first three, None all. ``share`` is the part
    of them that is hit, at random.
    """

    fault: AnyFault
    command: str | None = None
    path: str | None = None
    requests: Collection[int] | None = None
    share: float = 1.0

    def concerns(self, command: str, path: str | None) -> bool:
        """Return whether a request is counted."""
        return self.command in (None, command) and self.path in (None, path)

    def hits(self, number: int, draw: float) -> bool:
        """Return whether the counted request of this number is hit; ``draw`` is from 0 up to 1."""
        return (self.requests is None or number in self.requests) and draw < self.share


class FaultPicker:
    """Counts requests and finds the fault that hits each; for one behaviour, from its start on."""

    def __init__(self, faults: tuple[FaultRule, ...], random: Random) -> None:
        self._rules = faults
        self._random = random
        self._counts = [0] * len(faults)

    def pick(self, command: str, path: str | None) -> AnyFault | None:
        """Count a request and return the fault that hits it; of several the first."""
        picked: AnyFault | None = None
        for index, rule in enumerate(self._rules):
            if rule.concerns(command, path):
                self._counts[index] += 1
                hit = rule.hits(self._counts[index], self._random.random())
                picked = picked or (rule.fault if hit else None)
        return picked


def encode_body(envelope: Mapping[str, PhpValue], fault: AnyFault | None) -> bytes:
    """Return the body of a response."""
    return encode(envelope).encode() if fault is None else fault.encode(envelope)


async def send_response(
    request: web.BaseRequest, planned: "PlannedResponse", now: float
) -> web.StreamResponse:
    """Send a response; its Date header shows ``now``, unix seconds."""
    response, fault = planned.response, planned.fault
    headers = {"Date": formatdate(now, usegmt=True), "Content-Type": response.content_type}
    if response.retry_after is not None:
        headers["Retry-After"] = response.retry_after
    try:
        sent = None if fault is None else await fault.send(request, planned, headers)
    except ConnectionError:  # the client has left
        return web.Response()
    if sent is not None:
        return sent
    return web.Response(body=response.body, status=response.status, headers=headers)


class SignatureCheck(Enum):
    """How the server checks a signature; the API page names both ways, the real one is unknown."""

    BOTH = auto()
    RECEIVED_TEXT = auto()
    """The text as it came, with the signature cut off its end."""
    ENCODED_AGAIN = auto()
    """Decoded, the signature dropped, encoded again by PHP."""


@dataclass(frozen=True, slots=True)
class Checks:
    """What a request must pass. ``window`` is how many seconds a timestamp may be off.

    With ``replay`` a signature is accepted once only, as long as its timestamp is valid.
    """

    window: float = 300
    signature: SignatureCheck = SignatureCheck.BOTH
    replay: bool = True


@dataclass(frozen=True, slots=True)
class Behaviour:
    """All that can be switched while a simulator runs.

    ``latency`` is the wait before a response, in seconds, ``drip`` the wait between two bytes of a
    slow response in seconds. ``variant`` is how the pages of the API are read. Of several faults
    that hit one request the first counts.
    """

    latency: float = 0.0
    variant: ResponseFormat = field(default_factory=PublishedFormat)
    checks: Checks = field(default_factory=Checks)
    faults: tuple[FaultRule, ...] = ()
    drip: float = 0.05
