"""A small API server that sends the bytes it is given, right or wrong.

It reads requests, checks nothing, and responds to an honest account as documented. While it is
hostile, the other accounts get what the attack sends.
"""

import json
import re
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO, Final, Self, TypeAlias
from urllib.parse import parse_qs

HONEST_CDN: Final = 1
PATH: Final = "sestore4/jb"
HONEST_USERS: Final = {"live": 1_000_000, "archive": 2_000_000}
_SEND_SECONDS: Final = 40.0

Respond: TypeAlias = Callable[["ApiRequest"], Iterable[bytes]]
"""Returns the raw bytes of a response, its head included."""


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request to the API."""

    cdn: int
    command: str
    offset: int


class ApiServer:
    """Serves on a free port of loopback, each connection in a thread, until the ``with`` ends.

    ``folders`` is the number of folders below the path, with a file in each.
    """

    def __init__(self, folders: int) -> None:
        self.respond: Respond | None = None
        """What the accounts other than the honest one get; None for honest responses."""
        self.hostile_responses = 0
        self._usage = json_response(usage_content(HONEST_USERS))
        self._listing = json_response(listing_content(folders))
        self._end = json_response(listing_content(folders, folders - 1))
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    @property
    def url(self) -> str:
        """Return the URL for ``api.url``."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/stable/"

    def __enter__(self) -> Self:
        """Begin to accept connections."""
        threading.Thread(target=self._accept, name="API server", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Accept no more; threads that still send end with their connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(_SEND_SECONDS)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream, suppress(OSError, ValueError):
            while request := _read_request(stream):
                respond = self.respond
                if respond is None or request.cdn == HONEST_CDN:
                    connection.sendall(self._honest(request))
                    continue
                self.hostile_responses += 1
                for piece in respond(request):
                    connection.sendall(piece)
                return

    def _honest(self, request: ApiRequest) -> bytes:
        if request.command == "disk.usage":
            return self._usage
        return self._end if request.offset else self._listing


def usage_content(users: dict[str, int]) -> object:
    """Return the content of a response to ``disk.usage``: a row of today for each user."""
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    rows = [
        {"summary_date": day, "cpu_user": user, "bytes_total": size} for user, size in users.items()
    ]
    return {"status": "success", "message": "", "handle_time": "0.1 seconds", "usage": rows}


def listing_content(folders: int, first: int = 0) -> object:
    """Return the content of a response to ``files.list``: a file in each of ``folders`` folders.

    The follow-up request, which confirms the end, gets the last one only.
    """
    return _listing(
        {
            f"{number:04x}{number * 2654435761 % 2**32:08x}": {
                "__files": ["recording.mp4"],
                "__is_loaded": 1,
            }
            for number in range(first, folders)
        }
    )


def _listing(folders: dict[str, object]) -> object:
    root = {"__files": [], "__is_loaded": 1, **folders}
    head = {"status": "success", "message": "", "handle_time": "0.1 seconds"}
    return {**head, "data": {PATH: root}}


def json_response(content: object) -> bytes:
    """Return a whole response with this content."""
    return response(json.dumps(content, separators=(",", ":")).encode())


def response(body: bytes, *fields: str) -> bytes:
    """Return a whole response with this body, and further header fields."""
    return head(f"Content-Length: {len(body)}", *fields) + body


def head(*fields: str) -> bytes:
    """Return the head of a response."""
    date = f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S GMT}"
    lines = ["HTTP/1.1 200 OK", f"Date: {date}", "Content-Type: application/json", *fields]
    return "\r\n".join([*lines, "", ""]).encode()


def _read_request(stream: BinaryIO) -> ApiRequest | None:
    fields = b""
    while not fields.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            return None
        fields += line
    length = re.search(rb"\r\ncontent-length: *(\d+)", fields, re.IGNORECASE)
    form = parse_qs(stream.read(int(length[1]) if length else 0).decode())
    asked = json.loads(form["json"][0])
    return ApiRequest(int(asked["cdn"]), asked["command"], int(asked.get("offset") or 0))
