"""The response of each path: status, headers and body, over a real socket."""

import gzip
import http.client
import itertools
import re
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import closing
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest
from prometheus_client import Gauge

from exporter.metrics.publisher import Publisher
from exporter.metrics.registry import build_metrics
from exporter.polling.store import Store
from exporter.scaleengine.clock import Clock
from tests.support.command_line import read_wrong_command_line
from tests.support.http import Response
from tests.support.observed import PROCESS

if TYPE_CHECKING:
    from tests.web.conftest import Site

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
HTML_TYPE = "text/html; charset=utf-8"
TEXT_TYPE = "text/plain; charset=utf-8"
PAGES = ["/", "/metrics", "/api/v1/status", "/-/healthy", "/-/ready"]
EVERYWHERE = {
    "Server": "scaleengine-exporter",
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Links(HTMLParser):
    """The addresses that a page links to, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note where a link leads."""
        self.found += [where for name, where in attrs if tag == "a" and name == "href" and where]

    def handle_data(self, data: str) -> None:
        """Note what a reader sees."""
        self.text += data


def get(site: "Site", path: str, method: str = "GET") -> Response:
    """Make one request while the site serves."""
    return site.serve_while(lambda: site.ask(path, method))


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", HTML_TYPE),
        ("/metrics", METRICS_TYPE),
        ("/metrics?collect=x", METRICS_TYPE),
        ("/-/healthy", TEXT_TYPE),
        ("/-/ready", TEXT_TYPE),
    ],
)
def test_each_page_has_its_content_type_and_length(
    site: "Site", path: str, content_type: str
) -> None:
    """Each page has its content type and the length of its body."""
    response = get(site, path)
    assert response.status == 200
    assert response.headers["Content-Type"] == content_type
    assert int(response.headers["Content-Length"]) == len(response.body) > 0


def test_metrics_are_the_registrys(site: "Site") -> None:
    """A scrape gives what is in the registry, in Prometheus' text format."""
    response = get(site, "/metrics")
    assert response.body.decode() == (
        '# HELP files Files.\n# TYPE files gauge\nfiles{path="sestore4/é"} 3.0\n'
    )


@pytest.mark.parametrize(
    "path",
    [
        "/metrics/",
        "/metric",
        "/metricsx",
        "/METRICS",
        "/metrics/..",
        "/%2e%2e/etc/passwd",
        "/-",
        "/-/",
        "/-/ready/",
        "/-/reload/",
        "/favicon.ico",
        "/index.html",
    ],
)
def test_anything_else_is_not_found(site: "Site", path: str) -> None:
    """There is nothing at any other path: a probe of a wrong one must not pass."""
    assert get(site, path).status == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("path", [*PAGES, "/nowhere"])
def test_every_response_has_security_headers(site: "Site", path: str, method: str) -> None:
    """Browsers may do nothing with a response, caches keep none, and none names a version."""
    headers = get(site, path, method).headers
    policy = headers["Content-Security-Policy"]
    assert (
        re.sub(r" style-src 'sha256-[^']+';", "", policy) == EVERYWHERE["Content-Security-Policy"]
    )
    assert {name: headers.get_all(name) for name in EVERYWHERE} == {
        name: [value] for name, value in (EVERYWHERE | {"Content-Security-Policy": policy}).items()
    }


@pytest.mark.parametrize(
    ("path", "method", "body"),
    [
        ("/<script>", "GET", b"404 Not Found\n"),
        ("/nowhere", "POST", b"404 Not Found\n"),
        ("/metrics", "POST", b"405 Method Not Allowed\n"),
    ],
)
def test_errors_are_short(site: "Site", path: str, method: str, body: bytes) -> None:
    """An error says what it is, in plain text, and repeats nothing."""
    response = get(site, path, method)
    assert (response.body, response.headers["Content-Type"]) == (body, TEXT_TYPE)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", PAGES)
def test_a_wrong_method_gets_405(site: "Site", path: str, method: str) -> None:
    """The pages are there to be read: any other method is refused, with those that are allowed."""
    response = get(site, path, method)
    assert response.status == 405
    assert set(response.headers["Allow"].split(",")) == {"GET", "HEAD"}


@pytest.mark.parametrize("path", [*PAGES, "/metrics?name[]=no_such_name"])
def test_head_has_the_headers_of_get(site: "Site", path: str) -> None:
    """HEAD gives the status and headers of GET, and no body."""

    def both() -> tuple[Response, Response]:
        return site.ask(path), site.ask(path, "HEAD")

    whole, head = site.serve_while(both)
    assert head.status == whole.status
    assert head.body == b""
    for name in ("Content-Type", "Content-Length"):
        assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize(
    ("path", "body"), [("/-/healthy", b"Healthy.\n"), ("/-/ready", b"Ready.\n")]
)
def test_it_is_healthy_and_ready_when_all_targets_were_polled(
    site: "Site", path: str, body: bytes
) -> None:
    """With every thread alive and every target polled, both checks pass."""
    response = get(site, path)
    assert (response.status, response.body) == (200, body)


