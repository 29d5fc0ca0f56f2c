"""The status page in Chromium: readable in any window, light and dark, with any names."""

from importlib.resources import files
from urllib.parse import quote

import pytest

from tests.browser.chromium import Page
from tests.browser.site import Site
from tests.support.status_scenes import HOSTILE, SCENES

WIDTHS = [390, 1280]
AXE = files("axe_core_python") / "axe.min.js"
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
ONE_ACCOUNT = "?account="

WIDER_THAN_THE_WINDOW = """
[...document.querySelectorAll("body *")]
  .filter(element => !element.closest(".hidden, thead, svg"))
  .filter(element => element.getBoundingClientRect().right > innerWidth + 1)
  .map(element => element.outerHTML.slice(0, 200))
"""

SHORTEN = """
for (const rows of ["tr", ".names li"]) {
  [...document.querySelectorAll(rows)].slice(30).forEach(row => row.remove())
}
"""

FAULTS = """
axe.run().then(found => found.violations.map(fault => [fault.id, fault.nodes[0].html]))
"""


def look(page: Page, site: Site, scene: str, query: str = "") -> None:
    """Open the status page of a scene."""
    site.show(scene)
    page.open(site.url + query)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scene", SCENES)
def test_the_page_fits_into_the_window(page: Page, site: Site, scene: str, width: int) -> None:
    """Nothing is wider than the window or loaded from elsewhere, and nothing is logged."""
    page.show(width)
    look(page, site, scene)
    assert page.evaluate(WIDER_THAN_THE_WINDOW) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.requested == [site.url]
    assert page.complaints == []


@pytest.mark.parametrize(
    ("scene", "width", "scheme"),
    [
        ("well", 1280, "light"),
        ("some", 390, "light"),
        ("failing", 1280, "dark"),
        ("thousand", 1280, "light"),
        ("hostile", 390, "dark"),
    ],
)
def test_axe_finds_no_violation(
    page: Page, site: Site, scene: str, width: int, scheme: str
) -> None:
    """It can be read also with a screen reader, by the rules of axe (WCAG 2.1 and more).

    Long tables and lists are shortened: their rows are alike.
    """
    page.show(width, scheme)
    look(page, site, scene)
    page.evaluate(SHORTEN)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    assert page.evaluate(FAULTS) == []


@pytest.mark.parametrize(("scheme", "color"), [("light", "247, 247, 245"), ("dark", "20, 23, 26")])
def test_the_page_has_the_preferred_colours(
    page: Page, site: Site, scheme: str, color: str
) -> None:
    """The page is as the visitor prefers; on paper it is always white."""
    page.show(1280, scheme)
    look(page, site, "well")
    assert page.evaluate(BACKGROUND) == f"rgb({color})"
    page.show(1280, scheme, "print")
    assert page.evaluate(BACKGROUND) == "rgb(255, 255, 255)"


@pytest.mark.parametrize("query", ["", ONE_ACCOUNT + quote(HOSTILE)])
def test_hostile_names_are_shown_as_text(page: Page, site: Site, query: str) -> None:
    """Markup in a name is seen as it is; nothing of it runs or is loaded."""
    look(page, site, "hostile", query)
    assert page.evaluate("document.body.innerText").count(HOSTILE) >= 5
    assert page.evaluate("document.querySelectorAll('script, img, iframe, [onerror]').length") == 0
    assert page.requested == [site.url + query]
    assert page.complaints == []


def test_the_printed_page_has_all_folders_and_no_links(page: Page, site: Site) -> None:
    """Printed, all folders are there, and what leads to other pages is not."""
    page.show(1280, media="print")
    look(page, site, "well")
    text = page.evaluate("document.body.innerText")
    assert "télé-région" in text
    assert page.evaluate("document.querySelector('nav ul').checkVisibility()") is False


def test_a_row_of_an_account_links_to_its_page(page: Page, site: Site) -> None:
    """Its details are one click away, and the way back too."""
    look(page, site, "thousand")
    click(page, "customer-0007")
    assert page.evaluate("document.querySelector('#account-1').innerText") == "customer-0007"
    click(page, "All accounts")
    assert page.evaluate("document.querySelector('#accounts').innerText") == "1\u202f000 accounts"


def click(page: Page, text: str) -> None:
    """Click on a link, and wait for the page that it leads to."""
    before = page.loads
    page.evaluate(f"[...document.links].find(link => link.innerText === {text!r}).click()")
    page.browser.receive_until(lambda: page.loads > before)
