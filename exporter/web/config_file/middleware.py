"""Apply the web configuration to an application: authentication, rate limit and headers."""

import math
import secrets
import threading
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from exporter.process.log_limit import LogLimit
from exporter.web.config_file.basic_auth import AuthResult, BasicAuthentication, verify_password
from exporter.web.config_file.go_values import find_alternative_names
from exporter.web.config_file.live import LiveWebConfig
from exporter.web.config_file.web_config import RateLimit, WebConfig

log: Final = structlog.get_logger(__name__)

_KEY_BYTES: Final = 32
_OVERLOADED_SECONDS: Final = 1
_CHALLENGE: Final = 'Basic realm="scaleengine-exporter", charset="UTF-8"'
"""RFC 7617, section 2: a challenge has a realm. User and password are decoded as UTF-8."""


class TokenBucket:
    """Holds a token for each request that is allowed now; ``clock`` gives seconds."""

    def __init__(self, limit: RateLimit, clock: Callable[[], float]) -> None:
        self.limit = limit
        self._clock = clock
        self._tokens = float(limit.burst)
        self._counted_at = clock()

    def take(self) -> float:
        """Take a token and give 0, or the seconds until there will be one."""
        now = self._clock()
        grown = (now - self._counted_at) / self.limit.interval
        self._tokens = min(float(self.limit.burst), self._tokens + grown)
        self._counted_at = now
        if self._tokens < 1:
            return (1 - self._tokens) * self.limit.interval
        self._tokens -= 1
        return 0.0


def install_web_config(
    app: web.Application, live: LiveWebConfig, clock: Callable[[], float]
) -> None:
    """Apply a web configuration to every path of an application, and follow changes of its file.

    ``clock`` gives seconds that only grow. A request whose client certificate has no allowed name
    gets a 403, one without the right password a 401, and a 503 when too many passwords wait for
    their check. The rate limit counts the others only: one above it gets a 429.
    """
    key = secrets.token_bytes(_KEY_BYTES)
    log_limit = LogLimit(clock)
    users = BasicAuthentication(verify_password, key, log_limit)
    middleware = _WebConfigMiddleware(live, clock, users, log_limit)
    app.middlewares.insert(0, middleware.handle)
    app.on_response_prepare.append(middleware.add_headers)
    app.cleanup_ctx.append(middleware.watch_file)


class _WebConfigMiddleware:
    def __init__(
        self,
        live: LiveWebConfig,
        clock: Callable[[], float],
        users: BasicAuthentication,
        log_limit: LogLimit,
    ) -> None:
        self._live = live
        self._clock = clock
        self._users = users
        self._log_limit = log_limit
        self._bucket: TokenBucket | None = None

    @web.middleware
    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse requests that are not allowed; pass on the others."""
        if not self._live.is_valid(request.get_extra_info("ssl_object")):
            return _close_without_response(request)
        config = self._live.current
        if config.allowed_sans and not config.allowed_sans & _read_certificate_names(request):
            self._log_refusal(request, "its certificate has none of client_allowed_sans")
            response = _build_refusal(HTTPStatus.FORBIDDEN)
            response.force_close()
            return response
        refusal = await self._authenticate(request, config)
        # Not by its truth: in aiohttp before 3.12 every response is false, as an empty mapping is.
        if refusal is not None:
            return refusal
        # Last, so that strangers do not use up the requests of those who have the password.
        wait = self._wait(config.rate_limit)
        if wait:
            return _build_refusal(HTTPStatus.TOO_MANY_REQUESTS, retry_after=math.ceil(wait))
        return await handler(request)

    async def add_headers(self, _: web.Request, response: web.StreamResponse) -> None:
        """Return every response the configured headers."""
        response.headers.update(self._live.current.headers)

    async def watch_file(self, _: web.Application) -> AsyncIterator[None]:
        """Follow the file while the application runs."""
        stop = threading.Event()
        threading.Thread(
            target=self._live.watch, args=(stop,), name="web config", daemon=True
        ).start()
        yield
        stop.set()

    def _wait(self, limit: RateLimit | None) -> float:
        if limit is None:
            self._bucket = None
            return 0.0
        if self._bucket is None or self._bucket.limit != limit:
            self._bucket = TokenBucket(limit, self._clock)
        return self._bucket.take()

    async def _authenticate(self, request: web.Request, config: WebConfig) -> web.Response | None:
        if not config.users:
            return None
        header = request.headers.get(hdrs.AUTHORIZATION)
        result = await self._users.authenticate(header, config.users, request.remote or "")
        if result is AuthResult.ACCEPTED:
            return None
        if result is AuthResult.OVERLOADED:
            return _build_refusal(HTTPStatus.SERVICE_UNAVAILABLE, retry_after=_OVERLOADED_SECONDS)
        self._log_refusal(request, "wrong user or password" if header else "no password")
        response = _build_refusal(HTTPStatus.UNAUTHORIZED)
        response.headers[hdrs.WWW_AUTHENTICATE] = _CHALLENGE
        return response

    def _log_refusal(self, request: web.Request, cause: str) -> None:
        """Log that a client is refused, once a minute for each address and cause."""
        peer = request.remote or ""
        is_due = self._log_limit.is_due(f"client refused {cause} {peer}")
        (log.warning if is_due else log.debug)("client refused", peer=peer, cause=cause)


def _read_certificate_names(request: web.Request) -> frozenset[str]:
    """Return the names in the client's certificate, which the handshake has verified."""
    return find_alternative_names(request.get_extra_info("peercert") or {})


def _close_without_response(request: web.Request) -> web.Response:
    """Close the connection; a client sends the request again by a new one (RFC 9110, 9.2.2).

    So a client that is still accepted gets its response. Return what aiohttp needs to go on.
    """
    if request.transport is not None:
        request.transport.abort()
    return _build_refusal(HTTPStatus.MISDIRECTED_REQUEST)


def _build_refusal(status: HTTPStatus, retry_after: int | None = None) -> web.Response:
    response = web.Response(status=status, text=f"{status.phrase}\n")
    if retry_after is not None:
        response.headers[hdrs.RETRY_AFTER] = str(retry_after)
    return response
