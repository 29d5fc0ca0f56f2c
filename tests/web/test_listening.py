"""The sockets that addresses become, what is shown of them, and what can be wrong."""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pytest

from exporter.web.listeners import (
    BACKLOG,
    ListenAddress,
    ListenError,
    TcpAddress,
    UnixAddress,
    close,
    format_address,
    format_url,
    listen,
)
from tests.support.ports import choose_port
from tests.support.resolver import resolve_to
from tests.support.sentences import NAMED_TWICE, PORT_TAKEN


class Listen(Protocol):
    """Listen on addresses until the test is over."""

    def __call__(self, *addresses: ListenAddress) -> list[socket.socket]: ...


def has_ipv6() -> bool:
    """Return whether this machine has the IPv6 loopback address."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


with_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.fixture
def listening() -> Iterator[Listen]:
    """Return a function that listens on addresses until the test is over."""
    opened: list[socket.socket] = []

    def begin(*addresses: ListenAddress) -> list[socket.socket]:
        sockets = listen(addresses)
        opened.extend(sockets)
        return sockets

    yield begin
    for sock in opened:
        sock.close()


def accepts(family: socket.AddressFamily, place: str | tuple[str, int]) -> bool:
    """Return whether connections are accepted at an address."""
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(60)
        try:
            client.connect(place)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
    return True


def test_an_ipv4_address_is_listened_on(listening: Listen) -> None:
    """An IPv4 address is listened on, at a free port for port 0."""
    (only,) = listening(TcpAddress("127.0.0.1", 0))
    place = only.getsockname()
    assert accepts(socket.AF_INET, place)
    assert format_address(only) == f"127.0.0.1:{place[1]}"
    assert format_url(only, tls=False) == f"http://127.0.0.1:{place[1]}"


@with_ipv6
def test_an_ipv6_address_is_listened_on_without_ipv4(listening: Listen) -> None:
    """An IPv6 address is listened on, and not IPv4 with it."""
    (only,) = listening(TcpAddress("::1", 0))
    port = only.getsockname()[1]
    assert accepts(socket.AF_INET6, ("::1", port))
    assert not accepts(socket.AF_INET, ("127.0.0.1", port))
    assert format_address(only) == f"[::1]:{port}"
    assert format_url(only, tls=False) == f"http://[::1]:{port}"


@with_ipv6
def test_a_port_without_host_is_listened_on_by_both_families(listening: Listen) -> None:
    """A port without a host is listened on by IPv4 and by IPv6."""
    (only,) = listening(TcpAddress("", 0))
    port = only.getsockname()[1]
    assert accepts(socket.AF_INET, ("127.0.0.1", port))
    assert accepts(socket.AF_INET6, ("::1", port))
    assert format_address(only) == f":{port}"
    assert format_url(only, tls=False) == f"http://localhost:{port}"


@pytest.mark.parametrize("lack", ["python", "kernel"])
def test_a_port_without_host_is_listened_on_by_ipv4_without_ipv6(
    listening: Listen, monkeypatch: pytest.MonkeyPatch, lack: str
) -> None:
    """Where there is no IPv6, a port without a host is listened on by IPv4 alone."""
    if lack == "python":
        monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    else:
        create = socket.create_server

        def refuse(place: tuple[str, int], **options: int) -> socket.socket:
            if options.get("family") == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "no such family")
            return create(place, backlog=options["backlog"])

        monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: True)
        monkeypatch.setattr(socket, "create_server", refuse)

    (only,) = listening(TcpAddress("", 0))

    port = only.getsockname()[1]
    assert only.family == socket.AF_INET
    assert accepts(socket.AF_INET, ("127.0.0.1", port))
    assert format_address(only) == f"0.0.0.0:{port}"
    assert format_url(only, tls=False) == f"http://localhost:{port}"


@with_ipv6
def test_one_family_of_every_address_is_shown_as_it_is(listening: Listen) -> None:
    """A log line does not claim both families where only one is listened on."""
    (only,) = listening(TcpAddress("::", 0))
    port = only.getsockname()[1]
    assert not accepts(socket.AF_INET, ("127.0.0.1", port))
    assert format_address(only) == f"[::]:{port}"
    assert format_url(only, tls=False) == f"http://localhost:{port}"


def test_a_name_is_listened_on_at_each_address(
    listening: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name is listened on at each of its addresses, once."""
    resolve_to(monkeypatch, ["127.0.0.2", "127.0.0.1", "127.0.0.1"])
    hosts = [sock.getsockname()[0] for sock in listening(TcpAddress("myself", 0))]
    assert hosts == ["127.0.0.1", "127.0.0.2"]


