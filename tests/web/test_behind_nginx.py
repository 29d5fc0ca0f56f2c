"""The pages work behind a reverse proxy that adds a prefix to their paths."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from html.parser import HTMLParser
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest

from tests.support.child import Child
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.web.conftest import Site

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
LIMIT = 60.0

pytestmark = pytest.mark.skipif(
    NGINX is None and "CI" not in os.environ, reason="nginx is not installed"
)

CONFIGURATION = """\
daemon off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen unix:{folder}/socket;
        location /scale/ {{ proxy_pass http://127.0.0.1:{port}/; }}
        location /a/b/scale/ {{ proxy_pass http://127.0.0.1:{port}/; }}
    }}
}}
"""


class Links(HTMLParser):
    """Collect the targets of a page's links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, _: str, attrs: list[tuple[str, str | None]]) -> None:
        """Add every address that an element names."""
        self.found += [text for name, text in attrs if name in ("href", "src", "action") and text]


@pytest.fixture
def proxy(site: "Site", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start nginx in front of the site, and return the path of its socket."""
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "nginx.conf").write_text(CONFIGURATION.format(folder=folder, port=site.port))
    assert NGINX
    with Child([NGINX, "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"]):
        wait_until(lambda: listens(folder / "socket"))
        yield folder / "socket"


def connect(path: Path) -> socket.socket:
    """Return a connection to a unix socket."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(LIMIT)
    try:
        sock.connect(str(path))
    except OSError:
        sock.close()
        raise
    return sock


def listens(path: Path) -> bool:
    """Return whether something listens at a path."""
    with suppress(OSError):
        connect(path).close()
        return True
    return False


def get(path: str, proxy: Path) -> tuple[int, str]:
    """Return the status and the body of a page."""
    with closing(HTTPConnection("localhost", timeout=LIMIT)) as connection:
        connection.sock = connect(proxy)
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()


@pytest.mark.parametrize("telemetry_path", ["/metrics", "/prom/scaleengine"])
@pytest.mark.parametrize("prefix", ["/scale/", "/a/b/scale/"])
def test_every_link_works_with_a_prefix(
    site: "Site", proxy: Path, prefix: str, telemetry_path: str
) -> None:
    site.telemetry_path = telemetry_path

    def follow() -> dict[str, int]:
        status, page = get(prefix, proxy)
        assert status == 200
        return {link: get(urljoin(prefix, link), proxy)[0] for link in Links(page).found}

    statuses = site.serve_while(follow)
    assert set(statuses.values()) == {200}
    pages = {telemetry_path[1:], "api/v1/status", "-/healthy", "-/ready"}
    assert {link for link in statuses if not link.startswith("#")} == pages
