"""Where to listen, as an operator writes it, and what is refused."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.web.listeners import (
    AddressError,
    ListenAddress,
    TcpAddress,
    UnixAddress,
    parse_address,
)
from tests.support.sentences import NO_LISTEN_ADDRESS, NO_SOCKET_PATH


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":10058", TcpAddress("", 10058)),
        (":0", TcpAddress("", 0)),
        (":65535", TcpAddress("", 65535)),
        ("127.0.0.1:10058", TcpAddress("127.0.0.1", 10058)),
        ("localhost:80", TcpAddress("localhost", 80)),
        ("my-host_1.example.org:80", TcpAddress("my-host_1.example.org", 80)),
        ("bücher.example:80", TcpAddress("bücher.example", 80)),
        ("[::1]:10058", TcpAddress("::1", 10058)),
        ("[::]:0", TcpAddress("::", 0)),
        ("[fe80::1%eth0]:80", TcpAddress("fe80::1%eth0", 80)),
        ("unix:/run/exporter.sock", UnixAddress(Path("/run/exporter.sock"))),
        ("unix:/with space, é", UnixAddress(Path("/with space, é"))),
    ],
)
def test_valid_addresses_are_parsed(text: str, address: ListenAddress) -> None:
    """Each form of an address is read, and written as it was."""
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10058",
        "localhost",
        "localhost:",
        "localhost:http",
        "localhost:65536",
        "localhost:100000",
        "localhost:-1",
        "localhost: 80",
        "local host:80",
        "::1:80",
        "[::1]",
        "[localhost]:80",
        "[127.0.0.1]:80",
        "[::1:80",
        "a..b:80",
        "x" * 64 + ":80",
        "http://localhost:80",
        "localhost:80/metrics",
        "UNIX:/x",
        "localhost:٨٠",
        "localhost:80\n",
    ],
)
def test_invalid_addresses_are_refused(text: str) -> None:
    """What is no address is refused with all the forms that are."""
    with pytest.raises(AddressError) as refused:
        parse_address(text)
    assert str(refused.value) == f"{text!r} {NO_LISTEN_ADDRESS}"


@pytest.mark.parametrize("text", ["unix:", "unix:x.sock", "unix:./x.sock", "unix:~/x.sock"])
def test_a_relative_socket_path_is_refused(text: str) -> None:
    """A unix socket needs its whole path: the folder of a service is not known."""
    with pytest.raises(AddressError) as refused:
        parse_address(text)
    assert str(refused.value) == (f"{text!r} {NO_SOCKET_PATH}")


@pytest.mark.parametrize("name", ["x" * 107, "é" * 54])
def test_a_long_socket_path_is_refused(name: str) -> None:
    """The kernel takes 107 bytes as the path of a socket, and a longer one is refused at once."""
    with pytest.raises(AddressError) as refused:
        parse_address(f"unix:/{name}")
    assert str(refused.value) == (
        f"'unix:/{name}' is too long for a socket: write a path of 107 bytes at most"
    )


def test_a_socket_path_of_107_bytes_is_accepted() -> None:
    """A path of 107 bytes is taken."""
    assert parse_address("unix:/" + "x" * 106) == UnixAddress(Path("/" + "x" * 106))


@settings(deadline=None)
@given(st.text() | st.from_regex(r"\A(\[[0-9a-f:]*\]|[a-zé.-]*):[0-9]{1,6}\Z"))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    """Any text is an address that reads back as itself, or is refused with a sentence."""
    try:
        address = parse_address(text)
    except AddressError as refused:
        outcome = str(refused)
    else:
        outcome = f"{text!r} is good" if parse_address(str(address)) == address else "changed"
    assert outcome.startswith(f"{text!r} is ")
