"""The environment says by which proxy the API is reached, and whose certificates are trusted."""

from pathlib import Path

import pytest

from exporter.scaleengine.route import find_route

API = "https://api.scaleengine.net/stable/"
PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("url", "environ", "setting"),
    [
        (API, {}, None),
        (API, {"HTTPS_PROXY": PROXY}, "HTTPS_PROXY"),
        (API, {"https_proxy": PROXY}, "https_proxy"),
        (API, {"Https_Proxy": PROXY}, "Https_Proxy"),
        (API, {"HTTPS_PROXY": "http://other", "https_proxy": PROXY}, "https_proxy"),
        (API, {"HTTPS_PROXY": PROXY, "https_proxy": ""}, None),
        (API, {"HTTPS_PROXY": ""}, None),
        (API, {"HTTPS_PROXY": " "}, None),
        (API, {"HTTP_PROXY": PROXY, "http_proxy": PROXY}, None),
        (API, {"ALL_PROXY": PROXY}, "ALL_PROXY"),
        (API, {"all_proxy": PROXY, "HTTPS_PROXY": ""}, "all_proxy"),
        (API, {"all_proxy": "http://other", "HTTPS_PROXY": PROXY}, "HTTPS_PROXY"),
        ("http://api.example/", {"HTTPS_PROXY": PROXY}, None),
        ("http://api.example/", {"http_proxy": PROXY}, "http_proxy"),
        ("http://api.example/", {"HTTP_PROXY": PROXY}, "HTTP_PROXY"),
    ],
)
def test_the_variable_of_the_scheme_names_the_proxy(
    url: str, environ: dict[str, str], setting: str | None
) -> None:
    """The variable of the scheme comes first, in lower case first; an empty one names none."""
    route = find_route(url, None, environ)
    if setting is None:
        assert route.proxy is None
        assert route.peer_setting == "api.url"
    else:
        assert route.proxy is not None
        assert (route.proxy.setting, route.proxy.fault) == (setting, None)
        assert route.peer == ("proxy.example", 3128)


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("http://proxy", ("proxy", 80)),
        ("https://proxy", ("proxy", 443)),
        ("proxy:3128", ("proxy", 3128)),
        ("  http://proxy:3128/\n", ("proxy", 3128)),
        ("http://user:canary@proxy:3128", ("proxy", 3128)),
        ("user:canary@proxy:3128", ("proxy", 3128)),
        ("http://[2001:db8::1]:3128", ("2001:db8::1", 3128)),
        ("HTTP://PROXY:3128", ("proxy", 3128)),
    ],
)
def test_a_proxy_address_may_lack_scheme_and_port(text: str, peer: tuple[str, int]) -> None:
    """An address may lack its scheme and its port; a password is never shown."""
    route = find_route(API, None, {"HTTPS_PROXY": text})

    assert route.find_fault() is None
    assert route.peer == peer
    assert "canary" not in repr(route)


EXEMPT = [
    (API, "api.scaleengine.net"),
    (API, "API.ScaleEngine.Net"),
    (API, "scaleengine.net"),
    (API, ".scaleengine.net"),
    (API, "*.scaleengine.net"),
    (API, "api.scaleengine.net."),
    (API, "api.scaleengine.net:443"),
    (API, "*"),
    (API, "example, *"),
    (API, " example , api.scaleengine.net "),
    (API, "example api.scaleengine.net"),
    ("http://api.example:8080/", "api.example:8080"),
    ("http://10.1.2.3/", "10.1.2.3"),
    ("http://10.1.2.3/", "10.1.2.3:80"),
    ("http://10.1.2.3/", "10.0.0.0/8"),
    ("http://[2001:db8::1]/", "2001:db8::1"),
    ("http://[2001:db8::1]/", "[2001:db8::1]"),
    ("http://[2001:db8::1]/", "[2001:db8::1]:80"),
    ("http://[2001:db8::1]/", "2001:DB8:0::1"),
    ("http://[2001:db8::1]/", "2001:db8::/32"),
]


@pytest.mark.parametrize(("url", "no_proxy"), EXEMPT)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_no_proxy_exempts_hosts_domains_and_networks(url: str, no_proxy: str, name: str) -> None:
    """A host is exempt by its name or address, with its port, by its domain or its network."""
    assert find_route(url, None, {"ALL_PROXY": PROXY, name: no_proxy}).proxy is None


