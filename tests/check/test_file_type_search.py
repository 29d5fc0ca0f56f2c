"""What `check` reports for a path without a file of its type, and what it requests for that."""

from dataclasses import replace

import pytest

from exporter.check.file_type_search import FileTypeSearch, OtherTypes
from exporter.check.runner import CheckOptions
from exporter.polling.targets import FilesTarget
from exporter.scaleengine.errors import ServerError
from exporter.scaleengine.file_listing import FolderListing, Listing, LoadState
from exporter.simulator import Behaviour, FaultRule, FileType, Folder, SimulatedAccount, Simulator
from tests.support.faults import BUSY, HttpError, Refusal
from tests.support.fixtures import CheckAccounts, DescribeAccount
from tests.support.sentences import OTHER_TYPES

PATH = "sestore4/jb"
EMPTY = Listing(FolderListing((), {}, LoadState.COMPLETE))
SKIPPING = Listing(
    FolderListing((), {"a": FolderListing(loaded=LoadState.SKIPPED)}, LoadState.COMPLETE)
)


def target(file_type: str, path: str = PATH) -> FilesTarget:
    """Return a target of the account."""
    return FilesTarget("main", 60.0, 180.0, path, file_type)


class _Responses:
    """Gives the same listing for each file type, or fails; and lists what was requested."""

    def __init__(self, listing: Listing, failing: str = "") -> None:
        self.requested: list[str] = []
        self._listing = listing
        self._failing = failing

    def request(self, file_type: str) -> Listing:
        self.requested.append(file_type)
        if file_type == self._failing:
            raise ServerError("files.list", "it is down", "wait")
        return self._listing


def test_a_second_search_requests_nothing() -> None:
    """A response is used again, for another type of the path and for the check of a type."""
    video, audio = target("video"), target("audio")
    search, responses = FileTypeSearch([video, audio]), _Responses(EMPTY)
    search.record_listing(video, EMPTY)
    assert search.find(video, responses.request) == OtherTypes()
    assert responses.requested == ["audio", "smil", "valid", "invalid", "deleted"]
    assert search.take_listing(audio) is EMPTY
    assert search.find(audio, responses.request) == OtherTypes()
    assert len(responses.requested) == 5


def test_a_search_of_another_path_makes_its_own_requests() -> None:
    """What is known of one path says nothing of another."""
    search, responses = FileTypeSearch([target("video")]), _Responses(EMPTY)
    search.record_count(target("video"), 5)
    search.find(target("audio", "sestore4/other"), responses.request)
    assert "video" in responses.requested


@pytest.mark.parametrize("failing", ["audio", "deleted"])
def test_a_failed_request_ends_the_search(failing: str) -> None:
    """The types after it are not requested, and not reported as without files."""
    search, responses = FileTypeSearch([target("video")]), _Responses(EMPTY, failing)
    found = search.find(target("video"), responses.request)
    assert found.failure == "it is down"
    assert responses.requested[-1] == failing


def test_a_type_whose_check_failed_is_not_requested_again() -> None:
    """It is not requested again, and it is unknown whether the path has files of it."""
    video, audio = target("video"), target("audio")
    search, responses = FileTypeSearch([video, audio]), _Responses(EMPTY)
    search.record_failure(video, "it is down")
    assert search.find(audio, responses.request).failure == "it is down"
    assert "video" not in responses.requested


def test_a_response_with_a_skipped_folder_does_not_prove_absence() -> None:
    """A first response without a file that skips a folder does not show that there is none."""
    search, responses = FileTypeSearch([target("video")]), _Responses(SKIPPING)
    found = search.find(target("video"), responses.request)
    assert found.failure == "the first response for audio shows no file, but leaves some out"
    assert len(responses.requested) == 5


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (BUSY, "busy (1000)"),
        (Refusal("0003"), "(0003)"),
        (Refusal("0006"), "(0006)"),
        (HttpError(503), "503"),
    ],
)
def test_a_search_that_fails_is_in_the_advice(
    checked: CheckAccounts,
    scaleengine: Simulator,
    main: DescribeAccount,
    fault: HttpError | Refusal,
    cause: str,
) -> None:
    """The advice says so, and the key is still accepted."""
    rule = FaultRule(fault, command="files.list", requests=(2,))
    scaleengine.behave(Behaviour(faults=(rule,)))
    described = main(files={"paths": ["sestore4/small/2"]}, disk_usage={"enabled": False})
    found = checked(scaleengine.url, described)
    (empty,) = found.of("files")
    advice = str(empty["advice"])
    assert advice.startswith(
        "check the path sestore4/small/2; not all other file types could be looked at ("
    )
    assert cause in advice
    assert {"command": "files.list"} in [key["facts"] for key in found.of("key", "ok")]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("types", [["video", "audio"], ["audio", "video"]])
def test_another_configured_type_has_files(
    checked: CheckAccounts,
    scaleengine: Simulator,
    main: DescribeAccount,
    types: list[str],
    *,
    full: bool,
) -> None:
    """The empty type may be too much, in any order; no other type is requested."""
    files = {"paths": [{"path": "sestore4/small", "file_types": types}]}
    described = main(files=files, disk_usage={"enabled": False})
    found = checked(scaleengine.url, described, options=CheckOptions("json", full=full))
    (empty,) = found.of("files", "warn")
    assert empty["advice"] == (
        "remove audio from file_types of sestore4/small, or leave it if such files are to come"
    )
    assert len(found.of("files", "ok")) == 1
    requested = [request.file_type for request in scaleengine.requests]
    assert set(requested) == {"video", "audio"}
    if not full:
        assert len(requested) == 2


def test_a_single_file_type_is_named_in_the_singular(
    checked: CheckAccounts, account: SimulatedAccount, main: DescribeAccount
) -> None:
    """One type is named as one."""
    only = Folder(files={"a.mp4": FileType.INVALID})
    changed = replace(account, storage=Folder(folders={"sestore4": Folder(folders={"jb": only})}))
    with Simulator([changed]) as scaleengine:
        found = checked(scaleengine.url, main(files={"paths": [PATH]}))
    (empty,) = found.of("files")
    assert empty["advice"] == (f"check file_types of sestore4/jb: {OTHER_TYPES}: invalid")
