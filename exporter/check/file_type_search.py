"""Find which other file types a path has, where it has no file of the type that is checked."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from exporter.check.poll_estimate import count_shown_files, has_surely_no_files
from exporter.polling.targets import FilesTarget
from exporter.scaleengine.errors import ScaleEngineError
from exporter.scaleengine.file_listing import Listing

OFTEN_NONE: Final = frozenset({"invalid", "deleted"})
"""Types of which it is good to have no file."""

_SEARCHED_TYPES: Final = ("video", "audio", "smil", "valid", "invalid", "deleted")
"""The types of ``files.list``, without ``includeinvalid``, which is valid and invalid together."""

_Key: TypeAlias = tuple[str, str, str]
"""An account, a path and a file type."""


@dataclass(frozen=True, slots=True)
class OtherTypes:
    """The other file types of which a path has files.

    ``configured`` are those that are configured for the path, ``others`` those that are not.
    ``failure`` says why a type could not be looked at; None if this does not matter.
    """

    configured: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class _Finding:
    """Whether a path has files of a type; if that is unknown, ``failure`` says why."""

    has_files: bool
    failure: str | None = None


class FileTypeSearch:
    """Searches paths for other file types, and requests none whose response is known.

    ``targets`` are all that is checked.
    """

    def __init__(self, targets: Iterable[FilesTarget]) -> None:
        self._targets = tuple(targets)
        self._findings: dict[_Key, _Finding] = {}
        self._listings: dict[_Key, Listing] = {}

    def record_listing(self, target: FilesTarget, listing: Listing) -> None:
        """Record the first response for a target."""
        self._findings[_build_key(target, target.file_type)] = _judge(listing, target.file_type)

    def record_count(self, target: FilesTarget, files: int) -> None:
        """Record how many files a full poll of a target has found."""
        self._findings[_build_key(target, target.file_type)] = _Finding(has_files=files > 0)

    def record_failure(self, target: FilesTarget, cause: str) -> None:
        """Record that the check of a target failed, unless a response is known."""
        self._findings.setdefault(
            _build_key(target, target.file_type), _Finding(has_files=False, failure=cause)
        )

    def take_listing(self, target: FilesTarget) -> Listing | None:
        """Return the first response for a target if a search has requested it, else None."""
        return self._listings.pop(_build_key(target, target.file_type), None)

    def find(self, target: FilesTarget, request: Callable[[str], Listing]) -> OtherTypes:
        """Return the other file types of the path of a target.

        ``request`` requests the first response for a type. Types that are configured for the path
        come first: files of one of them are explanation enough. A failed request ends the search.
        """
        configured = [
            other.file_type
            for other in self._targets
            if (other.account, other.path) == (target.account, target.path)
        ]
        found: list[str] = []
        failure = None
        for file_type in dict.fromkeys((*configured, *_SEARCHED_TYPES)):
            if file_type == target.file_type:
                continue
            key = _build_key(target, file_type)
            if key not in self._findings:
                try:
                    listing = request(file_type)
                except ScaleEngineError as error:
                    self._findings[key] = _Finding(has_files=False, failure=error.cause)
                    failure = error.cause
                    break
                self._findings[key] = _judge(listing, file_type)
                if file_type in configured:
                    self._listings[key] = listing
            finding = self._findings[key]
            failure = failure or finding.failure
            if finding.has_files:
                found.append(file_type)
                if file_type in configured and file_type not in OFTEN_NONE:
                    return OtherTypes(configured=(file_type,))
        return OtherTypes(
            tuple(file_type for file_type in found if file_type in configured),
            tuple(file_type for file_type in found if file_type not in configured),
            failure,
        )


def _build_key(target: FilesTarget, file_type: str) -> _Key:
    return target.account, target.path, file_type


def _judge(listing: Listing, file_type: str) -> _Finding:
    if count_shown_files(listing) or has_surely_no_files(listing):
        return _Finding(has_files=not has_surely_no_files(listing))
    return _Finding(
        has_files=False,
        failure=f"the first response for {file_type} shows no file, but leaves some out",
    )
