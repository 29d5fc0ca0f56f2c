"""Record in every package that is built which revision of the source it was built from."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

RECORD: Final = "exporter/_revision.txt"


class RecordRevision(BuildHookInterface):
    """Adds the revision: that of SOURCE_REVISION, else that of the git checkout, else none."""

    def initialize(self, version: str, build_data: dict[str, dict[str, str]]) -> None:
        """Write the record beside the build, so that the source tree stays as it is."""
        revision = os.environ.get("SOURCE_REVISION") or _checked_out(Path(self.root))
        if version == "editable" or not revision:
            return
        record = Path(self.directory) / "revision.txt"
        record.parent.mkdir(parents=True, exist_ok=True)
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
