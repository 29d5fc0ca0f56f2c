"""Answer requests for the status page, the same as JSON, and the configuration.

They are built when they are requested, outside of the event loop, and kept for a moment: a client
that asks again and again costs a small share of a processor.
"""

import zlib
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from exporter.metrics.exposition import Body
from exporter.web.build_scheduler import BuildScheduler
from exporter.web.responses import CHUNK_SIZE, accepts_gzip, send
from exporter.web.status.json_document import write_status_json
from exporter.web.status.observation import Observation
from exporter.web.status.rendering import (
    PageLinks,
    View,
    build_content_security_policy,
    render_page,
)

KEEP_SECONDS: Final = 1.0
"""How long a page is kept at least, as old as metrics may be."""

_KEEP_PER_SECOND: Final = 10.0
"""How long it is kept for each second that it took to build."""

_MAX_KEPT_BYTES: Final = 2 * 1024 * 1024
"""The compressed pages that are kept together; the newest one may be larger than that."""

_GZIP_LEVEL: Final = 6
_GZIP_FORMAT: Final = 16 + zlib.MAX_WBITS  # what zlib takes for it
_DECOMPRESSED_AT_ONCE: Final = 4096
_MAX_PAGE_DIGITS: Final = 6

_HTML: Final = "text/html; charset=utf-8"
_JSON: Final = "application/json"
_YAML: Final = "text/plain; charset=utf-8"  # what every browser shows

_BUSY: Final = "Too many requests for pages wait: try again in a moment.\n"
_NO_ACCOUNT: Final = "No account has this name: the status page lists all accounts.\n"
_NO_FILE: Final = "There is no configuration: this is the demo.\n"
_HIDDEN: Final = (
    "The configuration is not shown, since anybody who reaches this port could read it: it names "
    "files, addresses and folders. Set basic_auth_users in --web.config.file, or start the "
    "exporter with --web.enable-lifecycle.\n"
)


@dataclass(frozen=True, slots=True)
class StatusSource:
    """Where the pages get what they show.

    ``configuration`` returns the configuration in force as YAML without secrets; None where there
    is none. ``is_restricted`` says whether those who reach the exporter are trusted with that.
    ``clock`` gives monotonic time in seconds.
    """

    observe: Callable[[], Observation]
    configuration: Callable[[], str] | None
    is_restricted: Callable[[], bool]
    clock: Callable[[], float]


@dataclass(frozen=True, slots=True)
class _Built:
    """A compressed page, the length of its text, and until when it may be sent."""

    compressed: bytes
    length: int
    until: float


@dataclass(frozen=True, slots=True)
class _DecompressedBody:
    """The text of a compressed page, decompressed in pieces: a slow client holds no copy of it."""

    compressed: bytes
    length: int

    @property
    def parts(self) -> Iterator[bytes]:
        """Return the text in pieces."""
        decompressor = zlib.decompressobj(_GZIP_FORMAT)
        for start in range(0, len(self.compressed), _DECOMPRESSED_AT_ONCE):
            waiting = self.compressed[start : start + _DECOMPRESSED_AT_ONCE]
            while waiting:
                yield decompressor.decompress(waiting, CHUNK_SIZE)
                waiting = decompressor.unconsumed_tail
        yield decompressor.flush()


class _NoAccount:
    """No account has the name that was requested."""


