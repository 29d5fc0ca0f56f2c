"""Only listed variables may change what the program does; an empty one is one that is not set."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.process.start import KEPT, restrict_environment

LISTED = {
    "HTTPS_PROXY": "http://proxy:3128",
    "https_proxy": "http://proxy:3128",
    "Https_Proxy": "http://proxy:3128",
    "no_proxy": "localhost",
    "REQUESTS_CA_BUNDLE": "/ca.pem",
    "NO_COLOR": "1",
    "TZ": "Europe/Berlin",
    "LC_ALL": "C",
    "LC_CTYPE": "C.UTF-8",
    "PYTHONUNBUFFERED": "1",
    "OPENSSL_CONF": "/etc/fips.cnf",
    "PATH": "/opt/prometheus:/usr/bin",
    "TMPDIR": "/large",
}
OTHERS = {
    "PROMETHEUS_MULTIPROC_DIR": "/nonexistent",
    "prometheus_multiproc_dir": "/nonexistent",
    "SSLKEYLOGFILE": "/keys",
    "REQUEST_METHOD": "GET",
    "NETRC": "/netrc",
    "FORCE_COLOR": "1",
    "FTP_PROXY": "http://elsewhere:3128",
    "requests_ca_bundle": "/elsewhere.pem",
    "LC": "x",
    "XLC_ALL": "x",
    "TZ2": "x",
    "SCALEENGINE_EXPORTER_LOG_LEVEL": "debug",
    "SECRET": "s3cret",
}


def test_only_listed_variables_stay() -> None:
    """What is listed stays, what is not goes, and what was there is returned."""
    environ = {**LISTED, **OTHERS}
    assert restrict_environment(environ) == {**LISTED, **OTHERS}
    assert environ == LISTED


def test_empty_variables_are_removed() -> None:
    """An empty variable is removed: one in lower case hides the other otherwise."""
    environ = {"https_proxy": "", "HTTPS_PROXY": "http://proxy:3128", "CURL_CA_BUNDLE": ""}
    before = restrict_environment(environ)
    assert environ == {"HTTPS_PROXY": "http://proxy:3128"}
    assert before["https_proxy"] == ""


@given(st.dictionaries(st.text(), st.text()))
def test_any_environment_is_reduced_to_listed_variables(before: dict[str, str]) -> None:
    """In any environment, only listed names with a value stay."""
    environ = dict(before)
    assert restrict_environment(environ) == before
    assert environ.items() <= before.items()
    assert all(environ.values())
    beginnings = tuple(name.rstrip("*") for name in KEPT)
    assert all(name.upper().startswith(beginnings) for name in environ)
