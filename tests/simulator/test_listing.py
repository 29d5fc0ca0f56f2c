"""files.list: what one answer shows, and that following it leads to everything."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.simulator import FileType, Folder
from exporter.simulator.published import COMPLETE, PARTIAL, SKIPPED, Listed
from tests.support.api_variants import ApiVariant, Counted, FileCount, Offsets, Unreached
from tests.support.variant_listing import list_folder

NAMES = st.text("abc0", min_size=1, max_size=2)
FILES = st.dictionaries(NAMES, st.sampled_from([FileType.VIDEO, FileType.AUDIO]), max_size=5)
TREES = st.recursive(
    FILES.map(Folder),
    lambda inner: st.builds(Folder, FILES, st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=8,
)
READINGS = st.builds(
    ApiVariant,
    offsets=st.sampled_from(Offsets),
    unreached=st.sampled_from(Unreached),
    file_count=st.sampled_from(FileCount),
    files_per_answer=st.integers(3, 6),
    overlap=st.integers(0, 2),
)


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

    assert listed == Listed(
        ("a", "b", "c"),
        (("f", Listed(("f1", "f2"))), ("g", Listed()), ("h", Listed(("h1",)))),
    )


def test_a_cut_among_the_files_skips_the_folders(tree: Folder) -> None:
    """A folder cut among its files is partial, with the offset that leads on and its entries."""
    listed = list_folder(tree, "video", 0, ApiVariant(files_per_answer=2))

    skipped = Listed(loaded=SKIPPED)
    assert listed == Listed(
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
        "f": Listed(("f1",), (), PARTIAL, offset=1, file_count=2),
        "g": Listed(loaded=SKIPPED),
        "h": Listed(loaded=SKIPPED),
    }


def test_an_offset_counts_files_then_folders(tree: Folder) -> None:
    """An offset beyond the files leaves out folders."""
    listed = list_folder(tree, "video", 4, ApiVariant())

    assert listed == Listed((), (("g", Listed()), ("h", Listed(("h1",)))))


@pytest.mark.parametrize("offsets", Offsets)
def test_an_offset_beyond_the_end_shows_nothing(tree: Folder, offsets: Offsets) -> None:
    """Beyond everything there is nothing, and it is complete."""
    assert list_folder(tree, "video", 99, ApiVariant(offsets=offsets)) == Listed()


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
    assert dict(first.folders)["f"] == Listed(("f1",), (), PARTIAL, offset=1, file_count=2)
    assert second == Listed((), (("f", Listed(("f2",))), ("g", Listed()), ("h", Listed(("h1",)))))


def test_a_file_count_can_be_that_of_the_answer(tree: Folder) -> None:
    """The published sample can be read so: the entries that this answer shows."""
    variant = ApiVariant(
        files_per_answer=2,
        file_count=FileCount.ANSWER,
        unreached=Unreached.BEHIND_OFFSET,
    )

    assert list_folder(tree, "video", 0, variant).file_count == 2


@pytest.mark.parametrize(("offset", "first"), [(1, "a"), (2, "b"), (3, "c")])
def test_follow_up_answers_can_overlap(tree: Folder, offset: int, first: str) -> None:
    """A follow-up can repeat the last files, as many as it is told."""
    listed = list_folder(tree, "video", offset, ApiVariant(overlap=1))

    assert listed.files[0] == first


@pytest.mark.parametrize(("overlap", "files_per_answer"), [(100, 100), (-1, 100), (0, 0)])
def test_readings_without_an_end_are_refused(overlap: int, files_per_answer: int) -> None:
    """Under an overlap as large as an answer a walk would never end."""
    with pytest.raises(ValueError, match="overlap"):
        ApiVariant(overlap=overlap, files_per_answer=files_per_answer)


@given(TREES, READINGS)
def test_following_every_answer_leads_to_every_file_and_folder(
    tree: Folder, variant: ApiVariant
) -> None:
    """Under every reading, who asks on for what is partial or skipped sees the whole tree."""
    files: set[str] = set()
    folders: set[str] = set()
    asked: set[tuple[str, int]] = set()
    open_questions = [("", 0)]
    while open_questions:
        path, offset = open_questions.pop()
        if (path, offset) in asked:
            continue
        asked.add((path, offset))
        folder = tree.find(path)
        assert folder is not None
        answer = list_folder(folder, "video", offset, variant)
        assert answer.file_total() <= variant.files_per_answer
        assert answer.loaded != SKIPPED
        assert answer.loaded == COMPLETE or answer.offset > offset
        found = [(path, answer)]
        while found:
            here, listed = found.pop()
            folders.add(here)
            files.update(f"{here}/{name}".lstrip("/") for name in listed.files)
            if listed.loaded == PARTIAL:
                open_questions.append((here, listed.offset))
            elif listed.loaded == SKIPPED:
                open_questions.append((here, 0))
            found += [(f"{here}/{name}".lstrip("/"), below) for name, below in listed.folders]

    assert files == set(tree.walk("video"))
    assert len(folders) == 1 + tree.count_folders()


@given(TREES, READINGS)
def test_a_complete_folder_shows_all_its_own_files(tree: Folder, variant: ApiVariant) -> None:
    """The published meaning of 1: all files in the folder have been returned."""
    found = [(tree, list_folder(tree, "video", 0, variant))]
    while found:
        folder, listed = found.pop()
        if listed.loaded == COMPLETE:
            assert listed.files == folder.names("video")
        below = dict(folder.folders())
        found += [(below[name], shown) for name, shown in listed.folders]


@pytest.mark.parametrize(("offsets", "unreached"), list(product(Offsets, Unreached)))
def test_a_full_answer_that_is_the_end_is_complete(offsets: Offsets, unreached: Unreached) -> None:
    """An answer that is full to the last file, with nothing after it, is not partial."""
    variant = ApiVariant(files_per_answer=3, offsets=offsets, unreached=unreached)
    listed = list_folder(Folder(files=videos("a", "b", "c")), "video", 0, variant)

    assert listed == Listed(("a", "b", "c"))
