"""Debian's Chromium, driven over its DevTools protocol.

Source: https://chromedevtools.github.io/devtools-protocol/ (the domains Page, Runtime, Network, Log
and Emulation).
"""

import asyncio
import base64
import itertools
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from tests.support.waiting import TIMEOUT

_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "about:blank",
)
_PORT_FILE: Final = "DevToolsActivePort"

Message = dict[str, Any]  # the protocol has hundreds of methods, each with its own JSON


class BrowserError(Exception):
    """The browser did not do what was requested."""


@dataclass(slots=True)
class Page:
    """A page that is open: what it requested, and what the browser complained about."""

    browser: "Chromium"
    session: str
    requested: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    loads: int = 0

    def call(self, method: str, **params: object) -> Message:
        """Call a method of the protocol for this page; raises BrowserError."""
        return self.browser.call(method, self, params)

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript; a promise is waited for."""
        response = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in response:
            raise BrowserError(str(response["exceptionDetails"]))
        return response["result"].get("value")

    def show(self, width: int, scheme: str = "light", media: str = "screen") -> None:
        """Set the width of the window in pixels, light or dark, and screen or print."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )

    def open(self, url: str) -> None:
        """Open an address, and return when all of it is loaded."""
        before = self.loads
        response = self.call("Page.navigate", url=url)
        if "errorText" in response:
            raise BrowserError(f"{url}: {response['errorText']}")
        self.browser.receive_until(lambda: self.loads > before)

    def take_picture(self, max_height: int) -> bytes:
        """Return the page as PNG, cut at a height in pixels."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        height = min(size["height"], max_height)
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height, "scale": 1}
        response = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(response["data"])

    def note(self, event: Message) -> None:
        """Remember what an event of the page says."""
        params = event["params"]
        match event["method"]:
            case "Network.requestWillBeSent":
                self.requested.append(params["request"]["url"])
            case "Page.loadEventFired":
                self.loads += 1
            case "Log.entryAdded":
                self.complaints.append(params["entry"]["text"])
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                self.complaints.append(str(params))
            case "Page.javascriptDialogOpening":
                self.complaints.append(params["message"])


class Chromium:
    """A browser that runs; each page has a profile of its own."""

    def __init__(self, runner: asyncio.Runner, socket: ClientWebSocketResponse) -> None:
        self._runner = runner
        self._socket = socket
        self._numbers = itertools.count(1)
        self._pages: dict[str, Page] = {}

    @contextmanager
    def page(self) -> Iterator[Page]:
        """Return an empty page; close it afterwards."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call(
            "Target.createTarget", params={"url": "about:blank", "browserContextId": context}
        )["targetId"]
        session = self.call("Target.attachToTarget", params={"targetId": target, "flatten": True})[
            "sessionId"
        ]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        try:
            yield page
        finally:
            self.call("Target.disposeBrowserContext", params={"browserContextId": context})
            del self._pages[session]

    def call(self, method: str, page: Page | None = None, params: Message | None = None) -> Message:
        """Return the result of a method; raises BrowserError."""
        message = {"id": next(self._numbers), "method": method, "params": params or {}}
        if page is not None:
            message["sessionId"] = page.session

        async def call() -> Message:
            await self._socket.send_json(message)
            async with asyncio.timeout(TIMEOUT):
                while (received := await self._receive()).get("id") != message["id"]:
                    pass
            return received

        received = self._runner.run(call())
        if "error" in received:
            raise BrowserError(f"{method}: {received['error']}")
        result: Message = received["result"]
        return result

    def receive_until(self, is_reached: Callable[[], bool]) -> None:
        """Read the events of the browser until a condition holds; raises TimeoutError."""

        async def receive() -> None:
            async with asyncio.timeout(TIMEOUT):
                while not is_reached():
                    await self._receive()

        self._runner.run(receive())

    async def _receive(self) -> Message:
        received = await self._socket.receive()
        if received.type is not WSMsgType.TEXT:
            raise BrowserError(f"the browser ended: {received.type.name}")
        message: Message = received.json()
        page = self._pages.get(message.get("sessionId", ""))
        if page is not None and "method" in message:
            page.note(message)
        return message


@contextmanager
def start_chromium(program: str, profile: Path) -> Iterator[Chromium]:
    """Start a browser with a new profile in a folder; end it afterwards."""
    command = [program, f"--user-data-dir={profile}", *_FLAGS]
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process,  # noqa: S603 - Debian's
        asyncio.Runner() as runner,
    ):
        try:
            url = _find_url(profile / _PORT_FILE, process)
            session, socket = runner.run(_connect(url))
            try:
                yield Chromium(runner, socket)
            finally:
                runner.run(session.close())
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(TIMEOUT)
            process.kill()


def _find_url(file: Path, process: "subprocess.Popen[bytes]") -> str:
    """Return the address of the browser, which writes its port and path to a file."""
    limit = time.monotonic() + TIMEOUT
    while time.monotonic() < limit and process.poll() is None:
        if file.exists() and len(lines := file.read_text().split()) > 1:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.02)
    raise BrowserError("the browser did not start")


async def _connect(url: str) -> tuple[ClientSession, ClientWebSocketResponse]:
    session = ClientSession()
    return session, await session.ws_connect(url, max_msg_size=0)