def test_healthy_names_ended_threads(site: "Site") -> None:
    """A dead thread makes the process unhealthy, and is named; readiness is another matter."""
    site.dead_threads = ["poll main sestore4/jb video", "poll main disk usage"]

    healthy, ready = site.serve_while(lambda: (site.ask("/-/healthy"), site.ask("/-/ready")))

    assert healthy.status == 503
    assert healthy.body.decode() == (
        "Threads that should run are dead:\n  poll main disk usage\n  poll main sestore4/jb video\n"
    )
    assert ready.status == 200


def test_ready_names_what_it_waits_for(site: "Site") -> None:
    """Before the first poll of every target the exporter is not ready, and says what lacks."""
    site.pending_targets = ["main sestore4/é video"]

    ready, healthy = site.serve_while(lambda: (site.ask("/-/ready"), site.ask("/-/healthy")))

    assert ready.status == 503
    assert ready.body.decode() == "Waiting for the first poll of:\n  main sestore4/é video\n"
    assert healthy.status == 200


def test_ready_names_the_first_targets_that_it_waits_for(site: "Site") -> None:
    """A probe comes every few seconds: of thousands of targets it gets a few names."""
    site.pending_targets = [f"account-{number:04}" for number in range(2000)]

    ready = site.serve_while(lambda: site.ask("/-/ready"))

    first, *names, last = ready.body.decode().splitlines()
    assert first == "Waiting for the first poll of:"
    assert names == [f"  account-{number:04}" for number in range(20)]
    assert last == "  and 1980 more"


def test_every_link_leads_somewhere(site: "Site") -> None:
    """The status page links to all other pages, and says which version serves it."""

    def follow() -> tuple[Links, list[int]]:
        links = Links(site.ask("/").body.decode())
        return links, [site.ask(urljoin("/", where)).status for where in links.found]

    links, statuses = site.serve_while(follow)
    assert links.found == ["metrics", "api/v1/status", "-/healthy", "-/ready"]
    assert statuses == [200] * 4
    assert f"{PROCESS.version} (revision {PROCESS.revision}" in links.text


def test_the_telemetry_path_is_escaped(site: "Site") -> None:
    """Any telemetry path is a link and nothing else on the landing page."""
    site.telemetry_path = '/"><script>x</script>&amp;'
    page = get(site, "/").body.decode()
    assert "<script>" not in page
    assert Links(page).found[0] == site.telemetry_path.removeprefix("/")


def test_the_telemetry_path_can_be_changed(site: "Site") -> None:
    """With another telemetry path the metrics are there, linked to, and no more at /metrics."""
    site.telemetry_path = "/prom/scaleengine"

    metrics, usual, landing = site.serve_while(
        lambda: (site.ask("/prom/scaleengine"), site.ask("/metrics"), site.ask("/"))
    )

    assert metrics.headers["Content-Type"] == METRICS_TYPE
    assert usual.status == 404
    assert Links(landing.body.decode()).found[0] == "prom/scaleengine"


def test_metrics_can_be_at_the_root(site: "Site") -> None:
    """The metrics can take the place of the landing page; the checks stay where they are."""
    site.telemetry_path = "/"

    metrics, ready = site.serve_while(lambda: (site.ask("/"), site.ask("/-/ready")))

    assert (metrics.status, metrics.headers["Content-Type"]) == (200, METRICS_TYPE)
    assert ready.status == 200


def test_no_other_path_can_be_that_of_the_metrics(
    site: "Site", capsys: pytest.CaptureFixture[str]
) -> None:
    """The flag refuses the path of every page but the status page, whose place it may take."""
    paths = {resource.canonical for resource in site.build().router.resources()}
    for path in paths - {"/", "/metrics"}:
        assert path in read_wrong_command_line(capsys, f"--web.telemetry-path={path}")


@pytest.mark.parametrize("path", ["/metrics", "/metrics?name[]=rendered"])
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_a_flood_of_scrapes_renders_nothing(site: "Site", path: str, encoding: str) -> None:
    """However many scrapes there are in a second, they get the same; nothing is asked again."""
    asked = itertools.count()
    store, clock = Store([]), Clock(monotonic=lambda: 5000.0)
    metrics = build_metrics(store, {"main": 158}, clock)
    gauge = Gauge("rendered", "How often.", registry=metrics.process)
    gauge.set_function(lambda: next(asked))
    publisher = Publisher(metrics, store, clock, threading.Event())
    publisher.publish()
    site.exposition = publisher.latest
    site.exposition()
    times = next(asked)

    def visit() -> "set[tuple[int, bytes]]":
        responses = [site.ask(path, headers={"Accept-Encoding": encoding}) for _ in range(5)]
        return {(response.status, response.body) for response in responses}

    ((status, body),) = site.serve_while(visit)
    assert status == 200
    text = gzip.decompress(body) if encoding == "gzip" else body
    assert f"\nrendered {times - 1}.0\n".encode() in text
    assert next(asked) == times + 1


