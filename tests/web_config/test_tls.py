"""Each setting of tls_server_config holds for clients."""

import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from exporter.web.config_file import WebConfig, go_values, load_web_config
from exporter.web.config_file.go_values import TLS_12_SUITES, TLS_13_SUITES
from exporter.web.config_file.tls import Pem
from exporter.yamlfile.problems import ConfigError

if TYPE_CHECKING:
    from tests.web_config.conftest import Site

Serve = Callable[[str], "Site"]
Load = Callable[[str], WebConfig]

GOOD_TLS = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
V12 = ssl.TLSVersion.TLSv1_2
V13 = ssl.TLSVersion.TLSv1_3
FIRST = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
SECOND = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"


def meet(site: "Site", context: ssl.SSLContext) -> tuple[str | None, str | None]:
    """Return the TLS version and the cipher suite on which such a client and the site agree."""
    connection = site.connect(context)
    connection.connect()
    assert isinstance(connection.sock, ssl.SSLSocket)
    suite = connection.sock.cipher()
    version = connection.sock.version()
    connection.close()
    return version, suite and suite[0]


def reaches(site: "Site", context: ssl.SSLContext) -> bool:
    """Return whether such a client gets a response; in TLS 1.3 a refusal comes after sending."""
    try:
        site.ask(context=context)
    except (ssl.SSLError, ConnectionError):
        return False
    return True


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "{}\n", "http_server_config: {http2: false}\n"]
)
def test_without_a_certificate_plain_http_is_served(serve: Serve, text: str) -> None:
    """An empty file, or one without tls_server_config, changes nothing."""
    assert serve(text).ask().body == b"good 1\n"


def test_a_certificate_in_files_is_served(serve: Serve) -> None:
    """A client that trusts the authority gets a response over TLS 1.3."""
    site = serve(GOOD_TLS)
    assert meet(site, site.trust())[0] == "TLSv1.3"


def test_a_certificate_in_the_text_is_served(serve: Serve, folder: Path) -> None:
    """Given cert, key and client_ca as PEM in the text, then they do what files would."""
    keys = {"cert": "server.pem", "key": "server.key", "client_ca": "authority.pem"}
    blocks = (
        f"  {key}: |\n"
        + "".join(f"    {line}\n" for line in (folder / file).read_text().split("\n"))
        for key, file in keys.items()
    )
    site = serve(
        f"tls_server_config:\n{''.join(blocks)}  client_auth_type: RequireAndVerifyClientCert\n"
    )
    assert reaches(site, site.trust("prometheus"))
    assert not reaches(site, site.trust())


def test_a_key_in_the_text_never_lies_on_a_disk() -> None:
    """What OpenSSL reads is memory without a name, and gone afterwards."""
    with Pem(b"secret").as_file() as path:
        assert Path(path).read_bytes() == b"secret"
        assert str(Path(path).readlink()) == "/memfd:pem (deleted)"
    assert not Path(path).exists()


