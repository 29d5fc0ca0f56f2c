"""The web config file, as the whole program applies it."""

import base64
import os
import re
import shutil
import socket
import ssl
import subprocess
from contextlib import closing, suppress
from http.client import BadStatusLine, HTTPSConnection
from pathlib import Path

import bcrypt
import pytest

from exporter.simulator import Simulator
from tests.support.certificates import certify_expired
from tests.support.fixtures import StartProgram, WriteConfig
from tests.support.program import Program
from tests.support.waiting import TIMEOUT, wait_until

OPENSSL = shutil.which("openssl") or "openssl"
RELOADED = "scaleengine_exporter_web_config_last_reload_successful"
PASSWORD = "canary-of-the-password"
WEB = """\
tls_server_config:
  cert_file: exporter.crt
  key_file: exporter.key
basic_auth_users:
  prometheus: {password_hash}
"""


def make_certificate(folder: Path, name: str) -> None:
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    names = ("-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1")
    files = ("-keyout", "exporter.key", "-out", "exporter.crt")
    subprocess.run(  # noqa: S603 - openssl makes a certificate that only this test trusts
        [OPENSSL, "req", "-x509", *kind, *names, *files],
        cwd=folder,
        check=True,
        capture_output=True,
    )


@pytest.fixture
def program(
    start: StartProgram, scaleengine: Simulator, configure: WriteConfig, tmp_path: Path
) -> Program:
    """Run the exporter with TLS and a password."""
    configure(tmp_path, scaleengine.url)
    make_certificate(tmp_path, "first")
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yaml").write_text(WEB.format(password_hash=hashed))
    return start(tmp_path, "--web.config.file=web.yaml")


def scrape(program: Program, folder: Path, password: str) -> tuple[int, str]:
    trusted = ssl.create_default_context(cafile=folder / "exporter.crt")
    credentials = base64.b64encode(f"prometheus:{password}".encode()).decode()
    with closing(HTTPSConnection(*program.address, timeout=TIMEOUT, context=trusted)) as connection:
        connection.request("GET", "/metrics", headers={"Authorization": f"Basic {credentials}"})
        response = connection.getresponse()
        return response.status, response.read().decode()


def test_metrics_need_tls_and_the_password(program: Program, tmp_path: Path) -> None:
    """Only a client with TLS and the password gets the metrics."""
    status, text = scrape(program, tmp_path, PASSWORD)
    assert status == 200
    assert f"{RELOADED} 1.0\n" in text
    assert scrape(program, tmp_path, "wrong")[0] == 401
    with pytest.raises((ConnectionError, BadStatusLine)):
        program.get("/metrics")
    assert program.end() == 0
    assert PASSWORD not in "\n".join(program.lines)


def test_a_replaced_certificate_is_served(program: Program, tmp_path: Path) -> None:
    """A new certificate is served without a restart."""
    old = ssl.get_server_certificate(program.address)
    make_certificate(tmp_path, "second")
    wait_until(lambda: ssl.get_server_certificate(program.address) != old)
    assert scrape(program, tmp_path, PASSWORD)[0] == 200


def test_a_file_that_becomes_bad_leaves_the_old_one_in_force(
    program: Program, tmp_path: Path
) -> None:
    """A file that becomes bad leaves the old one in force, as the log and a metric say."""
    assert scrape(program, tmp_path, PASSWORD)[0] == 200
    file = tmp_path / "web.yaml"
    file.write_text(file.read_text().replace("cert_file", "cert_fiel"))
    wait_until(lambda: f"{RELOADED} 0.0\n" in scrape(program, tmp_path, PASSWORD)[1])
    event = program.wait_for(msg="web configuration not reloaded")
    assert str(event["problem"]).startswith("web.yaml:2:3: tls_server_config.cert_fiel: ")


def test_both_files_are_checked(start: StartProgram, tmp_path: Path) -> None:
    """--config.check shows the mistakes of both files, and ends with 2."""
    (tmp_path / "config.yaml").write_text("accounts: []\n")
    (tmp_path / "web.yaml").write_text("basic_auth_user: {}\n")
    checked = start(tmp_path, "--config.check", "--web.config.file=web.yaml")
    assert checked.wait() == 2
    first, second = checked.lines
    assert first.startswith("config.yaml:1:11: accounts: ")
    assert second.startswith("web.yaml:1:1: basic_auth_user: is not a known key")


def test_an_expired_certificate_is_a_warning(
    start: StartProgram, scaleengine: Simulator, configure: WriteConfig, tmp_path: Path
) -> None:
    """It is a warning at the check, which passes, and at the start."""
    end = certify_expired(tmp_path)
    configure(tmp_path, scaleengine.url)
    (tmp_path / "web.yaml").write_text("tls_server_config: {cert_file: pem, key_file: key}\n")
    warning = (
        "web.yaml:1:32: tls_server_config.cert_file: names a file that holds a certificate that "
        f"expired on {end:%Y-%m-%d at %H:%M} UTC; renew it"
    )
    checked = start(tmp_path, "--config.check", "--web.config.file=web.yaml")
    assert checked.wait() == 0
    assert [event.get("warning") for event in checked.events] == [warning]
    program = start(tmp_path, "--web.config.file=web.yaml")
    assert program.wait_for(msg="web configuration may be wrong")["warning"] == warning
    assert program.end() == 0


def test_a_costly_password_does_not_hold_up_the_end(
    start: StartProgram, scaleengine: Simulator, configure: WriteConfig, tmp_path: Path
) -> None:
    """A check that takes half a minute runs, and the program ends in time."""
    configure(tmp_path, scaleengine.url)
    costly = "$2b$19$......................8QPuF36SqwZ1d9QO3taNcRXHOtLxpvS"
    (tmp_path / "web.yaml").write_text(f"basic_auth_users: {{prometheus: {costly}}}\n")
    program = start(tmp_path, "--web.config.file=web.yaml")
    address, before = program.address, busy_threads(program.pid)
    with socket.create_connection(address, timeout=TIMEOUT) as sock:
        credentials = base64.b64encode(b"prometheus:x").decode()
        sock.sendall(
            f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\n\r\n".encode()
        )
        wait_until(lambda: busy_threads(program.pid) - before)
        assert program.end() == 0


def busy_threads(process: int) -> set[str]:
    """Return the threads of a process that have used the processor for a tenth of a second."""
    found = set()
    for task in Path(f"/proc/{process}/task").iterdir():
        with suppress(OSError):  # it has ended meanwhile
            user_time = int((task / "stat").read_text().rpartition(") ")[2].split()[11])
            if user_time >= os.sysconf("SC_CLK_TCK") // 10:
                found.add(task.name)
    return found


def test_every_metric_is_documented(program: Program, tmp_path: Path) -> None:
    """What is served with a web config file is what docs/metrics.md has, and nothing else."""
    _, text = scrape(program, tmp_path, PASSWORD)
    served = set(re.findall(r"^# TYPE (scaleengine_\w+) ", text, re.MULTILINE))
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    assert set(re.findall(r"^\| `(scaleengine_\w+)` \|", page, re.MULTILINE)) == served
    others = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE)) - served
    assert {name.partition("_")[0] for name in others} == {"process", "python"}
