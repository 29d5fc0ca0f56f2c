"""The state of the simulated API: its accounts, the present behaviour, the requests so far."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from exporter.simulator.behaviour import AnyFault, Behaviour, FaultPicker
from exporter.simulator.commands import (
    ResponseContext,
    SimulatedResponse,
    build_refusal,
    cpu_users,
    respond,
)
from exporter.simulator.php import whole_number
from exporter.simulator.protocol import (
    RefusedError,
    SeenSignatures,
    SignedRequest,
    authorize,
    read_request,
)
from exporter.simulator.simulated_accounts import SimulatedAccount

KEPT = 100_000
"""How many requests are kept: the newest."""
ROUTE = "/stable/"
"""Where the API is."""
ELSEWHERE = "/elsewhere/"
"""Where a redirect may lead: the same API without faults, which accepts a signature twice."""

_NO_REQUEST = SignedRequest("", {})


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One HTTP request as the simulator understood it; what it lacked is None.

    ``time`` is the simulator's clock. ``has_key`` says whether it carried the key of an account;
    ``code`` is that of the failure in the response, "" for one without a code; ``fault`` what was
    broken on purpose, ``status`` the HTTP status meant for it.
    """

    time: float
    route: str
    command: str = ""
    cdn: int | None = None
    timestamp: int | None = None
    path: str | None = None
    file_type: str | None = None
    offset: int | None = None
    cpu: str | tuple[str, ...] | None = None
    starttime: str | int | None = None
    has_key: bool = False
    code: str | None = None
    fault: str | None = None
    status: int = 200


class ReceivedRequests:
    """Requests in the order of their responses; threads may wait for them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._requests: deque[ReceivedRequest] = deque(maxlen=KEPT)
        self._total = 0

    def add(self, request: ReceivedRequest) -> None:
        """Record a request."""
        with self._changed:
            self._requests.append(request)
            self._total += 1
            self._changed.notify_all()

    @property
    def newest(self) -> tuple[ReceivedRequest, ...]:
        """The newest requests, oldest first."""
        with self._changed:
            return tuple(self._requests)

    @property
    def total(self) -> int:
        """How many requests there were in all."""
        with self._changed:
            return self._total

    def wait_for(self, total: int, timeout: float) -> bool:
        """Wait until there were this many requests; return False after the timeout, in seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._total >= total, timeout)


@dataclass(frozen=True, slots=True)
class PlannedResponse:
    """The response to a request, its fault, and the behaviour in force."""

    response: SimulatedResponse
    fault: AnyFault | None
    behaviour: Behaviour


class SimulatedApi:
    """The API without HTTP. One thread calls ``plan_response``; any may call ``behave``."""

    def __init__(
        self,
        accounts: Sequence[SimulatedAccount],
        behaviour: Behaviour,
        clock: Callable[[], float],
        random: Random,
    ) -> None:
        self.log = ReceivedRequests()
        # By what a request is looked up with: there may be thousands. The first of equals counts.
        self._accounts = {(account.cdn, account.api_key): account for account in reversed(accounts)}
        self._keys = frozenset(account.api_key for account in accounts)
        self._clock = clock
        self._random = random
        self._seen = SeenSignatures()
        self._active = (behaviour, FaultPicker(behaviour.faults, random))

    def behave(self, behaviour: Behaviour) -> None:
        """Put a behaviour in force for the requests from now on; its faults count from 1."""
        self._active = (behaviour, FaultPicker(behaviour.faults, self._random))

    def plan_response(self, text: str | None, route: str) -> PlannedResponse:
        """Return the response to the text of a ``json`` field (None: there was none); record it."""
        behaviour, faults = self._active
        now = self._clock()
        checks = behaviour.checks
        if route == ELSEWHERE:
            checks = replace(checks, replay=False)
        request = _NO_REQUEST
        allowed: SimulatedAccount | RefusedError
        try:
            request = read_request(text)
            allowed = authorize(request, self._accounts, checks, self._seen, now)
        except RefusedError as error:
            allowed = error
        fault = None
        if route == ROUTE:
            path = request.text_field("path") or None
            fault = faults.pick(request.text_field("command"), path)
        response = _respond(request, allowed, ResponseContext(now, behaviour, fault, self._random))
        self.log.add(self._describe(request, route, now, response, fault))
        return PlannedResponse(response, fault, behaviour)

    def _describe(
        self,
        request: SignedRequest,
        route: str,
        now: float,
        response: SimulatedResponse,
        fault: AnyFault | None,
    ) -> ReceivedRequest:
        fields = request.fields
        cpu = fields.get("cpu")
        starttime = fields.get("starttime")
        return ReceivedRequest(
            time=now,
            route=route,
            command=request.text_field("command"),
            cdn=whole_number(fields.get("cdn")),
            timestamp=whole_number(fields.get("timestamp")),
            path=request.text_field("path") or None,
            file_type=request.text_field("type") or None,
            offset=whole_number(fields.get("offset")),
            cpu=cpu if cpu is None or isinstance(cpu, str) else cpu_users(request),
            starttime=starttime if isinstance(starttime, (str, int)) else None,
            has_key=request.text_field("api_key") in self._keys,
            code=response.code,
            fault=None if fault is None else fault.name,
            status=response.status if fault is None else fault.status or response.status,
        )


def _respond(
    request: SignedRequest, allowed: SimulatedAccount | RefusedError, context: ResponseContext
) -> SimulatedResponse:
    replaced = None if context.fault is None else context.fault.replace_response(context)
    if replaced is not None:
        return replaced
    if isinstance(allowed, RefusedError):
        return build_refusal(allowed, context)
    allowed.refresh(context.now)
    try:
        return respond(request, allowed, context)
    except RefusedError as error:
        return build_refusal(error, context)
