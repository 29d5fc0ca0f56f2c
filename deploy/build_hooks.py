"""Hooks of the build: files that the source does not have, and the README for a package index."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

RECORD: Final = "exporter/_revision.txt"
STATUS_PAGE: Final = "exporter/web/status"
_PICTURE: Final = re.compile(r"!\[[^\]]*\]\((?!https?:)[^)]+\)\n*")
_LINK: Final = re.compile(r"\[([^\]]+)\]\((?!https?:)([^)]+)\)")


class AddBuiltFiles(BuildHookInterface):
    """Adds the revision, and to the wheel the compiled templates of the status page.

    The revision is that of SOURCE_REVISION, else that of the git checkout, else none.
    """

    def initialize(self, version: str, build_data: dict[str, dict[str, str]]) -> None:
        """Write them to a temporary folder: the source and ``dist`` get no other file."""
        if version == "editable":
            return
        # It is removed with this object, after a build that failed too.
        self._folder = TemporaryDirectory(prefix="scaleengine-exporter-")
        folder, added = Path(self._folder.name), build_data["force_include"]
        revision = os.environ.get("SOURCE_REVISION") or _checked_out(Path(self.root))
        if revision:
            record = folder / "revision.txt"
            record.write_text(revision + "\n")
            added[str(record)] = RECORD
        if self.target_name == "wheel":
            compiled = _compile_templates(Path(self.root), folder / "templates")
            added[str(compiled)] = f"{STATUS_PAGE}/{compiled.name}"


class ReadmeForIndex(MetadataHookInterface):
    """Adds the README without the links and pictures that only work in the repository."""

    def update(self, metadata: dict[str, object]) -> None:
        """Set the readme. An index shows none of the files that it links to."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": _LINK.sub(_name_target, _PICTURE.sub("", text)),
        }


def _name_target(link: re.Match[str]) -> str:
    """Return the text of a link, and the file that it leads to unless the text names it."""
    text, target = link.groups()
    if target.startswith("#") or target in text:
        return text
    return f"{text} (`{target}`)"


def _compile_templates(root: Path, target: Path) -> Path:
    """Compile the templates of the status page, and return the folder with their modules."""
    subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-B", "-m", "exporter.web.status.template_loading", target],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},  # these, not those of an installed exporter
        check=True,
    )
    (compiled,) = target.iterdir()
    return compiled


def _checked_out(root: Path) -> str | None:
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return None
    asked = subprocess.run(  # noqa: S603 - the program is git, found on the path
        [git, "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or None
