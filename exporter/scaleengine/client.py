"""Send signed requests for one account."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

import structlog

from exporter.process.resource_limits import find_resource_limit
from exporter.scaleengine.clock import Clock, Seconds
from exporter.scaleengine.envelope import RequestContext, open_envelope
from exporter.scaleengine.errors import (
    ApiRequest,
    ClockError,
    CorrectedClockError,
    ProtocolError,
    Reason,
    ResourceLimitError,
    ScaleEngineError,
)
from exporter.scaleengine.json_values import KEEP_OBJECTS, JsonObject, ObjectHook, SchemaError
from exporter.scaleengine.message_body import HttpResponse
from exporter.scaleengine.redaction import mask
from exporter.scaleengine.response_memory import RESPONSE_MEMORY, Arrival, MemoryWaitError
from exporter.scaleengine.signing import FieldValue, sign_request
from exporter.scaleengine.timestamps import ServerTime, TimestampAllocator
from exporter.scaleengine.transport import Transport

log: Final = structlog.get_logger(__name__)

T = TypeVar("T")

_SKEW_TOLERANCE: Final = 10
"""Seconds: far less than any window for timestamps, and enough for a slow response."""

_DATE_PRECISION: Final = 2
"""Seconds: what a Date header, cut to whole ones, and the way of a response may be wrong by."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The two secrets of an account, as ScaleEngine's panel shows them."""

    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Exchange:
    """How one request ended: what it took in seconds, and the reason if it failed.

    ``accepted`` says whether ScaleEngine accepted the credentials; None where that is not known.
    ``skew`` is our clock minus ScaleEngine's in seconds, if a response has shown it. ``status``
    is that of HTTP and ``size`` the bytes of the body, where there was a response; ``code`` is that
    of a failure that ScaleEngine reported, and ``cause`` says why it failed. Two that differ in
    these details alone are equal.
    """

    account: str
    command: str
    seconds: float
    reason: Reason | None
    accepted: bool | None
    skew: float | None = None
    request: ApiRequest | None = field(default=None, compare=False)
    status: int | None = field(default=None, compare=False)
    code: str | None = field(default=None, compare=False)
    size: int | None = field(default=None, compare=False)
    cause: str | None = field(default=None, compare=False)


