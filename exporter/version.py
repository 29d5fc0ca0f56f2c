"""Which program this is: version, revision of the source, Python."""

import platform
from importlib.resources import files

from exporter import __version__


def revision() -> str:
    """Return the revision of the source that the package was built from, if that was recorded."""
    record = files("exporter") / "_revision.txt"
    return record.read_text().strip() if record.is_file() else "unknown"


def version_string() -> str:
    """Return version, revision and Python in one line."""
    return (
        f"scaleengine-exporter {__version__} "
        f"(revision {revision()}, Python {platform.python_version()})"
    )
