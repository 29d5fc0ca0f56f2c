"""files.list: what one response shows."""

from itertools import product

import pytest

from exporter.simulator import FileType, Folder
from exporter.simulator.published import COMPLETE, PARTIAL, SKIPPED, ListedFolder
from tests.support.api_variants import ApiVariant, Counted, FileCount, Offsets, Unreached
from tests.support.variant_listing import list_folder


def videos(*names: str) -> dict[str, FileType]:
    """Return video files of these names."""
    return dict.fromkeys(names, FileType.VIDEO)


@pytest.fixture
def tree() -> Folder:
    """Return three files, and folders of two, of none and of one."""
    return Folder(
        files=videos("c", "a", "b"),
        folders={
            "f": Folder(files=videos("f1", "f2")),
            "g": Folder(),
            "h": Folder(files=videos("h1")),
        },
    )


def test_all_that_fits_is_complete(tree: Folder) -> None:
    """With room for all, every folder is complete and its files are sorted."""
    listed = list_folder(tree, "video", 0, ApiVariant())

    assert listed == ListedFolder(
        ("a", "b", "c"),
        (("f", ListedFolder(("f1", "f2"))), ("g", ListedFolder()), ("h", ListedFolder(("h1",)))),
    )


def test_a_cut_among_the_files_skips_the_folders(tree: Folder) -> None:
    """A folder cut among its files is partial, with the offset that leads on and its entries."""
    listed = list_folder(tree, "video", 0, ApiVariant(files_per_answer=2))

    skipped = ListedFolder(loaded=SKIPPED)
    assert listed == ListedFolder(
        ("a", "b"),
        (("f", skipped), ("g", skipped), ("h", skipped)),
        PARTIAL,
        offset=2,
        file_count=6,
    )


def test_a_cut_in_a_folder_leaves_its_parent_complete(tree: Folder) -> None:
    """The folder in which the room ends is partial, those after it are skipped."""
    listed = list_folder(tree, "video", 0, ApiVariant(files_per_answer=4))

    assert listed.loaded == COMPLETE
    assert dict(listed.folders) == {
        "f": ListedFolder(("f1",), (), PARTIAL, offset=1, file_count=2),
        "g": ListedFolder(loaded=SKIPPED),
        "h": ListedFolder(loaded=SKIPPED),
    }


def test_an_offset_counts_files_then_folders(tree: Folder) -> None:
    """An offset beyond the files leaves out folders."""
    listed = list_folder(tree, "video", 4, ApiVariant())

    assert listed == ListedFolder((), (("g", ListedFolder()), ("h", ListedFolder(("h1",)))))


@pytest.mark.parametrize("offsets", Offsets)
def test_an_offset_beyond_the_end_shows_nothing(tree: Folder, offsets: Offsets) -> None:
    """Beyond everything there is nothing, and it is complete."""
    assert list_folder(tree, "video", 99, ApiVariant(offsets=offsets)) == ListedFolder()


def test_a_folder_can_hide_its_folders_behind_the_offset(tree: Folder) -> None:
    """Folders that are not reached can be left out: their parent's offset leads to them."""
    variant = ApiVariant(files_per_answer=4, unreached=Unreached.BEHIND_OFFSET)
    listed = list_folder(tree, "video", 0, variant)

    assert (listed.loaded, listed.offset) == (PARTIAL, 4)
    assert [name for name, _ in listed.folders] == ["f"]


def test_a_folder_cut_among_its_files_can_show_no_folders(tree: Folder) -> None:
    """Skipped folders can be shown only by a folder whose files are all there."""
    variant = ApiVariant(files_per_answer=2, unreached=Unreached.SKIPPED_AFTER_FILES)

    assert list_folder(tree, "video", 0, variant).folders == ()
    assert len(list_folder(tree, "video", 2, variant).folders) == 3


def test_recursive_offsets_count_the_files_below(tree: Folder) -> None:
    """Where offsets count files at any depth, the way to the cut is partial, root and all."""
    variant = ApiVariant(files_per_answer=4, offsets=Offsets.RECURSIVE, offset_counts=Counted.FILES)
    first = list_folder(tree, "video", 0, variant)
    second = list_folder(tree, "video", 4, variant)

    assert (first.loaded, first.offset) == (PARTIAL, 4)
    assert dict(first.folders)["f"] == ListedFolder(("f1",), (), PARTIAL, offset=1, file_count=2)
    assert second == ListedFolder(
        (), (("f", ListedFolder(("f2",))), ("g", ListedFolder()), ("h", ListedFolder(("h1",))))
    )


def test_a_file_count_can_be_that_of_the_response(tree: Folder) -> None:
    """The published sample can be read so: the entries that this response shows."""
    variant = ApiVariant(
        files_per_answer=2,
        file_count=FileCount.RESPONSE,
        unreached=Unreached.BEHIND_OFFSET,
    )

    assert list_folder(tree, "video", 0, variant).file_count == 2


@pytest.mark.parametrize(("offset", "first"), [(1, "a"), (2, "b"), (3, "c")])
def test_follow_up_responses_can_overlap(tree: Folder, offset: int, first: str) -> None:
    """A follow-up can repeat the last files, as many as the variant says."""
    listed = list_folder(tree, "video", offset, ApiVariant(overlap=1))

    assert listed.files[0] == first


@pytest.mark.parametrize(("overlap", "files_per_answer"), [(100, 100), (-1, 100), (0, 0)])
def test_readings_without_an_end_are_refused(overlap: int, files_per_answer: int) -> None:
    """Under an overlap as large as a response a walk would never end."""
    with pytest.raises(ValueError, match="overlap"):
        ApiVariant(overlap=overlap, files_per_answer=files_per_answer)


@pytest.mark.parametrize(("offsets", "unreached"), list(product(Offsets, Unreached)))
def test_a_full_response_that_is_the_end_is_complete(
    offsets: Offsets, unreached: Unreached
) -> None:
    """A response that is full to the last file, with nothing after it, is not partial."""
    variant = ApiVariant(files_per_answer=3, offsets=offsets, unreached=unreached)
    listed = list_folder(Folder(files=videos("a", "b", "c")), "video", 0, variant)

    assert listed == ListedFolder(("a", "b", "c"))
