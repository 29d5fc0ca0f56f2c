"""What a hostile API sends: each function returns the responses of one attack."""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import repeat
from typing import Final

from bench.hostile.api_server import PATH, ApiRequest, Respond, head, response

_MIB: Final = 1024 * 1024
_START: Final = b'{"status":"success","message":"","handle_time":"0.1 seconds",'
_PIECE: Final = 64 * 1024
_ENDLESS_BYTES: Final = 4 * 1024 * _MIB
"""An endless response ends here, if the exporter has not ended it."""


def _both(usage: bytes, listing: bytes) -> Respond:
    """Return the same content for any command."""
    whole = response(usage), response(listing)

    def respond(request: ApiRequest) -> Iterable[bytes]:
        yield whole[request.command == "files.list"]

    return respond


def _usage(rows: bytes) -> bytes:
    return _START + b'"usage":[' + rows + b"]}"


def _listing(members: bytes) -> bytes:
    return _START + b'"data":{"' + PATH.encode() + b'":{' + members + b"}}}"


def _filled(piece: bytes, size: int) -> bytes:
    """Return the piece, separated by commas, until there are about ``size`` bytes."""
    return b",".join([piece] * (size // (len(piece) + 1)))


def _many(piece: bytes, mebibytes: int) -> Respond:
    filling = _filled(piece, mebibytes * _MIB)
    return _both(_usage(filling), _START + b'"data":[' + filling + b"]}")


def _empty_folders(count: int) -> bytes:
    return b",".join(b'"f%07d":[]' % number for number in range(count))


def _long_folder_name() -> Respond:
    members = b'"%s":{%s}' % (b"n" * 100_000, _empty_folders(7_000))
    return _both(_usage(b""), _listing(members))


def _long_paths(bytes_of_path: int, folders: int) -> Respond:
    name = b"n" * 255
    depth = bytes_of_path // 256
    chain = b'{"%s":' % name * depth + b"{" + _empty_folders(folders) + b"}" + b"}" * depth
    return _both(_usage(b""), _listing(b'"n":' + chain))


def _row(user: bytes, day: str, size: int) -> bytes:
    return b'{"summary_date":"%s","cpu_user":"%s","bytes_total":%d}' % (day.encode(), user, size)


def _users(count: int, days: int, name: str = "u") -> Respond:
    today = datetime.now(UTC)
    dates = [f"{today - timedelta(days=day):%Y-%m-%d}" for day in range(days)]
    rows = (
        _row(b"%b%06d" % (name.encode(), user), day, user) for user in range(count) for day in dates
    )
    return _both(_usage(b",".join(rows)), _listing(b'"__files":[],"__is_loaded":1'))


def _long_label() -> Respond:
    row = _row(b"u" * 31 * _MIB, f"{datetime.now(UTC):%Y-%m-%d}", 1)
    return _both(
        _usage(row), _listing(b'"%s":{"__files":["a"],"__is_loaded":1}' % (b"f" * 31 * _MIB))
    )


def _wide_text() -> Respond:
    """One character outside the basic plane makes each character take four bytes in memory."""
    text = "\N{GRINNING FACE}".encode() + b"a" * 31 * _MIB
    body = b'{"status":"success","message":"%s","usage":[]}' % text
    return _both(body, body)


def _failure_message() -> Respond:
    message = b"\x7f" * 31 * _MIB
    body = b'{"status":"failure","code":"9999","message":"%s"}' % message
    return _both(body, body)


def _nested(opening: bytes, depth: int) -> Respond:
    body = _START + b'"usage":' + opening * depth
    return _both(body, body)


def _gzip_bomb() -> Respond:
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    blanks = b" " * _MIB
    pieces = [packer.compress(_START + b'"usage":['), *map(packer.compress, [blanks] * 1024)]
    whole = response(b"".join(pieces) + packer.flush(), "Content-Encoding: gzip")

    def respond(_: ApiRequest) -> Iterable[bytes]:
        yield whole

    return respond


def _endless(start: bytes, piece: bytes) -> Respond:
    """Send the same piece for as long as the exporter takes it."""

    def respond(_: ApiRequest) -> Iterator[bytes]:
        yield start
        yield from repeat(piece, _ENDLESS_BYTES // len(piece))

    return respond


def _odd_rows() -> Respond:
    """Send rows that are all wrong, each in its own way: every one is counted and described."""
    rows = (
        json.dumps({"summary_date": f"day {number}", "cpu_user": f"u{number}", "bytes_total": "x"})
        for number in range(300_000)
    )
    return _both(_usage(",".join(rows).encode()), _listing(b'"__files":[1]'))


_CHUNKED: Final = head("Transfer-Encoding: chunked")
_A: Final = b"a" * _PIECE

API_ATTACKS: Final[Mapping[str, tuple[str, Callable[[], Respond]]]] = {
    "long-folder-name": ("folder name of 100,000 bytes, 7,000 sub-folders", _long_folder_name),
    "long-path": ("a path of 100 KB, 70,000 sub-folders", lambda: _long_paths(100_000, 70_000)),
    "allowed-paths": ("a path of 4 KB, 500,000 sub-folders", lambda: _long_paths(3800, 500_000)),
    "negative-chunk": (
        "a chunk of size -1, then endless bytes",
        lambda: _endless(_CHUNKED + b"-1\r\n", _A),
    ),
    "endless-chunk": ("one chunk of 16 EB", lambda: _endless(_CHUNKED + b"f" * 15 + b"\r\n", _A)),
    "endless-chunk-size": (
        "a chunk size that never ends",
        lambda: _endless(_CHUNKED, b"0" * _PIECE),
    ),
    "endless-trailers": (
        "trailers that never end",
        lambda: _endless(_CHUNKED + b"0\r\n", b"X: " + b"a" * 1000 + b"\r\n"),
    ),
    "tiny-chunks": ("chunks of one byte", lambda: _endless(_CHUNKED, b"1\r\na\r\n" * 10_000)),
    "endless-head": (
        "a header section that never ends",
        lambda: _endless(head()[:-2], b"X: " + b"a" * 1000 + b"\r\n"),
    ),
    "endless-status": ("a status line that never ends", lambda: _endless(b"HTTP/1.1 200 ", _A)),
    "endless-interim": (
        "interim responses that never end",
        lambda: _endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    ),
    "endless-body": ("a body without an end", lambda: _endless(head(), _A)),
    "gzip-bomb": ("1 GiB in 1 MiB of gzip", _gzip_bomb),
    "empty-lists": ("28 MiB of empty lists", lambda: _many(b"[]", 28)),
    "empty-objects": ("22 MiB of empty objects", lambda: _many(b"{}", 22)),
    "small-objects": ("28 MiB of objects of one member", lambda: _many(b'{"a":0}', 28)),
    "fractions": ("28 MiB of numbers with a fraction", lambda: _many(b"1.5", 28)),
    "numbers": ("28 MiB of large whole numbers", lambda: _many(b"1234567890", 28)),
    "texts": ("28 MiB of short texts", lambda: _many('"é"'.encode(), 28)),
    "wide-text": ("a text of 31 MiB that takes 4 bytes a character", _wide_text),
    "many-users": ("450,000 CPU users", lambda: _users(450_000, 1)),
    "many-folders": (
        "2.3 million folders",
        lambda: _both(_usage(b""), _listing(_empty_folders(2_300_000))),
    ),
    "long-label": ("a CPU user and a folder of 31 MiB", _long_label),
    "rejected-rows": ("300,000 rows that are all wrong", _odd_rows),
    "deep-lists": ("100,000 lists in each other", lambda: _nested(b"[", 100_000)),
    "deep-objects": ("100,000 objects in each other", lambda: _nested(b'{"a":', 100_000)),
    "failure-message": ("a failure with a message of 31 MiB", _failure_message),
    "large-account": ("10,000 users, thirty days: must be read", lambda: _users(10_000, 30)),
    "large-account-wide": (
        "the same with names that take 4 bytes a character",
        lambda: _users(10_000, 30, "\N{GRINNING FACE}"),
    ),
    "large-account-escapes": (
        "the same with names of escapes",
        lambda: _users(10_000, 30, r"\u043a\u043b\u0438"),
    ),
}
"""Each attack by its name: what is sent, and what makes it."""
MUST_BE_READ: Final = ("large-account", "large-account-wide", "large-account-escapes")
