"""Files that the operator named, read with a sentence for each way in which that fails."""

import os
import stat
from pathlib import Path
from typing import Final

from exporter.process.resource_limits import ResourceLimit, find_resource_limit

_NOT_EXPANDED: Final = "; '~' does not stand for a home folder here, write the whole path"


class FileError(Exception):
    """The file cannot be used; the message ends a sentence that begins with the file.

    ``limit`` is the limit of this process or machine that it comes from, if it does.
    """

    def __init__(self, cause: str, limit: ResourceLimit | None = None) -> None:
        super().__init__(cause)
        self.limit = limit


def read_bytes(file: Path, limit: int, *, stream: bool = False) -> bytes:
    """Read a file of at most `limit` bytes; a pipe is read too when `stream` is set.

    Raises FileError; what the file holds is never part of it.
    """
    reached = None
    try:
        return _read(file, limit, stream=stream)
    except FileNotFoundError:
        cause = "does not exist" + (_NOT_EXPANDED if "~" in file.parts else "")
    except NotADirectoryError:
        cause = "does not exist: a part of its path is a file"
    except PermissionError:
        cause = "may not be read by the user that runs the exporter; give that user the right"
    except OSError as error:
        reached = find_resource_limit(error)
        cause = f"cannot be read: {reached or os.strerror(error.errno or 0)}"
    except ValueError:
        cause = "has a name that no file can have"
    raise FileError(cause, reached)


def _read(file: Path, limit: int, *, stream: bool) -> bytes:
    mode = file.stat().st_mode
    if stat.S_ISDIR(mode):
        raise FileError("is a folder; name the file in it")
    # Opening a pipe waits for its writer, and a device may never end.
    if not stat.S_ISREG(mode) and not (stream and stat.S_ISFIFO(mode)):
        raise FileError("is no regular file")
    with file.open("rb") as opened:
        content = opened.read(limit + 1)
    if len(content) > limit:
        raise FileError(f"is larger than {limit // 1024} KiB")
    return content