@pytest.mark.parametrize("lack", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
def test_a_missing_address_of_a_name_is_skipped(
    listening: Listen, monkeypatch: pytest.MonkeyPatch, lack: int
) -> None:
    """Given ``localhost`` in a container, ``::1`` too though there is no IPv6, then IPv4 does."""
    create = socket.create_server

    def refuse(place: tuple[str, int], family: int, backlog: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(lack, "not here")
        return create(place, family=family, backlog=backlog)

    resolve_to(monkeypatch, ["::1", "127.0.0.1"])
    monkeypatch.setattr(socket, "create_server", refuse)
    hosts = [sock.getsockname()[0] for sock in listening(TcpAddress("localhost", 0))]
    assert hosts == ["127.0.0.1"]


def test_a_path_is_listened_on_as_unix_socket(listening: Listen, tmp_path: Path) -> None:
    """A path becomes a socket in the file system, for any name."""
    file = tmp_path / "é x.sock"
    (only,) = listening(UnixAddress(file))
    assert accepts(socket.AF_UNIX, str(file))
    assert format_address(only) == f"unix:{file}"


def test_owner_and_group_may_connect_to_a_socket(listening: Listen, tmp_path: Path) -> None:
    """Owner and group may, for any mask of the process."""
    file = tmp_path / "x.sock"
    before = os.umask(0o077)
    try:
        listening(UnixAddress(file))
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o660


def test_a_left_over_socket_file_is_replaced(listening: Listen, tmp_path: Path) -> None:
    """A socket file of a process that has ended is replaced."""
    file = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(file))
        dead.listen()
    assert file.is_socket()
    assert not accepts(socket.AF_UNIX, str(file))

    listening(UnixAddress(file))

    assert accepts(socket.AF_UNIX, str(file))


def test_closing_removes_the_file(tmp_path: Path) -> None:
    """Closing leaves no socket file, and does not mind one that is gone already."""
    here, gone = tmp_path / "here.sock", tmp_path / "gone.sock"
    sockets = listen([UnixAddress(here), UnixAddress(gone), TcpAddress("127.0.0.1", 0)])
    gone.unlink()
    close(sockets)
    assert not here.exists()
    assert {sock.fileno() for sock in sockets} == {-1}


def sentence(address: ListenAddress) -> str:
    """Return why an address cannot be listened on."""
    with pytest.raises(ListenError) as refused:
        listen([address])
    return str(refused.value)


def test_a_taken_port_is_named_with_advice(listening: Listen) -> None:
    """A port at which another process listens is named, with what to do."""
    (first,) = listening(TcpAddress("127.0.0.1", 0))
    port = first.getsockname()[1]
    assert sentence(TcpAddress("127.0.0.1", port)) == (
        f"cannot listen on 127.0.0.1:{port}: {PORT_TAKEN}"
    )


def test_a_port_taken_on_one_address_is_an_error(listening: Listen) -> None:
    """A port that is taken on one address cannot be listened on everywhere."""
    (first,) = listening(TcpAddress("127.0.0.1", 0))
    port = first.getsockname()[1]
    assert sentence(TcpAddress("", port)).startswith(f"cannot listen on :{port}: it is taken: ")


V4, ANY_V4, EVERYWHERE = "127.0.0.1", "0.0.0.0", ""  # noqa: S104 - what is tested
V6, ANY_V6 = "::1", "::"


def free_port(*hosts: str) -> int:
    """Return a port that is free on each of the hosts, one by one."""
    while True:
        port = choose_port()
        with suppress(ListenError):
            for host in hosts:
                close(listen([TcpAddress(host, port)]))
            return port


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (V4, V4),
        (ANY_V4, ANY_V4),
        (V4, ANY_V4),
        (V4, EVERYWHERE),
        (ANY_V4, EVERYWHERE),
        (EVERYWHERE, EVERYWHERE),
        (V4, "localhost"),
        *(
            pytest.param(first, second, marks=with_ipv6)
            for first, second in (
                (V6, V6),
                (V6, ANY_V6),
                (V6, EVERYWHERE),
                (ANY_V6, EVERYWHERE),
                (V6, "0:0:0:0:0:0:0:1"),
            )
        ),
    ],
)
def test_overlapping_addresses_of_the_command_line_are_named(first: str, second: str) -> None:
    """Two addresses of one command line are not taken for another process, in either order."""
    port = free_port(first, second)
    one, other = TcpAddress(first, port), TcpAddress(second, port)
    for before, after in ((one, other), (other, one)):
        with pytest.raises(ListenError) as refused:
            listen([TcpAddress("127.0.0.1", 0), before, after])
        assert str(refused.value) == f"cannot listen on {after}: " + (
            NAMED_TWICE
            if before == after
            else f"it overlaps with {before}, which --web.listen-address names too: remove one of "
            "the two"
        )