def test_the_first_scrape_waits_for_the_first_exposition(site: "Site") -> None:
    """A scrape that comes before the metrics are ready gets them when they are."""
    looks = itertools.count()
    first = site.exposition()
    site.exposition = lambda: first if next(looks) == 3 else None

    response = site.serve_while(lambda: site.ask("/metrics"))

    assert (response.status, next(looks)) == (200, 4)


def test_a_scrape_without_an_exposition_gets_503(site: "Site") -> None:
    """Without metrics, a scrape gets 503 with Retry-After, and the exporter is healthy."""
    site.max_wait = 0.1
    site.exposition = lambda: None

    response, health = site.serve_while(lambda: (site.ask("/metrics"), site.ask("/-/healthy")))

    assert (response.status, response.headers["Retry-After"]) == (503, "1")
    assert b"try again" in response.body
    assert health.status == 200


def post(site: "Site") -> Response:
    """Ask for a reload while the site serves."""
    return get(site, "/-/reload", "POST")


def ended(*problems: str) -> "Future[Sequence[str]]":
    """Return what a reload that has ended leaves."""
    outcome: Future[Sequence[str]] = Future()
    outcome.set_result(problems)
    return outcome


def test_a_reload_by_request_is_confirmed(site: "Site") -> None:
    """A request may reload the configuration, where that is allowed, and its response says so."""
    asked: list[bool] = []

    def reload() -> "Future[Sequence[str]]":
        asked.append(True)
        return ended()

    site.reload = reload
    response = post(site)
    assert (response.status, response.body, asked) == (200, b"Reloaded.\n", [True])


def test_a_failed_reload_gets_its_mistakes(site: "Site") -> None:
    """Each mistake of a bad file is a line of the response, as plain text."""
    site.reload = lambda: ended("config.yaml:2:10: <cdn>: must be a whole number", "another")
    response = post(site)
    assert response.status == 500
    assert response.body == b"config.yaml:2:10: <cdn>: must be a whole number\nanother\n"
    assert response.headers["Content-Type"] == TEXT_TYPE


def test_a_failed_reload_of_a_file_not_named_in_utf8_gets_its_mistakes(site: "Site") -> None:
    """The response has its mistakes all the same."""
    site.reload = lambda: ended("c\udcff.yaml:1:1: is empty")
    response = site.serve_while(lambda: site.ask("/-/reload", "POST"))
    assert (response.status, response.body) == (500, rb"c\udcff.yaml:1:1: is empty" + b"\n")


def test_a_reload_that_hangs_gets_a_response(site: "Site") -> None:
    """A request for a reload gets a response in any case, and the reload continues."""
    site.max_wait = 0.01
    outcome: Future[Sequence[str]] = Future()
    outcome.set_running_or_notify_cancel()
    site.reload = lambda: outcome
    response = post(site)
    assert response.status == 503
    assert response.body.startswith(b"The configuration is not reloaded yet: ")
    assert not outcome.cancelled()


def test_a_reload_that_is_not_allowed_gets_403(site: "Site") -> None:
    """Where requests may not reload, the response names what does."""
    response = post(site)
    assert response.status == 403
    assert b"--web.enable-lifecycle" in response.body
    assert b"SIGHUP" in response.body


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 403),
        ({"Sec-Fetch-Site": "of some later standard"}, 403),
        ({"Sec-Fetch-Site": ""}, 403),
        ({"Sec-Fetch-Site": "none", "Origin": "http://elsewhere.example"}, 403),
        ({"Origin": "http://elsewhere.example"}, 403),
        ({"Origin": "http://rebound.example", "Host": "rebound.example"}, 403),
        ({"origin": "null"}, 403),
        ({"Origin": ""}, 403),
    ],
)
def test_a_reload_from_a_browser_page_is_refused(
    site: "Site", headers: dict[str, str], status: int
) -> None:
    """A page that a browser shows reloads nothing, wherever it comes from; other clients may."""
    asked: list[bool] = []

    def reload() -> "Future[Sequence[str]]":
        asked.append(True)
        return ended()

    site.reload = reload
    response = site.serve_while(lambda: site.ask("/-/reload", "POST", headers))
    assert response.status == status
    assert len(asked) == (status == 200)
    assert (b"web page" in response.body) == (status == 403)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_only_post_reloads(site: "Site", method: str) -> None:
    """A link, or a crawler that follows it, reloads nothing."""
    site.reload = lambda: pytest.fail("reloaded")
    response = get(site, "/-/reload", method)
    assert (response.status, response.headers["Allow"]) == (405, "POST")


def test_accept_encoding_may_come_in_two_lines(site: "Site") -> None:
    """Lines of one header mean what they would as one, in their order (RFC 9110, 5.3)."""

    def ask() -> str | None:
        with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)) as connection:
            connection.putrequest("GET", "/metrics", skip_accept_encoding=True)
            connection.putheader("Accept-Encoding", "*")
            connection.putheader("Accept-Encoding", "gzip;q=0")
            connection.endheaders()
            response = connection.getresponse()
            response.read()
            return response.getheader("Content-Encoding")

    assert site.serve_while(ask) is None
