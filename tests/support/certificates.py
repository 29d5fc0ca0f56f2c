"""Certificates with any dates, made by openssl."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

OPENSSL = shutil.which("openssl") or "openssl"
AUTHORITY = """\
[ca]
default_ca = own
[own]
database = {folder}/index
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = any
[any]
commonName = supplied
organizationName = optional
"""


def certify(folder: Path, start: datetime, end: datetime) -> bytes:
    """Make a certificate, valid in this time, as ``pem`` with its ``key``; return its text."""
    (folder / "index").write_text("")
    (folder / "authority.conf").write_text(AUTHORITY.format(folder=folder))
    _openssl(
        folder,
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-utf8"),
        *("-keyout", "key", "-out", "request", "-subj", "/CN=x/O=é"),
    )
    _openssl(
        folder,
        *("ca", "-batch", "-selfsign", "-notext", "-config", "authority.conf"),
        *("-in", "request", "-keyfile", "key", "-out", "pem"),
        *("-startdate", f"{start:%Y%m%d%H%M%SZ}", "-enddate", f"{end:%Y%m%d%H%M%SZ}"),
    )
    return (folder / "pem").read_bytes()


def certify_expired(folder: Path) -> datetime:
    """Make a certificate that expired an hour ago, and return when."""
    end = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    certify(folder, end - timedelta(days=30), end)
    return end


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(  # noqa: S603 - the arguments are the tests' own
        [OPENSSL, *arguments], cwd=folder, check=True, capture_output=True
    )
