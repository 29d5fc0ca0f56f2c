"""The status page as HTML, and the paths that give it, the same as JSON, and the configuration."""

import base64
import gzip
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from exporter.polling.snapshots import DiskUsageSnapshot, UserUsage
from exporter.polling.store import TargetState
from exporter.polling.targets import DiskUsageTarget
from exporter.web.status import rendering, template_loading
from exporter.web.status.observation import Observation
from exporter.web.status.rendering import PageLinks, View, render_page
from exporter.web.status.template_loading import (
    build_environment,
    compile_templates,
    find_loader,
)
from exporter.web.status.wording import (
    format_age,
    format_bytes,
    format_change,
    format_duration,
    format_name,
    format_number,
    format_share,
)
from tests.support.http import Response
from tests.support.observed import NOW, observe, status_source
from tests.support.status_scenes import HOSTILE, LONG, SCENES, TODAY, failed, polled, user

if TYPE_CHECKING:
    from tests.web.conftest import Site

LINKS = PageLinks("metrics", config=True)
WHOLE = View()


class Reader(HTMLParser):
    """What a reader finds on a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag, and where it leads."""
        self.tags.append(tag)
        self.links += [where or "" for name, where in attrs if tag == "a" and name == "href"]

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.text += data


def read(scene: "str | Observation", view: View = WHOLE) -> Reader:
    """Return what is on the page of a scene."""
    seen = SCENES[scene] if isinstance(scene, str) else scene
    page = render_page(seen, view, LINKS)
    assert page is not None
    return Reader(page.decode())


def plain(text: str) -> str:
    """Return a text with ordinary spaces only."""
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize(
    ("scene", "expected"),
    [
        ("well", ["All is well", "6 of 6 targets were polled well."]),
        ("some", ["2 of 6 targets fail", "ScaleEngine reports: no such path.", "(1 h 30 min ago)"]),
        ("failing", ["6 of 6 targets fail", "Check api_key and cdn", "the last reload failed"]),
        ("waiting", ["Waiting for the first poll", "0 of 2 targets were polled well."]),
        ("thousand", ["31 of 6 000 targets fail", "1 000 accounts", "customer-0999"]),
    ],
)
def test_the_page_begins_with_the_verdict(scene: str, expected: list[str]) -> None:
    """The page begins with what is wrong, or that all is well."""
    text = plain(read(scene).text)
    for sentence in expected:
        assert sentence.lower() in text.lower()


def test_the_verdict_counts_targets() -> None:
    """One of several targets fails, and one was polled well."""
    users = DiskUsageSnapshot((user(Random(4), "a", 1),))
    well = polled(DiskUsageTarget("main", 3600, 10800), users)
    waits = TargetState(DiskUsageTarget("other", 3600, 10800))
    assert (
        "1 of 2 targets fails" in read(observe({"main": [failed(well, 1)], "other": [well]})).text
    )
    text = plain(read(observe({"main": [well], "other": [waits]})).text)
    assert "1 of 2 targets was polled well" in text


def test_a_page_of_an_account_has_all_its_numbers() -> None:
    """Bytes are there for people and exact, with changes and quotas; paths with what they cost."""
    text = plain(read("well").text)
    for part in (
        "18.4 TB18 412 775 301 992",
        "74 % of 25.0 TB",
        "+5.72 GB",
        "148 220",
        "5 min 14 s 33 %",
        "37 % of the rate limit",
        "less than 1 % of the rate limit",
    ):
        assert part in text


def test_the_shard_is_shown_where_there_are_several() -> None:
    """The page shows that another exporter may have the other accounts."""
    seen = SCENES["well"]
    assert "Shard" not in read(seen).text
    process = replace(seen.process, shard=2, total_shards=3)
    page = plain(read(replace(seen, process=process)).text)
    assert "Shard2 (from 0 on, of 3: accounts of others are not shown)" in page


def test_hostile_names_are_text() -> None:
    """A name adds no tag to the page; what is in it can be seen."""
    page, tame = read("hostile"), read("some")
    assert set(page.tags) <= set(tame.tags)
    assert HOSTILE in page.text
    assert LONG not in page.text
    assert "(1 024 characters)" in plain(page.text)
    assert r"\u202eexe.tob" in page.text
    assert all(
        link.startswith(("?account=%3Cscript", "metrics", "api/", "config", "-/"))
        for link in page.links
    )


