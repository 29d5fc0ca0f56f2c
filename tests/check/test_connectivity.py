"""The way to the API: name, connection and certificate, each on its own."""

import gc
import os
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import pytest

from exporter.check import connectivity as reach_module
from exporter.check.connectivity import check_connectivity
from exporter.check.results import CheckResult, Outcome
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.route import find_route
from exporter.simulator import Simulator
from tests.support.authority import Authority
from tests.support.fixtures import CheckAccounts, DescribeAccount
from tests.support.resolver import resolve_to
from tests.support.sentences import NOT_RESOLVED, REFUSED_CONNECTION, UNTRUSTED_CERTIFICATE

UnderTls = Callable[[Path], str]


@pytest.fixture
def refusing() -> Iterator[str]:
    """Return ``127.0.0.1:PORT`` where connections are refused."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[str]:
    """Return ``127.0.0.1:PORT`` where connections are accepted and nothing is ever sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def go(url: str, ca_file: Path | None = None, timeout: float = 60.0) -> list[CheckResult]:
    """Go the way to an address, and return what was found."""
    return list(check_connectivity(find_route(url, ca_file, os.environ), timeout, Clock()))


def test_a_plain_http_address_has_no_certificate_result(scaleengine: Simulator) -> None:
    """An address in http:// is resolved and connected to, and shown without a certificate."""
    name, connection, certificate = go(scaleengine.url)

    assert name.facts == {"host": "127.0.0.1", "addresses": ("127.0.0.1",)}
    assert (connection.facts["address"], name.outcome) == ("127.0.0.1", Outcome.OK)
    assert certificate.outcome is Outcome.OK
    assert certificate.detail == "there is none, for api.url begins with http://"
    assert certificate.facts == {"expires": None, "days_left": None}


def test_a_name_is_shown_with_its_addresses(scaleengine: Simulator) -> None:
    """A name is shown with its addresses, and the address that accepts."""
    name, connection, _ = go(scaleengine.url.replace("127.0.0.1", "localhost"))

    assert name.detail.startswith("localhost is ")
    addresses = name.facts["addresses"]
    assert isinstance(addresses, tuple)
    assert "127.0.0.1" in addresses
    assert connection.facts["address"] == "127.0.0.1"


@pytest.mark.parametrize("host", ["no-such-name.invalid", "a..b", "x" * 64])
def test_a_name_that_cannot_be_resolved_fails(host: str) -> None:
    """A name that cannot be resolved fails, and nothing after it is tried."""
    (finding,) = go(f"https://{host}/")

    assert (finding.subject.what, finding.outcome) == ("name", Outcome.FAIL)
    assert finding.detail.startswith(NOT_RESOLVED)
    assert finding.advice == "check api.url and the DNS"


