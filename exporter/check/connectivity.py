"""Whether the API's host can be reached, step by step: name, connection, certificate.

The transport takes the same steps at once, and says only which one failed. Where the environment
names a proxy, name and connection are those of the proxy.
"""

import errno
import os
import queue
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from urllib3.exceptions import ProxyError
from urllib3.util.ssl_ import create_urllib3_context

from exporter.check.results import (
    CERTIFICATE,
    CONNECTION,
    NAME,
    PROXY,
    CheckResult,
    Fact,
    Outcome,
    Subject,
    build_failure_result,
)
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.connecting import (
    ConnectAttempts,
    PeerAddress,
    choose_most_specific,
    resolve,
)
from exporter.scaleengine.envelope import RequestContext
from exporter.scaleengine.errors import NetworkError, ScaleEngineError
from exporter.scaleengine.network_failures import translate_error
from exporter.scaleengine.route import Fault, Route

_EARLY_ENOUGH: Final = 14
"""Days before its expiry by which an automatic renewal replaces a certificate."""

_OTHERS_SECONDS: Final = 5.0
"""How long the other addresses of a name are waited for when one is connected to."""

_DAY: Final = 24 * 60 * 60.0
_CONTEXT: Final = RequestContext("", "", secrets=())


def check_connectivity(route: Route, timeout: float, clock: Clock) -> Iterator[CheckResult]:
    """Go the route to the API; each step may take ``timeout`` seconds.

    A failure is the last finding. Behind a proxy, the API's name and certificate are not seen.
    """
    proxy = route.proxy
    if proxy and proxy.fault:
        yield _build_fault_result(PROXY, proxy.fault)
        return
    if proxy:
        detail = f"{proxy.setting} names {proxy.host}, port {proxy.port}"
        yield CheckResult(PROXY, Outcome.OK, detail)
    step: Subject = NAME
    try:
        addresses = _resolve(route, timeout)
        yield _name(route, addresses)
        step = CONNECTION
        reached = _connect(addresses, timeout, clock)
        with reached.sock:
            yield _connection(reached, route)
            step = CERTIFICATE
            fault = route.trust.find_fault() if route.tls else None
            if fault:
                yield _build_fault_result(step, fault)
            elif not proxy:
                yield _check_certificate(
                    _read_expiry(reached.sock, route) if route.tls else None, clock.now()
                )
    except OSError as error:
        yield build_failure_result(step, _describe_fault(error, step, route))


def _describe_fault(error: OSError, step: Subject, route: Route) -> ScaleEngineError:
    """Return the error of a step; where there is a proxy, it is the proxy's."""
    if route.proxy and step is not CERTIFICATE:
        return translate_error(ProxyError("", error), _CONTEXT, route)
    return translate_error(error, _CONTEXT, route)


def _build_fault_result(step: Subject, fault: Fault) -> CheckResult:
    return build_failure_result(step, _CONTEXT.build_error(NetworkError, fault.cause, fault.advice))


def _name(route: Route, addresses: Sequence[PeerAddress]) -> CheckResult:
    host, _ = route.peer
    hosts = tuple(address.host for address in addresses)
    listed = ", ".join(hosts)
    is_address = listed == host
    detail = f"{host} is an address: no name to resolve" if is_address else f"{host} is {listed}"
    return CheckResult(NAME, Outcome.OK, detail, facts={"host": host, "addresses": hosts})


@dataclass(frozen=True, slots=True)
class _Reached:
    """The first connection that was made, the seconds it took, and the addresses that failed."""

    sock: socket.socket
    address: PeerAddress
    seconds: float
    failures: Mapping[PeerAddress, OSError]