@pytest.mark.parametrize("view", [View(), View("customer-0040")])
def test_links_are_relative(view: View) -> None:
    """A proxy may put a prefix before the path, so no link begins with a slash or a host."""
    for link in read("thousand", view).links:
        assert not link.startswith(("/", "http"))


def test_a_thousand_accounts_fit_on_a_page() -> None:
    """It is less than 300 KB when compressed, and links to the page of each account."""
    page = render_page(SCENES["thousand"], View(), LINKS) or b""
    assert len(gzip.compress(page)) < 300_000
    assert {f"?account=customer-{number:04}" for number in range(1000)} <= set(
        Reader(page.decode()).links
    )


def test_many_accounts_are_split_into_pages() -> None:
    """Each account is in one row of one page, those that fail on the first."""
    found: list[str] = []
    for number in range(1, 6):
        page = render_page(SCENES["thousand"], View(accounts_page=number), LINKS) or b""
        rows = re.findall(r'<th scope="row"><a [^>]*>(customer-\d+)', page.decode())
        assert len(rows) == 200
        found += rows
    assert sorted(found) == [f"customer-{number:04}" for number in range(1000)]
    assert found[:31] == [f"customer-{number:04}" for number in range(7, 1000, 33)]


def test_long_tables_are_split_into_pages() -> None:
    """Each row is on one page; a number beyond the last page shows the last one."""
    seen = many_users(250)
    found: list[str] = []
    for page in (1, 2, 3):
        text = read(seen, View("main", users_page=page)).text
        found += re.findall(r"user-\d+", text)
    assert sorted(set(found)) == sorted(f"user-{number}" for number in range(250))
    last, beyond = (read(seen, View("main", users_page=page)) for page in (3, 9))
    assert last.text == beyond.text
    assert "?account=main&users=2" in last.links
    assert "?account=main" in read(seen).links


def many_users(count: int) -> Observation:
    """Return an account with this number of CPU users."""
    users = tuple(UserUsage(f"user-{number}", TODAY, number) for number in range(count))
    return observe(
        {"main": [polled(DiskUsageTarget("main", 3600, 10800), DiskUsageSnapshot(users))]}
    )


def test_an_unknown_account_has_no_page() -> None:
    """There is no page of it."""
    assert render_page(SCENES["well"], View("nobody"), LINKS) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (format_bytes(0), "0 B"),
        (format_bytes(999), "999 B"),
        (format_bytes(1000), "1.00 kB"),
        (format_bytes(999_499), "999 kB"),
        (format_bytes(999_500), "1.00 MB"),
        (format_bytes(9_995_000), "10.0 MB"),
        (format_bytes(2**63 - 1), "9.22 EB"),
        (format_change(-1500), "\N{MINUS SIGN}1.50 kB"),
        (format_change(1500), "+1.50 kB"),
        (format_change(0), "±0 B"),
        (format_number(1234567), "1 234 567"),
        (format_share(0.0), "0 %"),
        (format_share(0.004), "less than 1 %"),
        (format_share(0.744), "74 %"),
        (format_share(1.2), "120 %"),
        (format_duration(0.35), "350 ms"),
        (format_duration(1.84), "1.8 s"),
        (format_duration(59.9), "59 s"),
        (format_duration(3600), "1 h"),
        (format_duration(5400), "1 h 30 min"),
        (format_duration(20 * 86400), "20 d"),
        (format_name(""), "(empty name)"),
        (format_name("a\nb"), r"a\nb"),
        (format_name("télé 東京"), "télé 東京"),
    ],
)
def test_numbers_have_three_digits_and_a_unit(text: str, expected: str) -> None:
    """Three digits and a unit, in groups, with signs that line up."""
    assert plain(text) == expected


def test_ages_are_shown_to_the_minute() -> None:
    """They are to the minute; a clock that was set back makes no negative one."""
    seen = observe()
    now = seen.at(NOW)
    ages = [plain(format_age(seen.at(NOW - ago), now)) for ago in (-5, 1, 42, 199, 9000)]
    assert ages == ["just now", "just now", "42 s ago", "3 min ago", "2 h 30 min ago"]


def ask(site: "Site", path: str, **headers: str) -> Response:
    """Make one request while the site serves."""
    return site.serve_while(lambda: site.ask(path, headers=headers))