def test_a_resolver_that_hangs_fails_at_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that does not respond is not waited for longer than for a request."""
    over = threading.Event()

    def hang(*_: object, **__: object) -> None:
        over.wait(60)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    began = time.monotonic()
    (finding,) = go("https://api.example/", timeout=0.2)
    over.set()

    assert time.monotonic() - began < 30
    assert (finding.subject.what, finding.detail) == ("name", "no response came in time")


def test_a_refused_connection_fails(refusing: str) -> None:
    """A connection that is refused fails behind the name."""
    _, connection = go(f"https://{refusing}/")

    assert (connection.subject.what, connection.outcome) == ("connection", Outcome.FAIL)
    assert connection.detail == REFUSED_CONNECTION


class SetExampleAddresses(Protocol):
    """Give names that end in .example these addresses."""

    def __call__(self, *addresses: str) -> None: ...


@pytest.fixture
def resolving(monkeypatch: pytest.MonkeyPatch) -> SetExampleAddresses:
    """Return a function that says which addresses names that end in .example have."""

    def set_addresses(*addresses: str) -> None:
        resolve_to(monkeypatch, addresses, suffix=".example")

    return set_addresses


def test_addresses_that_refuse_are_named_and_skipped(
    scaleengine: Simulator, resolving: SetExampleAddresses
) -> None:
    """Every address of a name is shown; those that refuse do no harm, and are named."""
    resolving("127.0.0.2", "127.0.0.1", "::1")
    name, connection, certificate = go(scaleengine.url.replace("127.0.0.1", "api.example"))

    assert name.detail == "api.example is 127.0.0.2, 127.0.0.1, ::1"
    assert connection.outcome is Outcome.WARN
    assert connection.facts["address"] == "127.0.0.1"
    assert connection.facts["failed_addresses"] == ["127.0.0.2", "::1"]
    assert connection.detail.endswith(
        "; not to 127.0.0.2 (connection refused), ::1 (connection refused)"
    )
    assert connection.advice == (
        "requests are sent to an address that works; "
        "check api.url, its DNS and any firewall for the others"
    )
    assert certificate.outcome is Outcome.OK


def test_an_address_that_drops_packets_delays_the_next_a_little(
    scaleengine: Simulator, resolving: SetExampleAddresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address that never accepts is waited for only a little when another one does."""
    monkeypatch.setattr(reach_module, "_OTHERS_SECONDS", 0.2)
    port = urlsplit(scaleengine.url).port
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.2", port or 0))
        listener.listen(0)
        for _ in range(4):
            queued = sockets.enter_context(socket.socket())
            queued.settimeout(0)
            queued.connect_ex(("127.0.0.2", port))
        resolving("127.0.0.2", "127.0.0.1")
        _, connection, _ = go(scaleengine.url.replace("127.0.0.1", "api.example"), timeout=25.0)

    assert connection.detail.endswith("; not to 127.0.0.2 (no response)")
    assert connection.facts["failed_addresses"] == ["127.0.0.2"]


def test_an_address_family_without_a_route_is_no_warning(
    scaleengine: Simulator, resolving: SetExampleAddresses
) -> None:
    """A machine without IPv6 has nothing to worry about when a name has such an address too."""
    resolving("255.255.255.255", "127.0.0.1")
    _, connection, _ = go(scaleengine.url.replace("127.0.0.1", "api.example"))

    assert connection.outcome is Outcome.OK
    assert connection.detail.endswith("; not to 255.255.255.255 (network is unreachable)")


def test_a_good_certificate_is_shown_with_its_last_day(
    checked: CheckAccounts, main: DescribeAccount, under_tls: UnderTls, authority: Authority
) -> None:
    """A trusted certificate is shown with the day on which it ends."""
    url = under_tls(authority.issue("good", "IP:127.0.0.1", days=90))
    found = checked(url, main(), ca_file=str(authority.certificate))

    assert found.good
    (certificate,) = found.of("certificate")
    facts = certificate["facts"]
    assert isinstance(facts, dict)
    assert facts["days_left"] in (89, 90)
    ends = time.time() + 90 * 24 * 3600
    assert facts["expires"][:10] in {
        time.strftime("%Y-%m-%d", time.gmtime(ends + off)) for off in (-600, 0)
    }
    assert certificate["detail"] == (
        f"good until {facts['expires'][:10]}, {facts['days_left']} days left"
    )


def test_a_certificate_that_expires_soon_is_a_warning(
    checked: CheckAccounts, main: DescribeAccount, under_tls: UnderTls, authority: Authority
) -> None:
    """A certificate that ends in less than two weeks works, and is to be looked at."""
    url = under_tls(authority.issue("short", "IP:127.0.0.1", days=13))
    found = checked(url, main(), ca_file=str(authority.certificate))

    assert found.good
    assert found.of("certificate", "warn")[0]["advice"]


