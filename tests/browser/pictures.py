"""Take the pictures of the documents: ``make pictures``."""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.browser.chromium import start_chromium
from tests.browser.site import Site

DOCS = Path(__file__).parents[2] / "docs"
PICTURES = {
    "status-page.png": ("well", "light"),
    "status-page-failing.png": ("some", "dark"),
}
WIDTH = 1040
HEIGHT = 960

if __name__ == "__main__":
    program = shutil.which("chromium")
    if program is None:
        sys.exit("Chromium is needed: on Debian, apt-get install chromium")
    site = Site()
    site.start()
    with TemporaryDirectory() as profile, start_chromium(program, Path(profile)) as browser:
        for name, (scene, scheme) in PICTURES.items():
            with browser.page() as page:
                site.show(scene)
                page.show(WIDTH, scheme)
                page.open(site.url)
                (DOCS / name).write_bytes(page.take_picture(HEIGHT))
    site.stop()
