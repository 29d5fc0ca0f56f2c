"""What is served: the metrics, the status page, and how the process is."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from typing import Final

from aiohttp import hdrs, web

from exporter.metrics.exposition import Exposition
from exporter.web.build_scheduler import BuildScheduler, build_filtered
from exporter.web.request_checks import is_from_web_page
from exporter.web.responses import accepts_gzip, add_headers, send
from exporter.web.status.pages import StatusPages, StatusSource
from exporter.yamlfile.files import escape_surrogates

TEXT_FORMAT: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The Content-Type of Prometheus' text format, which every version of Prometheus reads."""

_BETWEEN_LOOKS_SECONDS: Final = 0.05

_MAX_FAULTS: Final = 20

_TOO_MANY_FILTERS: Final = (
    "Too many requests with name[] wait: try again, or leave name[] out to get all metrics at once."
    "\n"
)
_NOT_PUBLISHED_YET: Final = "The exporter has just started, and has no metrics yet: try again.\n"
_NO_LIFECYCLE: Final = (
    "A request may not reload the configuration: start the exporter with --web.enable-lifecycle, "
    "or send SIGHUP.\n"
)
_FROM_A_PAGE: Final = (
    "A web page may not reload the configuration: send the request from the command line, as "
    "`curl -X POST` does, or send SIGHUP.\n"
)

_NOT_RELOADED_YET: Final = (
    "The configuration is not reloaded yet: a file cannot be read yet, or another reload is still "
    "under way. The log will say how it ends.\n"
)


@dataclass(frozen=True, slots=True)
class AppState:
    """What the pages show.

    - ``exposition`` returns the newest one, or None before the first is ready.
    - ``list_dead_threads`` returns the names of the threads that should run and do not.
    - ``list_pending_targets`` returns the targets of which no finished poll was published yet.
    - ``reload`` requests a reload and returns a future of its problems; None forbids it.

    A request waits up to ``max_wait`` seconds for the first exposition or for a reload.
    """

    exposition: Callable[[], Exposition | None]
    telemetry_path: str
    status: StatusSource
    list_dead_threads: Callable[[], Collection[str]]
    list_pending_targets: Callable[[], Collection[object]]
    reload: Callable[[], Future[Sequence[str]]] | None = None
    max_wait: float = 25.0


_STATUS_REST: Final = 3.0
"""Seconds without a build of a status page after each second that one took: scrapes come first."""


def build_app(state: AppState) -> web.Application:
    """Return the application with its paths; any other is 404, a wrong method 405."""
    scheduler = BuildScheduler()
    pages = _Pages(state, scheduler)
    status = StatusPages(state.status, state.telemetry_path, BuildScheduler(rest=_STATUS_REST))
    app = web.Application(client_max_size=1024)
    app.on_response_prepare.append(add_headers)
    app.router.add_get(state.telemetry_path, pages.metrics)
    app.router.add_get("/-/healthy", pages.healthy)
    app.router.add_get("/-/ready", pages.ready)
    app.router.add_post("/-/reload", pages.reload)
    app.router.add_get("/api/v1/status", status.document)
    app.router.add_get("/config", status.configuration)
    if state.telemetry_path != "/":
        app.router.add_get("/", status.page)
    return app


class _Pages:
    def __init__(self, state: AppState, scheduler: BuildScheduler) -> None:
        self._state = state
        self._scheduler = scheduler

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        exposition = await self._wait_for_exposition()
        if exposition is None:
            return _build_unavailable_response(_NOT_PUBLISHED_YET)
        names = request.query.getall("name[]", None)
        headers: dict[str, str] = {hdrs.CONTENT_TYPE: TEXT_FORMAT, hdrs.VARY: hdrs.ACCEPT_ENCODING}
        gzip = accepts_gzip(",".join(request.headers.getall(hdrs.ACCEPT_ENCODING, ())))
        if gzip:
            headers[hdrs.CONTENT_ENCODING] = "gzip"
        if names is None:
            return await send(request, exposition.gzip() if gzip else exposition.text(), headers)
        client = request.remote or ""
        body = await build_filtered(self._scheduler, exposition, names, gzip=gzip, client=client)
        if body is None:
            return _build_unavailable_response(_TOO_MANY_FILTERS)
        return await send(request, body, headers)

    async def _wait_for_exposition(self) -> Exposition | None:
        """Return the newest exposition; the first is waited for, so that no scrape misses it."""
        looks = int(self._state.max_wait / _BETWEEN_LOOKS_SECONDS)
        while (exposition := self._state.exposition()) is None and looks:
            await asyncio.sleep(_BETWEEN_LOOKS_SECONDS)
            looks -= 1
        return exposition

    async def healthy(self, _: web.Request) -> web.Response:
        return _build_health_response(
            "Healthy", "Threads that should run are dead", self._state.list_dead_threads()
        )

    async def ready(self, _: web.Request) -> web.Response:
        return _build_health_response(
            "Ready", "Waiting for the first poll of", self._state.list_pending_targets()
        )

    async def reload(self, request: web.Request) -> web.Response:
        if self._state.reload is None:
            return web.Response(text=_NO_LIFECYCLE, status=HTTPStatus.FORBIDDEN)
        if is_from_web_page(request.headers):
            return web.Response(text=_FROM_A_PAGE, status=HTTPStatus.FORBIDDEN)
        outcome = asyncio.wrap_future(self._state.reload())
        await asyncio.wait([outcome], timeout=self._state.max_wait)
        if not outcome.done():
            return web.Response(text=_NOT_RELOADED_YET, status=HTTPStatus.SERVICE_UNAVAILABLE)
        problems = outcome.result()
        if problems:
            text = "".join(f"{escape_surrogates(problem)}\n" for problem in problems)
            return web.Response(text=text, status=HTTPStatus.INTERNAL_SERVER_ERROR)
        return web.Response(text="Reloaded.\n")


def _build_unavailable_response(text: str) -> web.Response:
    status = HTTPStatus.SERVICE_UNAVAILABLE
    return web.Response(text=text, status=status, headers={hdrs.RETRY_AFTER: "1"})


def _build_health_response(good: str, bad: str, faults: Collection[object]) -> web.Response:
    """Return what is at fault, by the first names: probes ask every few seconds."""
    if not faults:
        return web.Response(text=f"{good}.\n")
    lines = [f"\n  {fault}" for fault in sorted(map(str, islice(faults, _MAX_FAULTS)))]
    if len(faults) > len(lines):
        lines.append(f"\n  and {len(faults) - len(lines)} more")
    return web.Response(text=f"{bad}:{''.join(lines)}\n", status=HTTPStatus.SERVICE_UNAVAILABLE)
