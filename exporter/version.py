"""Which program this is: version, revision of the source, Python."""

import platform
from pathlib import Path

from exporter import __version__


def revision() -> str:
    """Return the revision of the source that the package was built from, if that was recorded."""
    record = Path(__file__).with_name("_revision.txt")
    return record.read_text(encoding="utf-8").strip() if record.is_file() else "unknown"


def version_string() -> str:
    """Return version, revision and Python in one line."""
    return (
        f"scaleengine-exporter {__version__} "
        f"(revision {revision()}, Python {platform.python_version()})"
    )
