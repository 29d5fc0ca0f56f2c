"""Sockets that systemd hands over."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from exporter.systemd import listen_fds
from exporter.web.listeners import ListenError, close, format_address

HERE = 4711


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    """Return what closes sockets when the test is over."""
    with ExitStack() as stack:
        yield stack


def handed_over(*sockets: socket.socket) -> tuple[dict[str, str], int]:
    """Return the environment that names the sockets, and the first of their descriptors.

    They are copied to neighbouring descriptors, as systemd leaves them.
    """
    first = 200
    for place, sock in enumerate(sockets, first):
        os.dup2(sock.fileno(), place)
        sock.close()
    environ = {"LISTEN_PID": str(HERE), "LISTEN_FDS": str(len(sockets)), "LISTEN_FDNAMES": "web"}
    return environ | {"PATH": "/bin"}, first


def test_sockets_of_systemd_are_served(cleanup: ExitStack, tmp_path: Path) -> None:
    """TCP and unix sockets are taken as they are, and the variables are for this process only."""
    file = tmp_path / "x.sock"
    unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    unix.bind(str(file))
    unix.listen()
    tcp = socket.create_server(("127.0.0.1", 0))
    places = [f"127.0.0.1:{tcp.getsockname()[1]}", f"unix:{file}"]
    environ, first = handed_over(tcp, unix)

    sockets = listen_fds(environ, HERE, first)

    for sock in sockets:
        cleanup.enter_context(sock)
    assert [format_address(sock) for sock in sockets] == places
    assert not any(sock.get_inheritable() for sock in sockets)
    assert environ == {"PATH": "/bin"}


def test_socket_files_of_systemd_are_not_removed(tmp_path: Path) -> None:
    """Who has made a socket's file removes it: systemd listens on when the exporter has ended."""
    file = tmp_path / "x.sock"
    unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    unix.bind(str(file))
    unix.listen()
    environ, first = handed_over(unix)
    close(listen_fds(environ, HERE, first))
    assert file.is_socket()


def test_an_abstract_socket_is_shown(cleanup: ExitStack) -> None:
    """An abstract socket is shown as systemd writes it."""
    unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    unix.bind(f"\0scaleengine-exporter-{os.getpid()}")
    unix.listen()
    environ, first = handed_over(unix)
    (only,) = listen_fds(environ, HERE, first)
    cleanup.enter_context(only)
    assert format_address(only) == f"unix:@scaleengine-exporter-{os.getpid()}"


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": str(HERE + 1), "LISTEN_FDS": "1"},
        {"LISTEN_PID": str(HERE), "LISTEN_FDS": "0"},
    ],
)
def test_without_sockets_of_systemd_the_flags_are_used(environ: dict[str, str]) -> None:
    """Without sockets, or with those of another process, the addresses of the flags are used."""
    assert listen_fds(environ, HERE) == []
    assert environ == {}


@pytest.mark.parametrize("count", ["", "one", "-1", "1.5", "٣"])
def test_an_invalid_count_of_sockets_is_refused(count: str) -> None:
    """A number of sockets that is no number is refused with where it comes from."""
    with pytest.raises(ListenError) as refused:
        listen_fds({"LISTEN_PID": str(HERE), "LISTEN_FDS": count}, HERE)
    assert str(refused.value) == (
        f"LISTEN_FDS is {count!r}, which is no number of sockets: start the exporter by a systemd "
        "socket unit, or without LISTEN_PID"
    )


@pytest.mark.parametrize("kind", ["datagram", "connected", "file", "nothing"])
def test_a_descriptor_that_does_not_listen_is_refused(tmp_path: Path, kind: str) -> None:
    """What is no listening socket is refused, with what to write in the unit."""
    good = socket.create_server(("127.0.0.1", 0))
    place = good.getsockname()
    environ, first = handed_over(good)
    environ["LISTEN_FDS"] = "2"
    with ExitStack() as stack:
        if kind == "datagram":
            bad = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            os.dup2(bad.fileno(), first + 1)
        elif kind == "connected":
            bad = stack.enter_context(socket.create_connection(place))
            os.dup2(bad.fileno(), first + 1)
        elif kind == "file":
            descriptor = os.open(tmp_path, os.O_RDONLY)
            os.dup2(descriptor, first + 1)
            stack.callback(os.close, descriptor)
            stack.callback(os.close, first + 1)

        with pytest.raises(ListenError) as refused:
            listen_fds(environ, HERE, first)

    assert str(refused.value) == (
        f"descriptor {first + 1} is no socket that listens, and LISTEN_FDS promises one: use "
        "ListenStream= and Accept=no in the systemd socket unit"
    )
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(place)
