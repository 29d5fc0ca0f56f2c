"""Prometheus scrapes by TLS, with a client certificate and a password, as the page says."""

import re
import subprocess
import sys
from pathlib import Path

import bcrypt
import pytest

from tests.e2e.programs import needed
from tests.e2e.prometheus_api import PrometheusApi
from tests.support.certificates import OPENSSL
from tests.support.child import Child
from tests.support.waiting import wait_until

PAGE = (Path(__file__).parents[2] / "docs" / "hostile-networks.md").read_text()
PASSWORD = "not the one of the page"
LISTENING = r"Listening on.* address=(127\.0\.0\.1:[1-9]\d*)"


def block(first_key: str) -> str:
    """Return the YAML of the page that begins with a key."""
    (found,) = re.findall(rf"^```yaml\n({first_key}:\n.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the files that the page names: one authority signs both certificates."""
    for name in ("exporter", "prometheus"):
        openssl(
            tmp_path,
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={name}"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-days", "30"),
        )
    (tmp_path / "exporter-ca.crt").write_bytes((tmp_path / "exporter.crt").read_bytes())
    (tmp_path / "prometheus-ca.crt").write_bytes((tmp_path / "prometheus.crt").read_bytes())
    (tmp_path / "exporter-password").write_text(PASSWORD)
    password_hash = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    web_config = block("tls_server_config")
    assert web_config.count("$2y$10$…") == 1
    (tmp_path / "web.yml").write_text(web_config.replace("$2y$10$…", password_hash))
    return tmp_path


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(  # noqa: S603 - the arguments are the test's own
        [OPENSSL, *arguments], cwd=folder, check=True, capture_output=True
    )


def test_the_documented_tls_setup_is_scraped(folder: Path) -> None:
    """The two halves fit each other: the target is up."""
    prometheus = needed("prometheus")
    exporter = [
        *(sys.executable, "-m", "exporter", "demo", "--web.listen-address=127.0.0.1:0"),
        f"--web.config.file={folder}/web.yml",
    ]
    with Child(exporter) as serving:
        address = serving.wait_for_line(r"listening address=(\S+)")
        scrape = block("scrape_configs").replace("scaleengine.example:10058", address)
        assert address in scrape
        config = f"global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n{scrape}"
        (folder / "prometheus.yml").write_text(config)
        watch = [
            *(prometheus, f"--config.file={folder}/prometheus.yml"),
            *(f"--storage.tsdb.path={folder}/data", "--web.listen-address=127.0.0.1:0"),
        ]
        with Child(watch) as watching:
            api = PrometheusApi(f"http://{watching.wait_for_line(LISTENING)}")
            watching.wait_for_line("Server is ready")
            wait_until(lambda: api.value("up"), lambda up: up == 1, "a scrape")
            assert api.value('scaleengine_up{account="demo"}') == 1
