"""Send one request to ScaleEngine and read the response, whatever the other side does.

A call is bounded in time (the whole of it) and in size, is never redirected, sends nothing but what
it was given (no cookies, no ``.netrc``), and verifies TLS always. What the environment says of
proxies and certificates is read in ``route`` alone.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

import requests
import structlog
from urllib3.exceptions import HTTPError

from exporter import __version__
from exporter.scaleengine.clock import since_boot
from exporter.scaleengine.connecting import AddressMemory
from exporter.scaleengine.deadline import Deadline, DeadlineAdapter
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
from exporter.scaleengine.network_failures import refused_by_proxy, timed_out, translate_error
from exporter.scaleengine.redaction import quote_whole
from exporter.scaleengine.response_memory import RESPONSE_MEMORY, Arrival, MemoryWaitError
from exporter.scaleengine.route import Route, find_route

log: Final = structlog.get_logger(__name__)

_SHOWN: Final = 200
_PIECE: Final = 64 * 1024
_HEADERS: Final = {
    "User-Agent": f"scaleengine-exporter/{__version__}",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Content-Type": "application/x-www-form-urlencoded",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the API is and how to reach it.

    ``timeout`` (seconds) bounds one request, from the first packet to the last; ``connections`` are
    kept open; ``ca_file`` holds the certificates to trust instead of the well-known ones.
    """

    url: str
    timeout: float
    connections: int
    ca_file: Path | None = None

    def has_same_server(self, other: "Endpoint") -> bool:
        """Return whether credentials go to the same address, with the same certificates trusted."""
        return (self.url, self.ca_file) == (other.url, other.ca_file)