BAD_CERTIFICATES = {
    "out of date": ("IP:127.0.0.1", -1, True, "certificate has expired"),
    "of another host": ("IP:127.0.0.2", 90, True, "IP address mismatch"),
    "of an unknown authority": (
        "IP:127.0.0.1",
        90,
        False,
        "unable to get local issuer certificate",
    ),
}
"""Each with its subject, its days, whether its authority is trusted, and why it is bad."""


@pytest.mark.parametrize("case", BAD_CERTIFICATES)
def test_an_untrusted_certificate_fails_with_its_cause(
    checked: CheckAccounts,
    main: DescribeAccount,
    under_tls: UnderTls,
    authority: Authority,
    scaleengine: Simulator,
    case: str,
) -> None:
    """A certificate that is not trusted has its cause, once; no request is made."""
    subject, days, trusted, why = BAD_CERTIFICATES[case]
    url = under_tls(authority.issue(case.replace(" ", "-"), subject, days))
    found = checked(url, main(), ca_file=str(authority.certificate) if trusted else None)

    (failure,) = [finding for finding in found.findings if finding["outcome"] == "fail"]
    assert failure["what"] == "certificate"
    assert str(failure["detail"]).startswith(f"{UNTRUSTED_CERTIFICATE} (")
    assert why in str(failure["detail"])
    assert failure["advice"] == "check api.url and api.ca_file"
    assert found.outcomes("main") == [
        "secrets ok",
        "disk_usage not_tried",
        *["files not_tried"] * 2,
    ]
    assert scaleengine.request_count == 0


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_of_the_environment_are_trusted(
    under_tls: UnderTls,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    """The certificates that the environment names are trusted, as the requests trust them."""
    url = under_tls(authority.issue("named", "IP:127.0.0.1", days=90))
    assert go(url)[-1].outcome is Outcome.FAIL
    monkeypatch.setenv(variable, str(authority.certificate))
    assert go(url)[-1].outcome is Outcome.OK


def test_a_folder_of_certificates_is_trusted(
    under_tls: UnderTls, authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The environment may name a folder; one without certificates trusts no server."""
    url = under_tls(authority.issue("in-folder", "IP:127.0.0.1", days=90))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    certificate = go(url)[-1]

    assert certificate.detail.startswith(UNTRUSTED_CERTIFICATE)
    assert certificate.advice == "check api.url and REQUESTS_CA_BUNDLE"


def test_certificates_that_cannot_be_read_are_named(
    under_tls: UnderTls, authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where the file that the environment names is not there, it is named, and its variable."""
    url = under_tls(authority.issue("unread", "IP:127.0.0.1", days=90))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "ca.pem"))
    name, connection, certificate = go(url)

    assert (name.outcome, connection.outcome) == (Outcome.OK, Outcome.OK)
    assert (certificate.subject.what, certificate.outcome) == ("certificate", Outcome.FAIL)
    assert certificate.detail == f"the file of CURL_CA_BUNDLE is missing ({tmp_path / 'ca.pem'})"
    assert str(certificate.advice).endswith("or change CURL_CA_BUNDLE in the environment")


def test_a_server_without_tls_fails_at_the_certificate(scaleengine: Simulator) -> None:
    """A server without TLS fails at the certificate."""
    certificate = go(scaleengine.url.replace("http:", "https:"))[-1]

    assert (certificate.subject.what, certificate.outcome) == ("certificate", Outcome.FAIL)
    assert certificate.detail.startswith("TLS failed (")