@pytest.mark.parametrize(
    ("url", "no_proxy"),
    [
        (API, ""),
        (API, ","),
        (API, "."),
        (API, "*."),
        (API, "engine.net"),
        (API, "example"),
        (API, "net.scaleengine.api"),
        (API, "api.scaleengine.net:8443"),
        (API, "10.0.0.0/8"),
        (API, "::/0"),
        ("http://10.1.2.3/", "10.1.2.3:8080"),
        ("http://10.1.2.3/", "10.2.0.0/16"),
        ("http://10.1.2.3/", "2001:db8::/32"),
        ("http://10.1.2.3/", "2.3"),
        ("http://[2001:db8::1]/", "2001:db8::2"),
        ("http://[2001:db8::1]/", "[2001:db8::1]:8080"),
    ],
)
def test_no_proxy_exempts_no_similar_host(url: str, no_proxy: str) -> None:
    """A host is not exempt by half a label, another port, or the network of others."""
    assert find_route(url, None, {"ALL_PROXY": PROXY, "NO_PROXY": no_proxy}).proxy is not None


@pytest.mark.parametrize(
    ("url", "environ", "uses_tls"),
    [
        ("http://api.example/", {}, False),
        ("https://api.example/", {}, True),
        ("http://api.example/", {"HTTP_PROXY": "http://proxy.example"}, False),
        ("http://api.example/", {"HTTP_PROXY": "https://proxy.example"}, True),
        ("https://api.example/", {"HTTPS_PROXY": "http://proxy.example"}, True),
    ],
)
def test_certificates_count_where_api_or_proxy_use_tls(
    url: str, environ: dict[str, str], *, uses_tls: bool
) -> None:
    """The trusted certificates count where the API or the proxy shows one."""
    assert find_route(url, None, environ).uses_tls is uses_tls


def test_an_empty_no_proxy_in_lower_case_wins() -> None:
    """An empty no_proxy overrules what NO_PROXY exempts."""
    environ = {"ALL_PROXY": PROXY, "NO_PROXY": "*", "no_proxy": ""}
    assert find_route(API, None, environ).proxy is not None


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.8.8.8", "[::1]", "[::ffff:127.0.0.1]", "localhost", "api.localhost"],
)
@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_loopback_needs_no_proxy(host: str, name: str) -> None:
    """An API on this machine is never asked by a proxy."""
    assert find_route(f"http://{host}:8080/", None, {name: PROXY}).proxy is None


@pytest.mark.parametrize("host", ["localhost.example", "10.1.2.3", "mylocalhost", "[::2]"])
def test_hosts_that_look_like_loopback_use_the_proxy(host: str) -> None:
    """A host that only looks like this machine is asked by the proxy."""
    assert find_route(f"http://{host}/", None, {"http_proxy": PROXY}).proxy is not None


@pytest.mark.parametrize(
    ("ca_file", "environ", "setting", "path"),
    [
        ("/ca", {}, "api.ca_file", "/ca"),
        ("/ca", {"REQUESTS_CA_BUNDLE": "/r"}, "api.ca_file", "/ca"),
        (None, {"REQUESTS_CA_BUNDLE": "/r", "CURL_CA_BUNDLE": "/c"}, "REQUESTS_CA_BUNDLE", "/r"),
        (None, {"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": "/c"}, "CURL_CA_BUNDLE", "/c"),
    ],
)
def test_the_configuration_chooses_the_certificates_before_the_environment(
    ca_file: str | None, environ: dict[str, str], setting: str, path: str
) -> None:
    """The configuration decides, and then the environment."""
    trust = find_route(API, Path(ca_file) if ca_file else None, environ).trust

    assert (trust.setting, trust.path) == (setting, Path(path))


@pytest.mark.parametrize("environ", [{}, {"SSL_CERT_FILE": "/s"}, {"CURL_CA_BUNDLE": ""}])
def test_the_default_certificates_can_be_read(environ: dict[str, str]) -> None:
    """Where nothing is set the well-known authorities are trusted, and they can be read."""
    trust = find_route(API, None, environ).trust

    assert trust.setting is None
    assert trust.ignored == next((name for name in environ if name.startswith("SSL")), None)
    assert trust.find_fault() is None


def test_certificates_may_be_in_a_folder(tmp_path: Path) -> None:
    """Certificates may be a folder's."""
    assert find_route(API, tmp_path, {}).trust.find_fault() is None
