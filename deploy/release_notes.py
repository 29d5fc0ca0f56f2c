"""Print what CHANGELOG.md says of a version, as the notes of its release.

usage: python deploy/release_notes.py VERSION
"""

import re
import sys
from pathlib import Path
from typing import Final

CHANGELOG: Final = Path(__file__).parents[1] / "CHANGELOG.md"


def find_notes(changelog: str, version: str) -> str:
    """Return the notes of a version; raises ValueError where it has none, or no date yet."""
    pattern = rf"^## {re.escape(version)}, ([^\n]+)\n(.*?)(?=^## |\Z)"
    found = re.search(pattern, changelog, re.MULTILINE | re.DOTALL)
    if found is None or not found[2].strip():
        raise ValueError(f"CHANGELOG.md says nothing of {version}: add `## {version}, DATE`")
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", found[1]):
        raise ValueError(
            f"CHANGELOG.md says of {version} `{found[1]}`: write its date, as 2026-01-31"
        )
    return found[2].strip() + "\n"


if __name__ == "__main__":
    try:
        sys.stdout.write(find_notes(CHANGELOG.read_text(encoding="utf-8"), sys.argv[1]))
    except ValueError as error:
        sys.exit(str(error))