class Transport:
    """The connections to one endpoint, for several threads at once."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._route = find_route(endpoint.url, endpoint.ca_file, os.environ)
        self._session = _session(endpoint.url, endpoint.connections, self._route)
        self._trusted = self._route.trust.find_version()
        self._addresses = AddressMemory()
        self._has_reported = False
        self._running: set[Deadline] = set()
        self._closed = False
        self._retired = False
        self._lock = threading.Lock()

    def send(
        self,
        text: str,
        context: RequestContext,
        arrival: Arrival | None = None,
        monotonic: Callable[[], float] = since_boot,
    ) -> HttpResponse:
        """Post the text as the form field ``json`` and return the response.

        ``arrival`` holds the memory of the body; None for that of the call alone. ``monotonic``
        is the clock that is read when the head of the response has arrived: its body may have to
        wait for memory.

        Raises RequestTimeoutError, NetworkError (after ``close`` too), ResponseTooLargeError, or
        ProtocolError for a response that is no HTTP.
        """
        fault = self._route.find_fault()
        if fault is not None:
            raise context.failed(NetworkError, fault.cause, fault.advice)
        self._check_trust()
        with self._with_deadline(context) as deadline:
            outcome = self._outcome(text, context, deadline, arrival, monotonic)
        if deadline.over and self._closed:
            raise _closed_error(context)
        self._remember(deadline, outcome)
        self._report_malformed(deadline)
        if deadline.over:
            raise timed_out(deadline, context, self._route)
        if isinstance(outcome, HttpResponse):
            return outcome
        raise outcome

    @property
    def timeout(self) -> float:
        """Return the seconds that one request may take."""
        return self._endpoint.timeout

    def no_memory_in_time(self, context: RequestContext) -> ScaleEngineError:
        """Return the error for a response whose wait for the memory of others is over."""
        if self._closed:
            return _closed_error(context)
        return context.failed(
            RequestTimeoutError,
            f"the response waited {self.timeout:g} s for memory that other responses take",
            "poll accounts with many CPU users at different intervals, or raise api.timeout",
        )

    @property
    def closed(self) -> bool:
        """Return whether ``close`` was called."""
        return self._closed

    def close(self) -> None:
        """End the calls that are under way, let none begin, and close the connections."""
        with self._lock:
            self._closed = True
            running = tuple(self._running)
        for deadline in running:
            deadline.abort()
        self._session.close()

    def retire(self) -> None:
        """Keep no connection open any more but for requests that are under way, or still come.

        To be called when another transport takes the place of this one: it may be long until the
        garbage collector closes the connections.
        """
        with self._lock:
            self._retired = True
            is_idle = not self._running
        if is_idle:
            self._session.close()

    def _check_trust(self) -> None:
        """Close the connections that are kept open, when the trusted certificates have changed.

        The peer of such a connection was verified with those of before.
        """
        version = self._route.trust.find_version()
        with self._lock:
            has_changed = version != self._trusted
            self._trusted = version
        if has_changed:
            self._session.close()  # it opens others when it needs them

    def _remember(self, deadline: Deadline, outcome: HttpResponse | ScaleEngineError) -> None:
        """Begin with the address that works, and with another one after a failure."""
        if deadline.connected is None:
            return
        if isinstance(outcome, HttpResponse) and not deadline.over:
            self._addresses.record_success(deadline.connected)
        else:
            self._addresses.record_failure(deadline.connected)

    def _report_malformed(self, deadline: Deadline) -> None:
        """Write the first malformed header line to the log: others are likely to be the same."""
        if deadline.malformed and not self._has_reported:
            self._has_reported = True
            log.warning(
                "malformed header line ignored",
                line=quote_whole(deadline.malformed[0].decode("latin-1"), _SHOWN),
                advice="tell ScaleEngine's support; further ones are not logged",
            )

    @contextmanager
    def _with_deadline(self, context: RequestContext) -> Iterator[Deadline]:
        deadline = Deadline(self._endpoint.timeout, self._addresses)
        with self._lock:
            if self._closed:
                raise _closed_error(context)
            self._running.add(deadline)
        try:
            with deadline:
                yield deadline
        finally:
            with self._lock:
                self._running.discard(deadline)
                is_last = self._retired and not self._running
            if is_last:
                self._session.close()

    def _outcome(
        self,
        text: str,
        context: RequestContext,
        deadline: Deadline,
        arrival: Arrival | None,
        monotonic: Callable[[], float],
    ) -> HttpResponse | ScaleEngineError:
        """Return the response or the failure, which then has no tie to the request and its key."""
        try:
            with RESPONSE_MEMORY.arrival(is_cancelled=lambda: self._closed) as own:
                return self._post(text, context, deadline, arrival or own, monotonic)
        except MemoryWaitError:
            return self.no_memory_in_time(context)
        except (requests.RequestException, HTTPError, HTTPException, OSError) as error:
            return translate_error(error, context, self._route)

    def _post(
        self,
        text: str,
        context: RequestContext,
        deadline: Deadline,
        arrival: Arrival,
        monotonic: Callable[[], float],
    ) -> HttpResponse:
        endpoint = self._endpoint
        with self._session.post(
            endpoint.url,
            # Encoded here: requests would judge what it is given by slow checks of protocols.
            data=urlencode({"json": text}),
            headers=_HEADERS,
            timeout=2 * endpoint.timeout,  # never reached: the limit ends the call before
            stream=True,
        ) as response:
            received = monotonic()
            status = response.status_code
            if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED and self._route.proxy:
                raise refused_by_proxy(status, context, self._route)
            body = bytearray()
            for piece in _content(response):
                if len(body) + len(piece) > BODY_LIMIT:
                    raise BodyTooLargeError
                if not arrival.try_to_admit(len(body) + len(piece)):
                    with deadline.paused():
                        arrival.admit(len(body) + len(piece))
                body += piece
            return build_http_response(status, body, response.headers, received)


def _content(response: requests.Response) -> Iterator[bytes]:
    """Return the pieces of a body, decompressed; in an unknown coding, as they are."""
    pieces: Iterator[bytes] = response.raw.stream(_PIECE, decode_content=False)
    coding = response.headers.get("Content-Encoding", "")
    return decompress(pieces, coding) if is_compressed(coding) else pieces


def _closed_error(context: RequestContext) -> ScaleEngineError:
    return context.failed(NetworkError, "the exporter is stopping", "start it again")


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Follow nobody, and do not read what they sent along."""


def _session(url: str, connections: int, route: Route) -> requests.Session:
    session = _Session()
    adapter = DeadlineAdapter(connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    session.trust_env = False  # no .netrc; all else of the environment is in the route
    session.verify = str(route.trust.path)
    if route.proxy is not None:
        session.proxies = {urlsplit(url).scheme: route.proxy.url}
    return session