@dataclass(slots=True)
class _Progress:
    """How far a request has come, while it is made; None for what is not known yet."""

    reason: Reason | None = Reason.PROTOCOL  # for failures that are not foreseen
    accepted: bool | None = None
    status: int | None = None
    size: int | None = None
    code: str | None = None
    cause: str | None = None

    def record_failure(self, error: ScaleEngineError) -> None:
        """Record why the request has failed."""
        self.reason, self.code, self.cause = error.reason, error.code, error.cause
        self.accepted = self.accepted or error.credentials_accepted

    def build_exchange(
        self, account: str, request: ApiRequest, seconds: float, skew: float | None
    ) -> Exchange:
        """Return how the request has ended."""
        return Exchange(
            account,
            request.command,
            seconds,
            self.reason,
            self.accepted,
            skew,
            request=request,
            status=self.status,
            code=self.code,
            size=self.size,
            cause=self.cause,
        )


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Client:
    """Sends the requests of one account; several threads may use it at once.

    ``observe`` is called when a request has ended, but not after ``close``: how those end shows
    nothing of ScaleEngine, and the name may belong to another account by then.
    """

    account: str
    cdn: int
    transport: Transport
    timestamps: TimestampAllocator
    clock: Clock
    time: ServerTime
    observe: Callable[[Exchange], None]

    def call(
        self,
        credentials: Credentials,
        command: str,
        fields: Mapping[str, FieldValue],
        read: Callable[[JsonObject], T],
        object_hook: ObjectHook = KEEP_OBJECTS,
    ) -> T:
        """Send one request and return what ``read`` makes of the response.

        ``object_hook`` says what takes the place of mappings while the response is read.

        The request is signed at the moment it is sent: a signed text that waited could be refused
        as too old, and one sent twice as a replay. Raises ScaleEngineError.
        """
        request, timestamp = self._build_request(credentials, command, fields)
        context = RequestContext(
            self.account, command, secrets=(credentials.api_key, credentials.api_secret)
        )
        sent = _describe(command, fields)
        progress = _Progress()
        began = self.clock.monotonic()
        try:
            transport = self.transport
            with RESPONSE_MEMORY.arrival(transport.timeout, lambda: transport.closed) as arrival:
                signed = sign_request(request, credentials.api_secret)
                response = transport.send(signed, context, arrival, self.time.monotonic)
                progress.status, progress.size = response.status, len(response.body)
                with self._turn_to_parse(response, context, arrival):
                    members = self._open_response(response, timestamp, context, object_hook)
                    progress.accepted = True
                    try:
                        result = read(members)
                    except SchemaError as unexpected:
                        raise _build_schema_error(unexpected, context) from None
                    finally:
                        del members  # it may be large, and its turn is over
            progress.reason = None
        except ScaleEngineError as error:
            error.request = sent
            progress.record_failure(error)
            raise
        except (OSError, RuntimeError, MemoryError) as error:
            limit = find_resource_limit(error)
            if limit is None:
                raise
            failure = context.build_error(ResourceLimitError, limit.cause, limit.advice)
            failure.request = sent
            progress.record_failure(failure)
            raise failure from None
        finally:
            if not self.transport.closed:
                seconds = self.clock.monotonic() - began
                self.observe(progress.build_exchange(self.account, sent, seconds, self.time.skew))
        return result

    def _build_request(
        self, credentials: Credentials, command: str, fields: Mapping[str, FieldValue]
    ) -> tuple[Mapping[str, FieldValue], int]:
        """Return the fields of a request, without its signature, and its timestamp."""
        signed_by = {"key": credentials.api_key, "secret": credentials.api_secret}
        asked = {"command": command, "cdn": self.cdn, **fields}
        timestamp = self.timestamps.allocate(signed_by | asked, self.time.now)
        request: Mapping[str, FieldValue] = {
            "command": command,
            "api_key": credentials.api_key,
            "timestamp": timestamp,
            "cdn": self.cdn,
            **fields,
        }
        return request, timestamp

    @contextmanager
    def _turn_to_parse(
        self, response: HttpResponse, context: RequestContext, arrival: Arrival
    ) -> Iterator[None]:
        try:
            with arrival.parsing(len(response.body)):
                yield
        except MemoryWaitError:
            if isinstance(response.body, bytearray):
                response.body.clear()  # a failure refers to it until it was logged
            raise self.transport.build_memory_wait_error(context) from None

    def _open_response(
        self,
        response: HttpResponse,
        timestamp: int,
        context: RequestContext,
        object_hook: ObjectHook,
    ) -> JsonObject:
        """Open the response to a request of that time, and record the time that it shows."""
        skew = None
        if response.date is not None:
            skew = self.time.update(response.date, response.received)
        try:
            return open_envelope(response, context, object_hook)
        except ClockError as refused:
            if skew is None or response.date is None:
                raise
            if abs(timestamp - response.date) > _SKEW_TOLERANCE:
                self._correct_clock(skew)
            else:  # it is not the time that was wrong, or not by this Date
                self.time.use_local_time()
            compared, advice = _describe_skew(skew)
            cause = f"{refused.cause}; {compared}"
            corrected = context.build_error(CorrectedClockError, cause, advice)
            corrected.code = refused.code
            raise corrected from None

    def _correct_clock(self, skew: float) -> None:
        """Send ScaleEngine's time from now on, and log that when it is new."""
        if abs(skew) <= _DATE_PRECISION:  # the request was too long on its way
            return
        if not self.time.is_trusted:
            log.info(
                "clock corrected",
                account=self.account,
                skew=Seconds(skew),
                advice=_describe_skew(skew)[1],
            )
        self.time.use_server_time()

    def close(self) -> None:
        """End the requests that are in progress; later ones fail."""
        self.transport.close()


def _describe(command: str, fields: Mapping[str, FieldValue]) -> ApiRequest:
    path, offset = fields.get("path", ""), fields.get("offset", 0)
    return ApiRequest(
        command,
        path if isinstance(path, str) else "",
        offset if isinstance(offset, int) else 0,
    )


def _build_schema_error(unexpected: SchemaError, context: RequestContext) -> ScaleEngineError:
    """Return the failure for a response that is malformed, and let go of the response."""
    unexpected.__traceback__ = None
    # It may quote a name from the response, and that may be the key.
    fault = mask(str(unexpected), context.secrets)
    return context.build_error(
        ProtocolError,
        f"the response is not what ScaleEngine documents: {fault}",
        "if it lasts, look for a newer release of this exporter",
    )


def _describe_skew(skew: float) -> tuple[str, str]:
    """Return how our clock differs from ScaleEngine's, and what to do about it."""
    seconds = round(abs(skew))
    if seconds <= _DATE_PRECISION:
        return (
            "the clock of this machine shows the same time as ScaleEngine's",
            "it may be temporary; if it lasts, ask ScaleEngine's support",
        )
    side = "ahead of" if skew > 0 else "behind"
    return (
        f"the clock of this machine is {seconds} s {side} ScaleEngine's",
        "check the clock of this machine",
    )