def _connection(reached: _Reached, route: Route) -> CheckResult:
    host, port = reached.address.host, reached.address.port
    dead = [address.host for address in reached.failures]
    facts: dict[str, Fact] = {
        "address": host,
        "port": port,
        "seconds": round(reached.seconds, 6),
        "failed_addresses": dead,
    }
    detail = f"made to {host}, port {port}, in {reached.seconds * 1000:.0f} ms"
    if dead:
        reasons = (
            f"{address.host} ({_describe_error(error)})"
            for address, error in reached.failures.items()
        )
        detail = f"{detail}; not to {', '.join(reasons)}"
    if all(error.errno == errno.ENETUNREACH for error in reached.failures.values()):
        # This machine has no IPv6, or no IPv4: nothing is wrong with the name.
        return CheckResult(CONNECTION, Outcome.OK, detail, facts=facts)
    advice = (
        "requests are sent to an address that works; "
        f"check {route.peer_setting}, its DNS and any firewall for the others"
    )
    return CheckResult(CONNECTION, Outcome.WARN, detail, advice, facts=facts)


def _describe_error(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else "no response"


def _check_certificate(expiry: float | None, now: float) -> CheckResult:
    if expiry is None:
        detail = "there is none, for api.url begins with http://"
        return CheckResult(
            CERTIFICATE, Outcome.OK, detail, facts={"expires": None, "days_left": None}
        )
    days = int((expiry - now) // _DAY)
    moment = datetime.fromtimestamp(expiry, UTC)
    facts: dict[str, Fact] = {
        "expires": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "days_left": days,
    }
    detail = f"good until {moment:%Y-%m-%d}, {days} days left"
    if days >= _EARLY_ENOUGH:
        return CheckResult(CERTIFICATE, Outcome.OK, detail, facts=facts)
    advice = "the operator of api.url has to renew it"
    return CheckResult(CERTIFICATE, Outcome.WARN, detail, advice, facts=facts)


def _resolve(route: Route, timeout: float) -> Sequence[PeerAddress]:
    """Return the addresses of the host that connections are made to.

    Nothing can interrupt the resolver; so it works in a thread that may be left behind.
    """
    resolved: queue.SimpleQueue[Sequence[PeerAddress] | OSError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            resolved.put(resolve(*route.peer))
        except OSError as error:
            resolved.put(error)
        except UnicodeError:
            resolved.put(socket.gaierror(socket.EAI_NONAME, "no name of a host can be so"))

    threading.Thread(target=look_up, name="resolver", daemon=True).start()
    try:
        addresses = resolved.get(timeout=timeout)
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(addresses, OSError):
        raise addresses
    return addresses


class _Unwatched:
    """Leaves attempts alone: an interruption ends the check from outside."""

    def watch(self, sock: socket.socket) -> None:
        """Do nothing."""

    def unwatch(self, sock: socket.socket) -> None:
        """Do nothing."""


def _connect(addresses: Sequence[PeerAddress], timeout: float, clock: Clock) -> _Reached:
    """Connect to all addresses at once; raises OSError where none can be reached.

    When one is reached, the others are waited for a few seconds more.
    """
    failures: dict[PeerAddress, OSError] = {address: TimeoutError() for address in addresses}
    first: tuple[PeerAddress, socket.socket, float] | None = None
    began = clock.monotonic()
    end = began + timeout
    with ConnectAttempts(_Unwatched()) as attempts:
        for address in addresses:
            try:
                attempts.begin(address)
            except OSError as error:
                failures[address] = error
        while attempts and (left := end - clock.monotonic()) > 0:
            for address, outcome in attempts.wait(left):
                if isinstance(outcome, OSError):
                    failures[address] = outcome
                    continue
                del failures[address]
                if first is None:
                    now = clock.monotonic()
                    end = min(end, now + _OTHERS_SECONDS)
                    first = (address, attempts.take(outcome), now - began)
    if first is None:
        raise choose_most_specific(tuple(failures.values()))
    address, sock, seconds = first
    sock.settimeout(timeout)
    return _Reached(sock, address, seconds, failures)


def _read_expiry(sock: socket.socket, route: Route) -> float:
    """Shake hands, and return when the certificate expires, in unix time."""
    # urllib3's own context, as for the requests: what is good here is good there.
    context = create_urllib3_context()
    if route.trust.path.is_dir():
        context.load_verify_locations(capath=route.trust.path)
    else:
        context.load_verify_locations(cafile=route.trust.path)
    # The socket's timeout bounds the whole handshake.
    with context.wrap_socket(sock, server_hostname=route.host) as tls:
        certificate = tls.getpeercert() or {}
    return ssl.cert_time_to_seconds(str(certificate["notAfter"]))
