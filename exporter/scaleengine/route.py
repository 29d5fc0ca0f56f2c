"""How the API is reached: directly or by a proxy, and which certificates are trusted.

What the configuration leaves open the environment decides, as for ``requests``: ``HTTPS_PROXY``,
``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` (in lower case first), ``REQUESTS_CA_BUNDLE`` and
``CURL_CA_BUNDLE``. Each part of a route knows its setting, so that a failure can name it.
"""

import ipaddress
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from exporter.process.resource_limits import find_resource_limit

CA_FILE: Final = "api.ca_file"
URL: Final = "api.url"

_CA_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_IGNORED_CA_VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_PORTS: Final = {"http": 80, "https": 443}


class Fault(NamedTuple):
    """What is wrong with a setting, and the next step."""

    cause: str
    advice: str


@dataclass(frozen=True, slots=True)
class Proxy:
    """The proxy that the environment variable ``setting`` names.

    ``url`` may hold a password. With a ``fault`` it cannot be used.
    """

    setting: str
    url: str = field(repr=False)
    host: str = ""
    port: int = 0
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Trust:
    """The certificates that are trusted: a PEM file or a folder, and the setting that names it.

    ``setting`` is None for the well-known ones; ``ignored`` is a variable that the operator may
    have meant instead, and that has no effect here.
    """

    path: Path
    setting: str | None = None
    ignored: str | None = None

    def find_version(self) -> tuple[int, ...]:
        """Return what changes when the certificates do; nothing where they cannot be found.

        A folder changes when a file is added, removed or replaced by another, but not when one is
        overwritten in place.
        """
        try:
            found = self.path.stat()
        except OSError:
            return ()
        return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    def find_fault(self) -> Fault | None:
        """Return why the certificates cannot be used, after reading them all.

        Raises OSError where a limit of this process or machine keeps them from being read.
        """
        named = f"the file of {self.setting or 'certifi'}"
        advice = "put it there, readable for the exporter"
        if self.setting not in (None, CA_FILE):
            advice += f", or change {self.setting} in the environment"
        try:
            if self.path.is_dir():
                os.scandir(self.path).close()
            else:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(self.path)
        except FileNotFoundError:
            return Fault(f"{named} is missing ({self.path})", advice)
        except ssl.SSLError:
            advice = f"name a PEM file of certificates in {self.setting or 'api.ca_file'}"
            return Fault(f"{named} holds no certificate that can be read ({self.path})", advice)
        except OSError as error:
            if find_resource_limit(error):  # not a fault of the file
                raise
            reason = os.strerror(error.errno) if error.errno else "unreadable"
            return Fault(f"{named} cannot be read ({self.path}: {reason})", advice)
        return None


@dataclass(frozen=True, slots=True)
class Route:
    """The host and port of the API, whether TLS is spoken there, and what is on the way."""

    host: str
    port: int
    tls: bool
    trust: Trust
    proxy: Proxy | None = None

    @property
    def uses_tls(self) -> bool:
        """Return whether any peer is verified: the host of the API, or the proxy."""
        return self.tls or (self.proxy is not None and self.proxy.url.startswith("https:"))

    @property
    def peer(self) -> tuple[str, int]:
        """Return the host and the port that connections are made to."""
        return (self.proxy.host, self.proxy.port) if self.proxy else (self.host, self.port)

    @property
    def peer_setting(self) -> str:
        """Return the setting that names the host that connections are made to."""
        return self.proxy.setting if self.proxy else URL

    def find_fault(self) -> Fault | None:
        """Return why no request can be sent, as far as that shows without sending one."""
        if self.proxy and self.proxy.fault:
            return self.proxy.fault
        if self.tls and not self.trust.path.exists():
            return self.trust.find_fault()
        return None


def find_route(url: str, ca_file: Path | None, environ: Mapping[str, str]) -> Route:
    """Return the route to a URL; ``ca_file`` is what the configuration says of certificates."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    direct = _is_loopback(host) or _is_exempt(host, port, environ)
    return Route(
        host=host,
        port=port,
        tls=parts.scheme == "https",
        trust=_find_trust(ca_file, environ),
        proxy=None if direct else _find_proxy(parts.scheme, environ),
    )


def _find_trust(ca_file: Path | None, environ: Mapping[str, str]) -> Trust:
    if ca_file is not None:
        return Trust(ca_file, CA_FILE)
    for name in _CA_VARIABLES:
        if environ.get(name):
            return Trust(Path(environ[name]), name)
    ignored = next((name for name in _IGNORED_CA_VARIABLES if environ.get(name)), None)
    return Trust(Path(DEFAULT_CA_BUNDLE_PATH), ignored=ignored)


def _find_proxy(scheme: str, environ: Mapping[str, str]) -> Proxy | None:
    for wanted in (f"{scheme}_proxy", "all_proxy"):
        name = _find_variable(wanted, environ)
        if name is not None and environ[name].strip():
            return _read_proxy(name, environ[name].strip())
    return None


def _find_variable(wanted: str, environ: Mapping[str, str]) -> str | None:
    """Return the name of a variable as it is set: in lower case first, then in any."""
    if wanted in environ:
        return wanted
    return next((name for name in environ if name.lower() == wanted), None)


def _read_proxy(setting: str, text: str) -> Proxy:
    advice = (
        f"write {setting} as http://host:port, with characters such as / and @ in a password "
        "percent-encoded (%2F, %40), "
        "or name the host of api.url in NO_PROXY"
    )

    def unusable(flaw: str) -> Proxy:
        return Proxy(setting, "", fault=Fault(f"the proxy address in {setting} {flaw}", advice))

    try:
        url = parse_url(text if "://" in text else f"http://{text}")
    except LocationParseError:
        return unusable("is malformed")
    if url.scheme not in _PORTS:
        is_socks = (url.scheme or "").startswith("socks")
        return unusable("is of a SOCKS proxy" if is_socks else "does not begin with http://")
    if not url.host:
        return unusable("names no host")
    # With "@" after the host, a password holds a slash: what looks like the host is a part of it.
    # urllib3 before 2.8 accepts spaces in a host.
    if "@" in f"{url.path}{url.query}{url.fragment}" or re.search(r"\s", url.host):
        return unusable("is malformed")
    return Proxy(setting, url.url, url.host.strip("[]"), url.port or _PORTS[url.scheme])


def _is_loopback(host: str) -> bool:
    """Return whether a host is this machine, for which a proxy would take itself."""
    address = _parse_address(host)
    if address is None:
        return host == "localhost" or host.endswith(".localhost")
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _is_exempt(host: str, port: int, environ: Mapping[str, str]) -> bool:
    """Return whether ``NO_PROXY`` names a host: alone, with its port, by its domain or network.

    ``requests`` knows fewer forms, and changes the environment of all threads to judge.
    """
    name = _find_variable("no_proxy", environ)
    entries = re.split(r"[\s,]+", environ[name]) if name else []
    return any(_is_match(entry.lower(), host.rstrip("."), port) for entry in entries if entry)


def _is_match(entry: str, host: str, port: int) -> bool:
    """Return whether an entry of ``NO_PROXY`` means a host."""
    if entry == "*":
        return True
    name, _, its_port = entry.rpartition(":")
    if its_port.isdecimal() and name and _parse_network(entry) is None:
        if int(its_port) != port:
            return False
        entry = name
    network, address = _parse_network(entry), _parse_address(host)
    if network is not None or address is not None:
        return network is not None and address is not None and address in network
    domain = entry.removeprefix("*").strip(".")
    return host == domain or host.endswith(f".{domain}")


def _parse_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None


def _parse_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