def test_a_handshake_that_hangs_fails_at_the_timeout(silent: str) -> None:
    """A server that never shakes hands is not waited for longer than for a request."""
    began = time.monotonic()
    certificate = go(f"https://{silent}/", timeout=0.2)[-1]

    assert time.monotonic() - began < 30
    assert (certificate.subject.what, certificate.detail) == (
        "certificate",
        "no response came in time",
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_is_connected_to_without_showing_its_password(
    scaleengine: Simulator,
    resolving: SetExampleAddresses,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
) -> None:
    """Where the environment names a proxy, it is resolved and connected to; no secret is shown."""
    port = urlsplit(scaleengine.url).port
    monkeypatch.setenv(f"{scheme}_proxy", f"http://user:canary@proxy.example:{port}")
    resolving("127.0.0.2", "127.0.0.1")
    found = go(f"{scheme}://api.example/")
    proxy, name, connection = found

    assert (proxy.subject.what, proxy.outcome) == ("proxy", Outcome.OK)
    assert proxy.detail == f"{scheme}_proxy names proxy.example, port {port}"
    assert name.detail == "proxy.example is 127.0.0.2, 127.0.0.1"
    assert (connection.outcome, connection.facts["address"]) == (Outcome.WARN, "127.0.0.1")
    assert f"check {scheme}_proxy, its DNS" in str(connection.advice)
    assert "canary" not in repr(found)


@pytest.mark.parametrize(
    ("host", "step", "sentence"),
    [
        ("no-such-proxy.invalid", "name", f"at the proxy, {NOT_RESOLVED}"),
        ("127.0.0.1", "connection", f"at the proxy, {REFUSED_CONNECTION}"),
    ],
)
def test_an_unreachable_proxy_fails_and_names_its_variable(
    refusing: str, monkeypatch: pytest.MonkeyPatch, host: str, step: str, sentence: str
) -> None:
    """A proxy that is not there fails step by step, and leads to the variable that names it."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://{host}:{refusing.rpartition(':')[2]}")
    finding = go("https://api.example/")[-1]

    assert (finding.subject.what, finding.outcome) == (step, Outcome.FAIL)
    assert finding.detail == sentence
    assert str(finding.advice).startswith("check HTTPS_PROXY")


def test_certificates_are_read_with_a_proxy_too(
    scaleengine: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The file of trusted certificates is looked at behind a proxy too."""
    monkeypatch.setenv("HTTPS_PROXY", scaleengine.url)
    certificate = go("https://api.example/", ca_file=tmp_path / "ca.pem")[-1]

    assert (certificate.subject.what, certificate.outcome) == ("certificate", Outcome.FAIL)
    assert certificate.detail == f"the file of api.ca_file is missing ({tmp_path / 'ca.pem'})"


def test_an_invalid_proxy_address_fails_and_names_its_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An address that cannot be a proxy's fails at once, and its variable is named."""
    monkeypatch.setenv("ALL_PROXY", "http://user:canary@proxy:port")
    (finding,) = go("https://api.example/")

    assert (finding.subject.what, finding.outcome) == ("proxy", Outcome.FAIL)
    assert finding.detail == "the proxy address in ALL_PROXY is malformed"
    assert "canary" not in repr(finding)


def test_a_proxy_that_refuses_is_reported_once(
    checked: CheckAccounts, main: DescribeAccount, refusing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that refuses is reported once, by the first request."""
    monkeypatch.setenv("https_proxy", f"http://{refusing}")
    found = checked("https://api.example/", main())

    (failure,) = [finding for finding in found.findings if finding["outcome"] == "fail"]
    assert failure["detail"] == f"at the proxy, {REFUSED_CONNECTION}"
    assert found.outcomes().count("files not_tried") == 2


def test_loopback_is_connected_to_without_the_proxy(
    scaleengine: Simulator, refusing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This machine is reached directly, also where the environment names a proxy."""
    monkeypatch.setenv("http_proxy", f"http://{refusing}")

    assert [finding.outcome for finding in go(scaleengine.url)] == [Outcome.OK] * 3


def test_every_connection_is_closed(under_tls: UnderTls, authority: Authority) -> None:
    """Every connection is closed again, whether the certificate is good or not."""
    url = under_tls(authority.issue("closed", "IP:127.0.0.1", days=90))
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        assert go(url, authority.certificate)[-1].outcome is Outcome.OK
        assert go(url)[-1].outcome is Outcome.FAIL
        gc.collect()

    assert complaints == []
