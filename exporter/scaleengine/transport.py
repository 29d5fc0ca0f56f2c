"""Send one request to ScaleEngine and read the response, also from a faulty server.

A request is bounded in time (the whole of it) and in size, is never redirected, sends nothing but
what it was given (no cookies, no ``.netrc``), and verifies TLS always. What the environment says of
proxies and certificates is read in ``route`` alone.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Final
from urllib.parse import quote_plus, urlsplit

import requests
import structlog
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout

from exporter import __version__
from exporter.scaleengine.clock import since_boot
from exporter.scaleengine.connecting import AddressMemory
from exporter.scaleengine.deadline import DeadlineAdapter, RequestAttempt
from exporter.scaleengine.envelope import RequestContext
from exporter.scaleengine.errors import (
    NetworkError,
    RequestTimeoutError,
    ScaleEngineError,
)
from exporter.scaleengine.message_body import (
    BODY_LIMIT,
    BodyTooLargeError,
    HttpResponse,
    build_http_response,
    decompress,
    is_compressed,
)
from exporter.scaleengine.network_failures import (
    build_proxy_error,
    build_timeout_error,
    translate_error,
)
from exporter.scaleengine.redaction import quote_or_measure
from exporter.scaleengine.response_memory import RESPONSE_MEMORY, Arrival, MemoryWaitError
from exporter.scaleengine.route import find_route

log: Final = structlog.get_logger(__name__)

_SHOWN: Final = 200
_PIECE: Final = 64 * 1024
_HEADERS: Final = {
    "User-Agent": f"scaleengine-exporter/{__version__}",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Connection": "keep-alive",
    "Content-Type": "application/x-www-form-urlencoded",
}
_NO_TIMEOUT: Final = Timeout(connect=None, read=None)
_FORM: Final = {byte: quote_plus(bytes([byte])) for byte in range(256)}
"""How a form writes each byte of a text: ``quote_plus`` takes several times as long for a whole."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the API is and how to reach it.

    ``timeout`` (seconds) bounds one request, from the first packet to the last; ``connections`` are
    kept open for all accounts together; ``ca_file`` holds the certificates to trust instead of the
    well-known ones.
    """

    url: str
    timeout: float
    connections: int
    ca_file: Path | None = None

    def has_same_server(self, other: "Endpoint") -> bool:
        """Return whether credentials go to the same address, with the same certificates trusted."""
        return (self.url, self.ca_file) == (other.url, other.ca_file)


class Connections:
    """The connections to one endpoint, for the requests of all its accounts.

    Those that are idle are kept open, at most ``endpoint.connections``: a thousand accounts need
    no more than there are requests in flight. Any thread may call any method.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.route = find_route(endpoint.url, endpoint.ca_file, os.environ)
        self.addresses = AddressMemory()
        self._adapter = DeadlineAdapter(endpoint.connections)
        self._template = _build_template(endpoint.url)
        self._proxies: dict[str, str] = {}
        if self.route.proxy is not None:
            self._proxies = {urlsplit(endpoint.url).scheme: self.route.proxy.url}
        self._trust_version = self.route.trust.find_version()
        self._has_reported = False
        self._is_retired = False
        self._in_use = 0
        self._lock = threading.Lock()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep what a request of the ``with`` needs, also after ``retire``."""
        with self._lock:
            self._in_use += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_use -= 1
                is_last = self._is_retired and not self._in_use
            if is_last:
                self.close()

    def post(self, data: str) -> requests.Response:
        """Send a body and return the response, of which the head has been read.

        Raises what requests and urllib3 raise.
        """
        # The adapter alone: a session would add cookies, redirects and the settings of .netrc, and
        # prepare the same request again each time.
        request = requests.PreparedRequest()  # ``copy`` would copy a jar of cookies, too
        request.method, request.url = self._template.method, self._template.url
        request.headers = self._template.headers.copy()
        request.headers["Content-Length"] = str(len(data))
        request.body = data
        # Without a timeout of its own a socket blocks, and each send and each read is one system
        # call instead of two: the deadline of the attempt ends it.
        return self._adapter.send(
            request,
            stream=True,
            timeout=_NO_TIMEOUT,  # type: ignore[arg-type] # requests hands it on as it is
            verify=str(self.route.trust.path),
            proxies=self._proxies,
        )

    def check_trust(self) -> None:
        """Close the connections that are kept open, when the trusted certificates have changed.

        The peer of such a connection was verified with those of before.
        """
        if not self.route.uses_tls:
            return
        version = self.route.trust.find_version()
        with self._lock:  # a thread that finds the new version finds the old connections closed
            if version != self._trust_version:
                self.close()
                self._trust_version = version

    def report_malformed(self, lines: Sequence[bytes]) -> None:
        """Write the first malformed header line to the log: others are likely to be the same."""
        if lines and not self._has_reported:
            self._has_reported = True
            log.warning(
                "malformed header line ignored",
                line=quote_or_measure(lines[0].decode("latin-1"), _SHOWN),
                advice="report it to ScaleEngine's support; further ones are not logged",
            )

    def close(self) -> None:
        """Close the idle connections; a later request opens another one."""
        self._adapter.close()

    def retire(self) -> None:
        """Keep no connection open any more but for requests in progress, or still to come.

        To be called when others take the place of these: it may be long until the garbage collector
        closes the connections.
        """
        with self._lock:
            self._is_retired = True
            is_idle = not self._in_use
        if is_idle:
            self.close()


class Transport:
    """Sends the requests of one account, for several threads at once.

    ``connections`` may be shared by several; those of an Endpoint are closed with the transport.
    """

    def __init__(self, connections: Connections | Endpoint) -> None:
        self._owns_connections = isinstance(connections, Endpoint)
        self._connections = (
            Connections(connections) if isinstance(connections, Endpoint) else connections
        )
        self._running: list[RequestAttempt] = []
        self._closed = False
        self._lock = threading.Lock()

    def send(
        self,
        text: str,
        context: RequestContext,
        arrival: Arrival | None = None,
        monotonic: Callable[[], float] = since_boot,
    ) -> HttpResponse:
        """Post the text as the form field ``json`` and return the response.

        ``arrival`` holds the memory of the body; None for that of the request alone. ``monotonic``
        is the clock that is read when the head of the response has arrived: its body may have to
        wait for memory.

        Raises RequestTimeoutError, NetworkError (after ``close`` too), ResponseTooLargeError, or
        ProtocolError for a response that is no HTTP.
        """
        connections = self._connections
        fault = connections.route.find_fault()
        if fault is not None:
            raise context.build_error(NetworkError, fault.cause, fault.advice)
        connections.check_trust()
        with self._begin_attempt(context) as attempt:
            outcome = self._find_outcome(text, context, attempt, arrival, monotonic)
        if attempt.is_over and self._closed:
            raise _build_closed_error(context)
        self._remember(attempt, outcome)
        connections.report_malformed(attempt.malformed)
        if attempt.is_over:
            raise build_timeout_error(attempt, context, connections.route)
        if isinstance(outcome, HttpResponse):
            return outcome
        raise outcome

    @property
    def timeout(self) -> float:
        """Return the seconds that one request may take."""
        return self._connections.endpoint.timeout

    def build_memory_wait_error(self, context: RequestContext) -> ScaleEngineError:
        """Return the error for a response whose wait for the memory of others is over."""
        if self._closed:
            return _build_closed_error(context)
        return context.build_error(
            RequestTimeoutError,
            f"the response waited {self.timeout:g} s for memory that other responses take",
            "poll accounts with many CPU users at different intervals, or raise api.timeout",
        )

    @property
    def closed(self) -> bool:
        """Return whether ``close`` was called."""
        return self._closed

    def close(self) -> None:
        """End the requests that are in progress, and let none begin."""
        with self._lock:
            self._closed = True
            running = tuple(self._running)
        for attempt in running:
            attempt.abort()
        if self._owns_connections:
            self._connections.close()

    def _remember(self, attempt: RequestAttempt, outcome: HttpResponse | ScaleEngineError) -> None:
        """Begin with the address that works, and with another one after a failure."""
        if attempt.connected is None:
            return
        if isinstance(outcome, HttpResponse) and not attempt.is_over:
            self._connections.addresses.record_success(attempt.connected)
        else:
            self._connections.addresses.record_failure(attempt.connected)

    @contextmanager
    def _begin_attempt(self, context: RequestContext) -> Iterator[RequestAttempt]:
        attempt = RequestAttempt(self.timeout, self._connections.addresses)
        with self._lock:
            if self._closed:
                raise _build_closed_error(context)
            self._running.append(attempt)
        try:
            with self._connections.in_use(), attempt:
                yield attempt
        finally:
            with self._lock:
                self._running.remove(attempt)

    def _find_outcome(
        self,
        text: str,
        context: RequestContext,
        attempt: RequestAttempt,
        arrival: Arrival | None,
        monotonic: Callable[[], float],
    ) -> HttpResponse | ScaleEngineError:
        """Return the response or the failure, which then has no tie to the request and its key."""
        try:
            with (
                RESPONSE_MEMORY.arrival(is_cancelled=lambda: self._closed)
                if arrival is None
                else nullcontext(arrival)
            ) as held:
                return self._post(text, context, attempt, held, monotonic)
        except MemoryWaitError:
            return self.build_memory_wait_error(context)
        except (requests.RequestException, HTTPError, HTTPException, OSError) as error:
            return translate_error(error, context, self._connections.route)

    def _post(
        self,
        text: str,
        context: RequestContext,
        attempt: RequestAttempt,
        arrival: Arrival,
        monotonic: Callable[[], float],
    ) -> HttpResponse:
        route = self._connections.route
        # Encoded here: requests would judge what it is given by slow checks of protocols.
        form = text.encode().decode("latin-1").translate(_FORM)
        with self._connections.post(f"json={form}") as response:
            received = monotonic()
            status = response.status_code
            if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED and route.proxy:
                raise build_proxy_error(status, context, route)
            body = bytearray()
            for piece in _iter_content(response):
                if len(body) + len(piece) > BODY_LIMIT:
                    raise BodyTooLargeError
                if not arrival.try_to_admit(len(body) + len(piece)):
                    with attempt.paused():
                        arrival.admit(len(body) + len(piece))
                body += piece
            return build_http_response(status, body, response.headers, received)


def _iter_content(response: requests.Response) -> Iterator[bytes]:
    """Return the pieces of a body, decompressed; in an unknown coding, as they are."""
    pieces: Iterator[bytes] = response.raw.stream(_PIECE, decode_content=False)
    coding = response.headers.get("Content-Encoding", "")
    return decompress(pieces, coding) if is_compressed(coding) else pieces


def _build_closed_error(context: RequestContext) -> ScaleEngineError:
    return context.build_error(NetworkError, "the exporter is stopping", "start it again")


def _build_template(url: str) -> requests.PreparedRequest:
    """Return the request for a URL, without its body."""
    return requests.Request("POST", url, headers=_HEADERS).prepare()
