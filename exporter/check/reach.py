"""Whether the API's host can be reached, step by step: name, connection, certificate.

The transport takes the same steps at once, and says only which one failed. Where the environment
names a proxy, they are the proxy's affair.
"""

import queue
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Final

from urllib3.util.ssl_ import create_urllib3_context

from exporter.check.findings import (
    CERTIFICATE,
    CONNECTION,
    NAME,
    PROXY,
    Fact,
    Finding,
    Outcome,
    Subject,
    failed,
)
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.envelope import Question
from exporter.scaleengine.errors import NetworkError
from exporter.scaleengine.network_failures import translated
from exporter.scaleengine.route import Fault, Route

_EARLY_ENOUGH: Final = 14
"""Days: whoever renews certificates by a machine has done it by then."""

_DAY: Final = 24 * 60 * 60.0
_QUESTION: Final = Question("", "", hidden=())


def reach(route: Route, timeout: float, clock: Clock) -> Iterator[Finding]:
    """Go the route to the API; each step may take ``timeout`` seconds.

    A failure is the last finding.
    """
    proxy = route.proxy
    if proxy and proxy.fault:
        yield _fault(PROXY, proxy.fault)
        return
    if proxy:
        detail = f"named by {proxy.setting}; the API's name and certificate are its affair"
        yield Finding(PROXY, Outcome.OK, detail)
    else:
        yield from _reach_directly(route, timeout, clock)


def _reach_directly(route: Route, timeout: float, clock: Clock) -> Iterator[Finding]:
    step: Subject = NAME
    try:
        addresses = _resolved(route, timeout)
        yield _name(route, addresses)
        step = CONNECTION
        began = clock.elapsed()
        with closing(_connected(addresses, route.port, timeout)) as line:
            yield _connection(line, clock.elapsed() - began)
            step = CERTIFICATE
            fault = route.trust.find_fault() if route.tls else None
            if fault:
                yield _fault(step, fault)
            else:
                yield _certificate(_expiry(line, route) if route.tls else None, clock.now())
    except OSError as error:
        yield failed(step, translated(error, _QUESTION, route))


def _fault(step: Subject, fault: Fault) -> Finding:
    return failed(step, _QUESTION.failed(NetworkError, fault.cause, fault.advice))


def _name(route: Route, addresses: Sequence[str]) -> Finding:
    listed = ", ".join(addresses)
    detail = (
        f"{route.host} is {listed}"
        if listed != route.host
        else f"{route.host} is an address itself"
    )
    return Finding(NAME, Outcome.OK, detail, facts={"host": route.host, "addresses": addresses})


def _connection(line: socket.socket, seconds: float) -> Finding:
    address, port = line.getpeername()[:2]
    detail = f"made to {address}, port {port}, in {seconds * 1000:.0f} ms"
    facts: dict[str, Fact] = {"address": address, "port": port, "seconds": round(seconds, 6)}
    return Finding(CONNECTION, Outcome.OK, detail, facts=facts)


def _certificate(expiry: float | None, now: float) -> Finding:
    if expiry is None:
        detail = "there is none, for api.url begins with http://"
        return Finding(CERTIFICATE, Outcome.OK, detail, facts={"expires": None, "days_left": None})
    days = int((expiry - now) // _DAY)
    moment = datetime.fromtimestamp(expiry, UTC)
    facts: dict[str, Fact] = {
        "expires": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "days_left": days,
    }
    detail = f"good until {moment:%Y-%m-%d}, {days} days left"
    if days >= _EARLY_ENOUGH:
        return Finding(CERTIFICATE, Outcome.OK, detail, facts=facts)
    advice = "it is renewed by whom api.url leads to; tell them, if it lasts"
    return Finding(CERTIFICATE, Outcome.WARN, detail, advice, facts=facts)


def _resolved(route: Route, timeout: float) -> Sequence[str]:
    """Return the addresses of the host, in the order in which they are tried.

    Nothing can interrupt the resolver; so it works in a thread that may be left behind.
    """
    answer: queue.SimpleQueue[Sequence[str] | OSError] = queue.SimpleQueue()

    def resolve() -> None:
        try:
            found = socket.getaddrinfo(route.host, route.port, type=socket.SOCK_STREAM)
            answer.put(tuple(dict.fromkeys(str(address[0]) for *_, address in found)))
        except OSError as error:
            answer.put(error)
        except UnicodeError:
            answer.put(socket.gaierror(socket.EAI_NONAME, "no name of a host can be so"))

    threading.Thread(target=resolve, name="resolver", daemon=True).start()
    try:
        addresses = answer.get(timeout=timeout)
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(addresses, OSError):
        raise addresses
    return addresses


def _connected(addresses: Sequence[str], port: int, timeout: float) -> socket.socket:
    """Connect to the first address that can be reached."""
    failure = OSError()
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout / len(addresses))
        except OSError as error:
            failure = error
    raise failure


def _expiry(line: socket.socket, route: Route) -> float:
    """Shake hands, and return when the certificate expires, in unix time."""
    # urllib3's own context, as for the requests: what is good here is good there.
    context = create_urllib3_context()
    if route.trust.path.is_dir():
        context.load_verify_locations(capath=route.trust.path)
    else:
        context.load_verify_locations(cafile=route.trust.path)
    # The socket's timeout bounds the whole handshake.
    with context.wrap_socket(line, server_hostname=route.host) as tls:
        certificate = tls.getpeercert() or {}
    return ssl.cert_time_to_seconds(str(certificate["notAfter"]))