def test_the_page_allows_only_its_own_style(site: "Site") -> None:
    """The policy names the hash of the only style sheet; no script, no image, no frame."""
    response = ask(site, "/")
    (style,) = re.findall(r"<style>(.*?)</style>", response.body.decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert response.headers["Content-Security-Policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    assert " style=" not in response.body.decode()


@pytest.mark.parametrize("path", ["/", "/api/v1/status"])
def test_the_page_is_compressed_where_accepted(site: "Site", path: str) -> None:
    """The same is sent as it is, or compressed."""
    site.status = status_source(lambda: SCENES["well"])
    bare, packed = site.serve_while(
        lambda: (site.ask(path), site.ask(path, headers={"Accept-Encoding": "gzip"}))
    )
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == bare.body
    assert bare.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"


def test_the_status_is_served_as_json(site: "Site") -> None:
    """All accounts, or one."""
    site.status = status_source(lambda: SCENES["well"])
    whole, one, none = site.serve_while(
        lambda: tuple(
            site.ask(f"/api/v1/status{query}") for query in ("", "?account=main", "?account=x")
        )
    )
    assert whole.headers["Content-Type"] == "application/json"
    assert len(json.loads(whole.body)["accounts"]) == 2
    assert len(json.loads(one.body)["accounts"]) == 1
    assert (none.status, none.body) == (
        404,
        b"No account has this name: the status page lists all accounts.\n",
    )


def test_a_page_is_built_once_a_second(site: "Site") -> None:
    """A page is built once a second at most, for any clients."""
    seen: list[int] = []

    def look() -> Observation:
        seen.append(1)
        return SCENES["well"]

    site.status = status_source(look, clock=lambda: 5.0)
    site.serve_while(lambda: [site.ask("/") for _ in range(5)])
    assert seen == [1]


def test_a_page_that_is_older_than_a_second_is_built_again(site: "Site") -> None:
    """What was built before is not shown for longer."""
    seen: list[int] = []
    moment = [5.0]

    def look() -> Observation:
        seen.append(1)
        return SCENES["well"]

    def visit() -> None:
        site.ask("/")
        moment[0] += 1.0
        site.ask("/")

    site.status = status_source(look, clock=lambda: moment[0])
    site.serve_while(visit)
    assert seen == [1, 1]


@pytest.mark.parametrize(
    ("configuration", "is_restricted", "status", "expected"),
    [
        (lambda: "api: {}\n", True, 200, "api: {}"),
        (lambda: "api: {}\n", False, 403, "basic_auth_users"),
        (None, True, 404, "demo"),
    ],
)
def test_the_configuration_is_shown_where_the_operator_allows(
    site: "Site",
    configuration: Callable[[], str] | None,
    *,
    is_restricted: bool,
    status: int,
    expected: str,
) -> None:
    """It is shown where the operator has said who may reach it; the page links to it only then."""
    site.status = status_source(observe, configuration, lambda: is_restricted)
    page, config = site.serve_while(lambda: (site.ask("/"), site.ask("/config")))
    assert config.status == status
    assert expected in config.body.decode()
    assert ("config" in Reader(page.body.decode()).links) is (status == 200)


def test_jinja2_is_imported_for_the_first_page() -> None:
    """An exporter whose page is not opened does without it."""
    code = (
        "import sys, exporter.web.app, exporter.service; print('jinja2' in sys.modules);"
        "from exporter.web.status.rendering import _build_environment as e; e();"
        "print('jinja2' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)  # noqa: S603 - our own code
    assert ended.stdout.split() == ["False", "True"]


def test_a_missing_compiled_template_is_compiled_from_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its source is used."""
    monkeypatch.setattr(template_loading, "COMPILED", tmp_path)
    assert build_environment(find_loader()).get_template("page.html").name == "page.html"


@pytest.mark.parametrize("scene", ["failing", "thousand"])
def test_compiled_templates_give_the_same_page(
    scene: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package has them, and nothing is compiled when a page is requested."""
    monkeypatch.setattr(template_loading, "COMPILED", tmp_path / "none")
    sources = build_environment(find_loader())
    monkeypatch.setattr(template_loading, "COMPILED", tmp_path / "compiled")
    compile_templates(tmp_path)
    compiled = build_environment(find_loader())
    monkeypatch.setattr(compiled, "compile", None)  # it cannot
    pages = []
    for environment in (sources, compiled):
        monkeypatch.setattr(rendering, "_build_environment", lambda found=environment: found)
        pages.append(render_page(SCENES[scene], WHOLE, LINKS))
    assert pages[0] == pages[1]