class StatusPages:
    """Handles the requests for one application; ``telemetry_path`` is where the metrics are."""

    def __init__(
        self, source: StatusSource, telemetry_path: str, scheduler: BuildScheduler
    ) -> None:
        self._source = source
        self._telemetry_path = telemetry_path
        self._scheduler = scheduler
        self._kept: dict[Hashable, _Built] = {}

    async def page(self, request: web.Request) -> web.StreamResponse:
        """Return the status page."""
        account = request.query.get("account")
        view = View(
            account=account,
            accounts_page=1 if account is not None else _read_page_number(request, "accounts"),
            users_page=1 if account is None else _read_page_number(request, "users"),
            paths_page=1 if account is None else _read_page_number(request, "paths"),
        )
        links = PageLinks(self._telemetry_path.removeprefix("/"), self._shows_configuration())

        def render() -> Iterable[bytes] | None:
            page = render_page(self._source.observe(), view, links)
            return None if page is None else (page,)

        headers = {
            hdrs.CONTENT_TYPE: _HTML,
            "Content-Security-Policy": build_content_security_policy(),
        }
        return await self._respond(request, (view, links), render, headers)

    async def document(self, request: web.Request) -> web.StreamResponse:
        """Return the status as JSON."""
        account = request.query.get("account")

        def write() -> Iterable[bytes] | None:
            return write_status_json(self._source.observe(), account)

        return await self._respond(request, ("json", account), write, {hdrs.CONTENT_TYPE: _JSON})

    async def configuration(self, request: web.Request) -> web.StreamResponse:
        """Return the configuration in force, to those who are trusted with it."""
        configuration = self._source.configuration
        if configuration is None:
            return web.Response(text=_NO_FILE, status=HTTPStatus.NOT_FOUND)
        if not self._source.is_restricted():
            return web.Response(text=_HIDDEN, status=HTTPStatus.FORBIDDEN)

        def write() -> Iterable[bytes]:
            return (configuration().encode(),)

        return await self._respond(request, "configuration", write, {hdrs.CONTENT_TYPE: _YAML})

    def _shows_configuration(self) -> bool:
        return self._source.configuration is not None and self._source.is_restricted()

    async def _respond(
        self,
        request: web.Request,
        key: Hashable,
        build: Callable[[], Iterable[bytes] | None],
        headers: dict[str, str],
    ) -> web.StreamResponse:
        """Send what ``build`` returns; None is an account that is not known."""
        built = self._find_kept(key)
        if built is None:
            job, client = partial(self._build, build), request.remote or ""
            outcome = await self._scheduler.build(("status", key), job, client)
            if outcome is None:
                busy, retry = HTTPStatus.SERVICE_UNAVAILABLE, {hdrs.RETRY_AFTER: "1"}
                return web.Response(text=_BUSY, status=busy, headers=retry)
            if isinstance(outcome, _NoAccount):
                return web.Response(text=_NO_ACCOUNT, status=HTTPStatus.NOT_FOUND)
            built = outcome
            self._keep(key, built)
        headers = {**headers, hdrs.VARY: hdrs.ACCEPT_ENCODING}
        if accepts_gzip(",".join(request.headers.getall(hdrs.ACCEPT_ENCODING, ()))):
            headers[hdrs.CONTENT_ENCODING] = "gzip"
            return await send(request, Body((built.compressed,)), headers)
        return await send(request, _DecompressedBody(built.compressed, built.length), headers)

    def _build(self, build: Callable[[], Iterable[bytes] | None]) -> _Built | _NoAccount:
        began = self._source.clock()
        parts = build()
        if parts is None:
            return _NoAccount()
        compressor = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_FORMAT)
        compressed, length = [], 0
        for part in parts:
            compressed.append(compressor.compress(part))
            length += len(part)
        compressed.append(compressor.flush())
        ended = self._source.clock()
        until = ended + max(KEEP_SECONDS, _KEEP_PER_SECOND * (ended - began))
        return _Built(b"".join(compressed), length, until)

    def _keep(self, key: Hashable, built: _Built) -> None:
        """Keep a page, and of the others those that may still be sent, the newest first."""
        now, room = self._source.clock(), _MAX_KEPT_BYTES - len(built.compressed)
        kept = {key: built}
        for other_key, other in self._kept.items():
            room -= len(other.compressed)
            if other_key != key and now < other.until and room >= 0:
                kept[other_key] = other
        self._kept = kept

    def _find_kept(self, key: Hashable) -> _Built | None:
        built = self._kept.get(key)
        return built if built is not None and self._source.clock() < built.until else None


def _read_page_number(request: web.Request, name: str) -> int:
    """Return the number of a page in a query, 1 where there is none."""
    text = request.query.get(name, "")
    return int(text) if text.isdecimal() and len(text) <= _MAX_PAGE_DIGITS else 1