def test_relative_paths_begin_at_the_folder_of_the_file(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the exporter was started, certificates are found next to the file."""
    (folder / "web.yml").write_text(GOOD_TLS)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    config = load_web_config(folder / "web.yml")
    assert config.files == (folder / "web.yml", folder / "server.pem", folder / "server.key")


def test_curl_gets_a_response(serve: Serve, folder: Path) -> None:
    """curl, with the authority and a client's certificate, gets the page by HTTP/1.1."""
    site = serve(
        f"{GOOD_TLS}  client_ca_file: authority.pem\n"
        "  client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans: [one.example]\n"
    )
    client = ("--cert", "prometheus.pem", "--key", "prometheus.key", "--cacert", "authority.pem")
    command = ["curl", "-sS", "--http2", "-w", "%{http_version}", *client]
    done = subprocess.run(  # noqa: S603 - the arguments are the test's own
        [*command, f"https://localhost:{site.port}/metrics"],
        capture_output=True,
        timeout=60,
        cwd=folder,
        check=False,
    )
    assert (done.stdout, done.stderr) == (b"good 1\n1.1", b"")


@pytest.mark.parametrize(
    ("keys", "oldest", "newest", "version"),
    [
        ("", V12, V13, "TLSv1.3"),
        ("", V12, V12, "TLSv1.2"),
        ("min_version: TLS13", V12, V13, "TLSv1.3"),
        ("min_version: TLS13", V12, V12, None),
        ("max_version: TLS12", V12, V13, "TLSv1.2"),
        ("max_version: TLS12", V13, V13, None),
        ("min_version: TLS12\n  max_version: TLS12", V12, V13, "TLSv1.2"),
    ],
)
def test_versions_have_bounds(
    serve: Serve, keys: str, oldest: ssl.TLSVersion, newest: ssl.TLSVersion, version: str | None
) -> None:
    """The newest version that both sides support is used, or none at all."""
    site = serve(f"{GOOD_TLS}  {keys}\n")
    context = site.trust()
    context.minimum_version, context.maximum_version = oldest, newest
    if version is None:
        assert not reaches(site, context)
    else:
        assert meet(site, context)[0] == version


@pytest.mark.parametrize(
    ("keys", "offered", "chosen"),
    [
        (f"cipher_suites: [{FIRST}]", "ECDHE+AESGCM", FIRST),
        (f"cipher_suites: [{SECOND}]", "ECDHE+AESGCM", SECOND),
        (f"cipher_suites: [{FIRST}]", TLS_12_SUITES[SECOND], None),
        (f"cipher_suites: [{FIRST}, {SECOND}]", "{1}:{0}", FIRST),
        (f"cipher_suites: [{SECOND}, {FIRST}]", "{0}:{1}", SECOND),
        (
            f"cipher_suites: [{FIRST}, {SECOND}]\n  prefer_server_cipher_suites: false",
            "{1}:{0}",
            SECOND,
        ),
    ],
)
def test_suites_are_chosen_by_their_go_names(
    serve: Serve, keys: str, offered: str, chosen: str | None
) -> None:
    """In TLS 1.2 only these suites are used, in the order of the file unless it says no."""
    site = serve(f"{GOOD_TLS}  max_version: TLS12\n  {keys}\n")
    context = site.trust()
    context.set_ciphers(offered.format(TLS_12_SUITES[FIRST], TLS_12_SUITES[SECOND]))
    if chosen is None:
        assert not reaches(site, context)
    else:
        assert meet(site, context)[1] == TLS_12_SUITES[chosen]


def test_every_suite_that_go_offers_is_known(load: Load) -> None:
    """Given all of Go's names, then OpenSSL offers just those."""
    names = [*TLS_12_SUITES, *sorted(TLS_13_SUITES)]
    context = load(f"{GOOD_TLS}  cipher_suites: [{', '.join(names)}]\n").context
    assert context
    offered = {cipher["name"] for cipher in context.get_ciphers()}
    assert offered == {*TLS_12_SUITES.values(), *TLS_13_SUITES}


def test_suites_of_tls_13_alone_need_no_other(load: Load) -> None:
    """Given all of TLS 1.3's suites and no older version, then there is nothing to refuse."""
    names = ", ".join(TLS_13_SUITES)
    assert load(f"{GOOD_TLS}  cipher_suites: [{names}]\n  min_version: TLS13\n").context


@pytest.mark.parametrize("names", ["NOVEL", "USUAL, NOVEL"])
def test_a_suite_that_openssl_lacks_is_an_error(
    mistakes: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch, names: str
) -> None:
    """Some builds of OpenSSL leave suites out; then the file cannot be honoured there."""
    known = {"USUAL": "ECDHE-ECDSA-AES128-GCM-SHA256", "NOVEL": "NOVEL"}
    monkeypatch.setattr(go_values, "TLS_12_SUITES", known)
    assert mistakes(f"{GOOD_TLS}  cipher_suites: [{names}]\n") == [
        (
            "web.yml:4:18: tls_server_config.cipher_suites: "
            "names suites that the OpenSSL of this machine lacks: NOVEL"
        )
    ]


def knows_x25519() -> bool:
    """Return whether this Python can choose the curve: some of those for OpenSSL 3 cannot."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ecdh_curve("X25519")
    except ssl.SSLError:
        return False
    return True


needs_x25519 = pytest.mark.skipif(not knows_x25519(), reason="this Python cannot choose X25519")


@pytest.mark.parametrize(
    ("curve", "offered", "is_shared"),
    [
        pytest.param("X25519", "X25519", True, marks=needs_x25519),
        ("CurveP256", "prime256v1", True),
        ("CurveP384", "secp384r1", True),
        ("CurveP521", "secp521r1", True),
        ("CurveP384", "prime256v1", False),
        pytest.param("X25519", "prime256v1", False, marks=needs_x25519),
    ],
)
def test_a_curve_is_chosen_by_its_go_name(
    serve: Serve, curve: str, offered: str, *, is_shared: bool
) -> None:
    """A client that knows no other curve is let in by its own alone."""
    site = serve(f"{GOOD_TLS}  curve_preferences: [{curve}]\n")
    context = site.trust()
    context.set_ecdh_curve(offered)
    assert reaches(site, context) is is_shared


def test_a_curve_that_python_cannot_choose_is_refused(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A curve that is out of this Python's reach is refused, by its key."""

    def refuse(_: ssl.SSLContext, __: str) -> None:
        raise ssl.SSLError("unknown group")

    monkeypatch.setattr(ssl.SSLContext, "set_ecdh_curve", refuse)
    with pytest.raises(ConfigError, match=r"curve_preferences: names X25519, which this Python"):
        serve(f"{GOOD_TLS}  curve_preferences: [X25519]\n")


@pytest.mark.parametrize("keys", ["cipher_suites: []", "curve_preferences: []"])
def test_an_empty_list_means_the_default_of_openssl(serve: Serve, keys: str) -> None:
    """As in Go, no names mean the default."""
    assert serve(f"{GOOD_TLS}  {keys}\n").ask().status == 200
