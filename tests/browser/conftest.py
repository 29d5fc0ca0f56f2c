"""The status page as a browser shows it: Debian's Chromium, and the real server."""

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.browser.chromium import Chromium, Page, start_chromium
from tests.browser.site import Site


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """Serve while the tests run."""
    serving = Site()
    serving.start()
    yield serving
    serving.stop()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """Start Chromium; where it is missing, the tests are left out, but fail in CI."""
    program = shutil.which("chromium")
    if program is None:
        assert not os.environ.get("CI"), "install chromium"
        pytest.skip("chromium is missing")
    with start_chromium(program, tmp_path_factory.mktemp("chromium")) as chromium:
        yield chromium


@pytest.fixture
def page(browser: Chromium) -> Iterator[Page]:
    """Open an empty page in a browser profile of its own."""
    with browser.page() as opened:
        yield opened