@with_ipv6
def test_the_same_port_of_both_families_does_not_overlap(listening: Listen) -> None:
    """Every address of IPv4 and every address of IPv6 do not overlap."""
    port = free_port(ANY_V4, ANY_V6)
    assert len(listening(TcpAddress(ANY_V4, port), TcpAddress(ANY_V6, port))) == 2


def test_a_port_of_another_process_is_not_taken_for_our_own(listening: Listen) -> None:
    """A port that is taken is not explained by an own address that does not overlap."""
    (taken,) = listening(TcpAddress("127.0.0.1", 0))
    port = taken.getsockname()[1]
    with pytest.raises(ListenError, match="another process listens there"):
        listen([TcpAddress("127.0.0.2", port), TcpAddress("127.0.0.1", port)])


def test_a_path_that_is_named_twice_is_an_error(tmp_path: Path) -> None:
    """A path that is named twice, by another name too, is said so; its file is removed."""
    (tmp_path / "link").symlink_to(tmp_path)
    one, other = UnixAddress(tmp_path / "x.sock"), UnixAddress(tmp_path / "link" / "x.sock")
    with pytest.raises(ListenError) as twice:
        listen([one, one])
    assert str(twice.value).endswith(f": {NAMED_TWICE}")
    with pytest.raises(ListenError, match=f"it overlaps with {one}, which"):
        listen([one, other])
    assert not one.path.exists()


@pytest.mark.parametrize("waiting", [0, 2], ids=["idle", "busy"])
def test_a_socket_with_a_listener_is_an_error(tmp_path: Path, waiting: int) -> None:
    """A socket at which a process listens stays its own, even if that has no time to accept."""
    file = tmp_path / "x.sock"
    clients = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(waiting)]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as owner:
        owner.bind(str(file))
        owner.listen(waiting - 1 if waiting else BACKLOG)
        for client in clients:
            client.connect(str(file))

        assert sentence(UnixAddress(file)).startswith(
            f"cannot listen on unix:{file}: it is taken: "
        )

        for client in clients:
            client.close()
        assert file.is_socket()


def test_a_path_of_another_file_is_an_error(tmp_path: Path) -> None:
    """A file that is no socket is not touched."""
    file = tmp_path / "notes.txt"
    file.write_text("precious")
    assert sentence(UnixAddress(file)) == (
        f"cannot listen on unix:{file}: a file that is no socket is in the way: remove it, or "
        "choose another path"
    )
    assert file.read_text() == "precious"


def test_a_missing_folder_of_a_path_is_named(tmp_path: Path) -> None:
    """A missing folder is named as such."""
    file = tmp_path / "run" / "x.sock"
    assert sentence(UnixAddress(file)) == (
        f"cannot listen on unix:{file}: the folder is missing: make it, or choose another path"
    )


def test_an_address_of_another_machine_is_an_error() -> None:
    """An address that this machine lacks (here one that RFC 5737 keeps for documents)."""
    assert sentence(TcpAddress("203.0.113.7", 0)) == (
        "cannot listen on 203.0.113.7:0: this machine has no such address: write one that it has, "
        "or :port for all"
    )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "the name is not known: check it, or write an IP address",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied"),
            "no right to: choose a port above 1023, or a folder that may be written",
        ),
        (OSError(errno.ENOBUFS, "No buffer space available"), "no buffer space available"),
        (OSError("something without a number"), "something without a number"),
    ],
)
def test_other_causes_are_shown_as_the_system_says(
    monkeypatch: pytest.MonkeyPatch, error: OSError, words: str
) -> None:
    """For any error of the system, the operator reads which address it is about and why."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert sentence(TcpAddress("myself", 80)) == f"cannot listen on myself:80: {words}"


def test_one_failed_address_closes_all_sockets(listening: Listen, tmp_path: Path) -> None:
    """If one address fails, those before it are given back: no port stays open, no file stays."""
    (taken,) = listening(TcpAddress("127.0.0.1", 0))
    (free,) = listen([TcpAddress("127.0.0.1", 0)])
    place = free.getsockname()
    free.close()
    file = tmp_path / "x.sock"

    with pytest.raises(ListenError):
        listen([TcpAddress(*place), UnixAddress(file), TcpAddress(*taken.getsockname())])

    assert not accepts(socket.AF_INET, place)
    assert not file.exists()


def test_one_failed_address_of_a_name_closes_all_sockets(
    listening: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If one of a name's addresses is taken, the others are given back too."""
    (taken,) = listening(TcpAddress("127.0.0.2", 0))
    port = taken.getsockname()[1]
    resolve_to(monkeypatch, ["127.0.0.1", "127.0.0.2"])

    with pytest.raises(ListenError):
        listen([TcpAddress("myself", port)])

    assert not accepts(socket.AF_INET, ("127.0.0.1", port))
