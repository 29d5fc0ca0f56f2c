"""Hooks of the build: the recorded revision, and the README as a package index shows it."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

RECORD: Final = "exporter/_revision.txt"
_PICTURE: Final = re.compile(r"!\[[^\]]*\]\((?!https?:)[^)]+\)\n*")
_LINK: Final = re.compile(r"\[([^\]]+)\]\((?!https?:)([^)]+)\)")


class RecordRevision(BuildHookInterface):
    """Adds the revision: that of SOURCE_REVISION, else that of the git checkout, else none."""

    def initialize(self, version: str, build_data: dict[str, dict[str, str]]) -> None:
        """Write the record to a temporary folder: the source and ``dist`` get no other file."""
        revision = os.environ.get("SOURCE_REVISION") or _checked_out(Path(self.root))
        if version == "editable" or not revision:
            return
        # It is removed with this object, after a build that failed too.
        self._folder = TemporaryDirectory(prefix="scaleengine-exporter-")
        record = Path(self._folder.name) / "revision.txt"
        record.write_text(revision + "\n")
        build_data["force_include"][str(record)] = RECORD


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


def _checked_out(root: Path) -> str | None:
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return None
    asked = subprocess.run(  # noqa: S603 - the program is git, found on the path
        [git, "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or None
