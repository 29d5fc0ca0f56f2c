"""Record in every package that is built which revision of the source it was built from."""

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

RECORD: Final = "exporter/_revision.txt"


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


def _checked_out(root: Path) -> str | None:
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return None
    asked = subprocess.run(  # noqa: S603 - the program is git, found on the path
        [git, "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or None
