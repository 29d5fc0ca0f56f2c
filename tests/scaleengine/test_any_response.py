"""For any bytes of a server, a request ends with a result, or an error with a reason."""

import gzip
import socket
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.scaleengine.client import Credentials
from exporter.scaleengine.errors import ScaleEngineError
from tests.support.fixtures import MakeClient, StartServer

Ask = Callable[[bytes], None]

BODY = b'{"status":"success","usage":[]}'
LINES = (
    *(b"HTTP/1.1 200 OK", b"HTTP/1.1 204 No", b"HTTP/1.0 200", b"HTTP/1.1 103 Early", b"HTTP/1.1"),
    *(b"Content-Length: %d" % len(BODY), b"Content-Length: 0", b"Content-Length: -1"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Connection: close"),
    *(b"Content-Encoding: gzip", b"Content-Encoding: deflate", b"Content-Encoding: br, gzip"),
    *(b"Set-Cookie: a=b; expires=canary", b"Date: canary", b"Retry-After: -9", b"Location: ://"),
    *(b"", b" folded", b": none", b"1f", b"-1", b"-5", b"0", b"0x1f;x", b"fffffffffffffff", BODY),
    *(b"Content-Type: multipart/mixed; boundary=", gzip.compress(BODY), b"\x1f\x8b\x08\x00"),
)
RESPONSES = st.lists(
    st.sampled_from(LINES) | st.binary(max_size=12) | st.text(max_size=6).map(str.encode),
    max_size=14,
).flatmap(lambda lines: st.sampled_from([b"\r\n", b"\n"]).map(lambda end: end.join(lines) + end))


@pytest.fixture
def ask(listen: StartServer, connect: MakeClient, credentials: Credentials) -> Iterator[Ask]:
    """Return a function that makes a request whose response is some bytes, and the end."""
    said = b""

    def serve(sock: socket.socket, _: bytes) -> None:
        sock.sendall(said)
        raise ConnectionAbortedError

    with closing(connect(listen(serve), 20.0)) as client:

        def call(response: bytes) -> None:
            nonlocal said
            said = response
            client.call(credentials, "disk.usage", {}, dict)

        yield call


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(response=RESPONSES, is_begun=st.booleans())
def test_any_bytes_are_a_response_or_an_api_failure(
    ask: Ask, response: bytes, *, is_begun: bool
) -> None:
    """No response is a defect of this exporter."""
    outcome = ""
    try:
        ask(b"HTTP/1.1 200 OK\r\n" * is_begun + response)
    except ScaleEngineError as error:
        outcome = f"{error.reason}: {error}"

    assert outcome.partition(":")[0] in {"", "protocol", "network", "api"}
    assert "canary" not in outcome
