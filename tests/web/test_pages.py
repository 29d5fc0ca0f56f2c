"""What each path answers: status, headers and body, over a real socket."""

import itertools
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from prometheus_client import Gauge

from exporter import __version__

if TYPE_CHECKING:
    from tests.web.conftest import Answer, Site

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
HTML_TYPE = "text/html; charset=utf-8"
TEXT_TYPE = "text/plain; charset=utf-8"
PAGES = ["/", "/metrics", "/-/healthy", "/-/ready"]
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


def get(site: "Site", path: str, method: str = "GET") -> "Answer":
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
def test_the_pages(site: "Site", path: str, content_type: str) -> None:
    """Each page answers with its content type and the length of its body."""
    answer = get(site, path)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == content_type
    assert int(answer.headers["Content-Length"]) == len(answer.body) > 0


def test_metrics_are_the_registrys(site: "Site") -> None:
    """A scrape gives what is in the registry, in Prometheus' text format."""
    answer = get(site, "/metrics")
    assert answer.body.decode() == (
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
        "/-/reload",
        "/favicon.ico",
        "/index.html",
    ],
)
def test_anything_else_is_not_found(site: "Site", path: str) -> None:
    """There is nothing at any other path: a probe of a wrong one must not pass."""
    assert get(site, path).status == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("path", [*PAGES, "/nowhere"])
def test_headers_of_every_answer(site: "Site", path: str, method: str) -> None:
    """Browsers may do nothing with an answer, caches keep none, and none names a version."""
    headers = get(site, path, method).headers
    assert {name: headers.get_all(name) for name in EVERYWHERE} == {
        name: [value] for name, value in EVERYWHERE.items()
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
    answer = get(site, path, method)
    assert (answer.body, answer.headers["Content-Type"]) == (body, TEXT_TYPE)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", PAGES)
def test_wrong_method(site: "Site", path: str, method: str) -> None:
    """The pages are there to be read: any other method is refused, and told which are allowed."""
    answer = get(site, path, method)
    assert answer.status == 405
    assert set(answer.headers["Allow"].split(",")) == {"GET", "HEAD"}


@pytest.mark.parametrize("path", PAGES)
def test_head(site: "Site", path: str) -> None:
    """HEAD gives the status and headers of GET, and no body."""

    def both() -> "tuple[Answer, Answer]":
        return site.ask(path), site.ask(path, "HEAD")

    whole, head = site.serve_while(both)
    assert head.status == whole.status
    assert head.body == b""
    for name in ("Content-Type", "Content-Length"):
        assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize(
    ("path", "body"), [("/-/healthy", b"Healthy.\n"), ("/-/ready", b"Ready.\n")]
)
def test_all_is_well(site: "Site", path: str, body: bytes) -> None:
    """With every thread alive and every target polled, both checks pass."""
    answer = get(site, path)
    assert (answer.status, answer.body) == (200, body)


def test_healthy_names_the_dead(site: "Site") -> None:
    """A dead thread makes the process unhealthy, and is named; readiness is another matter."""
    site.dead = ["poll main sestore4/jb video", "poll main disk usage"]

    healthy, ready = site.serve_while(lambda: (site.ask("/-/healthy"), site.ask("/-/ready")))

    assert healthy.status == 503
    assert healthy.body.decode() == (
        "Threads that should run are dead:\n  poll main disk usage\n  poll main sestore4/jb video\n"
    )
    assert ready.status == 200


def test_ready_names_what_it_waits_for(site: "Site") -> None:
    """Before the first poll of every target the exporter is not ready, and says what lacks."""
    site.unfinished = ["main sestore4/é video"]

    ready, healthy = site.serve_while(lambda: (site.ask("/-/ready"), site.ask("/-/healthy")))

    assert ready.status == 503
    assert ready.body.decode() == "Waiting for the first poll of:\n  main sestore4/é video\n"
    assert healthy.status == 200


def test_every_link_leads_somewhere(site: "Site") -> None:
    """The landing page links to the metrics and both checks, and says which version serves it."""

    def follow() -> tuple[Links, list[int]]:
        links = Links(site.ask("/").body.decode())
        return links, [site.ask(where).status for where in links.found]

    links, statuses = site.serve_while(follow)
    assert links.found == ["/metrics", "/-/healthy", "/-/ready"]
    assert statuses == [200, 200, 200]
    assert f"scaleengine-exporter {__version__} " in links.text


def test_the_telemetry_path_is_escaped(site: "Site") -> None:
    """Whatever the telemetry path holds, it is a link and nothing else on the landing page."""
    site.telemetry_path = '/"><script>x</script>&amp;'
    page = get(site, "/").body.decode()
    assert "<script>" not in page
    assert Links(page).found[0] == site.telemetry_path


def test_another_telemetry_path(site: "Site") -> None:
    """With another telemetry path the metrics are there, linked to, and no more at /metrics."""
    site.telemetry_path = "/prom/scaleengine"

    metrics, usual, landing = site.serve_while(
        lambda: (site.ask("/prom/scaleengine"), site.ask("/metrics"), site.ask("/"))
    )

    assert metrics.headers["Content-Type"] == METRICS_TYPE
    assert usual.status == 404
    assert Links(landing.body.decode()).found[0] == "/prom/scaleengine"


def test_metrics_at_the_root(site: "Site") -> None:
    """The metrics can take the place of the landing page; the checks stay where they are."""
    site.telemetry_path = "/"

    metrics, ready = site.serve_while(lambda: (site.ask("/"), site.ask("/-/ready")))

    assert (metrics.status, metrics.headers["Content-Type"]) == (200, METRICS_TYPE)
    assert ready.status == 200


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
@pytest.mark.parametrize(("seconds", "renderings"), [(60.0, 1), (0.0, 5)])
def test_a_flood_of_scrapes_renders_once_in_a_while(
    site: "Site",
    monkeypatch: pytest.MonkeyPatch,
    encoding: str,
    seconds: float,
    renderings: int,
) -> None:
    """All scrapes within the time that a text is fresh for get the same one."""
    monkeypatch.setattr("exporter.web.pages._FRESH_SECONDS", seconds)
    rendered = itertools.count()
    clock = Gauge("rendered", "How often.", registry=site.registry)
    clock.set_function(lambda: next(rendered))

    def visit() -> set[bytes]:
        asked = {"Accept-Encoding": encoding}
        return {site.ask("/metrics", headers=asked).body for _ in range(5)}

    assert len(site.serve_while(visit)) == renderings
