"""What is served: the metrics, a page that links to them, and how the process is."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from string import Template
from typing import Final

from aiohttp import hdrs, web

from exporter.metrics.exposition import Body, Exposition
from exporter.version import described
from exporter.web.headers import add_headers
from exporter.web.sending import accepts_gzip, send

TEXT_FORMAT: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The Content-Type of Prometheus' text format, which every version of Prometheus reads."""

_FRESH_SECONDS: Final = 0.1

_LANDING_PAGE: Final = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>ScaleEngine Exporter</title>
</head>
<body>
<h1>ScaleEngine Exporter</h1>
<p>Disk usage and file counts of ScaleEngine accounts, for Prometheus.</p>
<ul>
<li><a href="$metrics">Metrics</a></li>
<li><a href="/-/healthy">Health</a></li>
<li><a href="/-/ready">Readiness</a></li>
</ul>
<p>$version</p>
</body>
</html>
""")


@dataclass(frozen=True, slots=True)
class Served:
    """What the pages show.

    ``exposition`` returns the newest at once; ``dead`` names the threads that should run and do
    not, ``unfinished`` the targets that have not finished a poll yet.
    """

    exposition: Callable[[], Exposition]
    telemetry_path: str
    dead: Callable[[], Collection[str]]
    unfinished: Callable[[], Collection[str]]


def build_app(served: Served) -> web.Application:
    """Return the application with its paths; any other is 404, a wrong method 405."""
    pages = _Pages(served)
    app = web.Application(client_max_size=1024)
    app.on_response_prepare.append(add_headers)
    app.router.add_get(served.telemetry_path, pages.metrics)
    app.router.add_get("/-/healthy", pages.healthy)
    app.router.add_get("/-/ready", pages.ready)
    if served.telemetry_path != "/":
        app.router.add_get("/", pages.landing)
    return app


class _Pages:
    def __init__(self, served: Served) -> None:
        self._served = served
        self._text = _Fresh(Exposition.text)
        self._gzip = _Fresh(Exposition.gzip)
        self._landing = _LANDING_PAGE.substitute(
            metrics=escape(served.telemetry_path), version=escape(described())
        )

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        exposition = self._served.exposition()
        names = request.query.getall("name[]", None)
        headers: dict[str, str] = {hdrs.CONTENT_TYPE: TEXT_FORMAT, hdrs.VARY: hdrs.ACCEPT_ENCODING}
        if not accepts_gzip(request.headers.get(hdrs.ACCEPT_ENCODING)):
            body = self._text.of(exposition) if names is None else exposition.text(names)
            return await send(request, body, headers)
        headers[hdrs.CONTENT_ENCODING] = "gzip"
        if names is None:
            return await send(request, self._gzip.of(exposition), headers)
        # What is left of a large exposition is compressed now: not while others wait.
        return await send(request, await asyncio.to_thread(exposition.gzip, names), headers)

    async def healthy(self, _: web.Request) -> web.Response:
        return _verdict("Healthy", "Threads that should run are dead", self._served.dead())

    async def ready(self, _: web.Request) -> web.Response:
        return _verdict("Ready", "Waiting for the first poll of", self._served.unfinished())

    async def landing(self, _: web.Request) -> web.Response:
        return web.Response(text=self._landing, content_type="text/html")


class _Fresh:
    """Renders an exposition ten times a second at most, however many ask for it."""

    def __init__(self, render: Callable[[Exposition], Body]) -> None:
        self._render = render
        self._last: tuple[Exposition, Body] | None = None

    def of(self, exposition: Exposition) -> Body:
        """Return the body of this exposition; its tail may be a tenth of a second old."""
        if self._last is None or self._last[0] is not exposition:
            self._last = exposition, self._render(exposition)
            asyncio.get_running_loop().call_later(_FRESH_SECONDS, self._forget)
        return self._last[1]

    def _forget(self) -> None:
        # Kept for longer, it would hold on to a large exposition that is no longer published.
        self._last = None


def _verdict(good: str, bad: str, faults: Collection[str]) -> web.Response:
    if not faults:
        return web.Response(text=f"{good}.\n")
    lines = "".join(f"\n  {fault}" for fault in sorted(faults))
    return web.Response(text=f"{bad}:{lines}\n", status=HTTPStatus.SERVICE_UNAVAILABLE)
