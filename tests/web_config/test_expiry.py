"""Certificates that are not valid, or not for long, are warnings: the file is used."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from exporter.web.config_file import LiveWebConfig, load_web_config

DAY = 86_400.0
TLS = """\
tls_server_config:
  cert_file: server.pem
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: authority.pem
"""
EXPIRED = "names a file that holds a certificate that expired on "
SOON = "names a file that holds a certificate that expires soon, on "
EARLY = "names a file that holds a certificate that is not valid before "
SERVER = "web.yml:2:14: tls_server_config.cert_file: "
AUTHORITY = "web.yml:5:19: tls_server_config.client_ca_file: "


def later(days: float) -> Callable[[], float]:
    """Return a clock that is some days ahead of the machine's."""
    return lambda: time.time() + days * DAY


@pytest.mark.parametrize(
    ("days", "message"), [(0, None), (10, None), (25, SOON), (31, EXPIRED), (-1, EARLY)]
)
def test_an_expiring_certificate_is_a_warning(
    write: Callable[[str], Path], days: float, message: str | None
) -> None:
    """Those of the server and of its clients' authority have the same warnings."""
    write(TLS)
    warnings = load_web_config(Path("web.yml"), later(days)).warnings
    found = [str(warning) for warning in warnings]
    assert len(found) == (2 if message else 0)
    for line, place in zip(found, (SERVER, AUTHORITY), strict=False):
        assert line.startswith(f"{place}{message}")


def test_an_expiring_certificate_in_the_text_is_a_warning(
    write: Callable[[str], Path], folder: Path
) -> None:
    """There is no file to name."""
    inline = {
        name: (folder / f"server.{kind}").read_text().replace("\n", "\n    ")
        for name, kind in (("cert", "pem"), ("key", "key"))
    }
    write("tls_server_config:\n" + "".join(f"  {key}: |\n    {inline[key]}\n" for key in inline))
    (warning,) = load_web_config(Path("web.yml"), later(31)).warnings
    assert warning.where == "tls_server_config.cert"
    assert warning.message.startswith("holds a certificate that expired on ")


def test_a_reload_repeats_the_warning(write: Callable[[str], Path]) -> None:
    """Each time that the file is read, and not each time that it is looked at."""
    with capture_logs() as logged:
        live = LiveWebConfig(write(TLS), time.monotonic, later(31))
        for _ in range(3):
            assert live.refresh() == ()
        write(TLS + "  min_version: TLS13\n")
        assert live.refresh() == ()
    warnings = [line["warning"] for line in logged if line["log_level"] == "warning"]
    assert len(warnings) == 4
    assert warnings[:2] == warnings[2:]
