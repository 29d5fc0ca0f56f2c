"""The file tree: what it holds, and that it can change while it is read."""

import threading

import pytest

from exporter.simulator import FileType, Folder, MemberOrder
from exporter.simulator.storage import Run


@pytest.fixture
def tree() -> Folder:
    """Return a folder with a file of each type, and one folder in it."""
    files = {f"{file_type.value}.file": file_type for file_type in FileType}
    return Folder(files=files, folders={"below": Folder(files={"x.mp4": FileType.VIDEO})})


@pytest.mark.parametrize(
    ("listed", "shown"),
    [
        ("video", ["video"]),
        ("audio", ["audio"]),
        ("smil", ["smil"]),
        ("valid", ["audio", "other", "smil", "video"]),
        ("invalid", ["invalid"]),
        ("includeinvalid", ["audio", "invalid", "other", "smil", "video"]),
        ("deleted", ["deleted"]),
    ],
)
def test_each_type_shows_its_files_sorted(tree: Folder, listed: str, shown: list[str]) -> None:
    """The types mean what the page on files.list says."""
    assert tree.names(listed) == tuple(f"{name}.file" for name in shown)


def test_names_are_kept_until_something_changes(tree: Folder) -> None:
    """Asking again sorts nothing again; a file more is there at once."""
    first = tree.names("video")

    assert tree.names("video") is first
    tree.add("a.mp4")
    assert tree.names("video") == ("a.mp4", "video.file")


def test_counts_follow_changes_far_below(tree: Folder) -> None:
    """A count is right after files and folders were added and removed at any depth."""
    assert tree.count("video") == 2
    tree.add("below/deep/er/y.mp4")
    assert (tree.count("video"), tree.count_folders()) == (3, 3)
    tree.add("below/deep/er/y.mp4", FileType.INVALID)
    assert (tree.count("video"), tree.count("invalid")) == (2, 2)
    tree.remove("below/x.mp4")
    assert tree.count("video") == 1
    tree.remove("below/deep")
    assert (tree.count("invalid"), tree.count_folders()) == (1, 1)


def test_folders_are_found_and_made(tree: Folder) -> None:
    """A path leads to its folder; making it again gives the same one."""
    made = tree.make("b/c")

    assert tree.find("b/c") is made
    assert tree.make("b/c") is made
    assert tree.find("") is tree
    assert tree.find("b/none/c") is None
    assert [name for name, _ in tree.folders()] == ["b", "below"]


def test_walking_gives_files_before_folders(tree: Folder) -> None:
    """A walk has the order of files.list: own files first, depth first, sorted."""
    tree.add("a/z.mp4")

    assert list(tree.walk("video")) == ["video.file", "a/z.mp4", "below/x.mp4"]


def test_a_name_can_be_deleted_twice(tree: Folder) -> None:
    """A file that was deleted, added and deleted again is listed twice among the deleted ones."""
    for file_type in (FileType.DELETED, FileType.VIDEO, FileType.DELETED):
        tree.add("x.mp4", file_type)

    assert tree.names("deleted") == ("deleted.file", "x.mp4", "x.mp4")
    assert (tree.count("deleted"), tree.names("video")) == (3, ("video.file",))
    tree.remove("x.mp4")
    assert tree.names("deleted") == ("deleted.file", "x.mp4")


def test_a_folder_moves_with_all_that_is_in_it(tree: Folder) -> None:
    """Renaming a folder leaves nothing behind; counts stay right, and follow changes in it."""
    below = tree.find("below")
    tree.add("below")  # a file of the same name stays
    tree.rename("below", "a/new/place")

    assert tree.find("a/new/place") is below
    assert tree.find("below") is None
    assert (tree.count("video"), tree.count_folders()) == (3, 3)
    tree.add("a/new/place/y.mp4")
    assert tree.count("video") == 4


@pytest.mark.parametrize(
    ("path", "new_path", "kind"),
    [
        ("none", "a", LookupError),
        ("", "a", LookupError),
        ("below", "below", ValueError),
        ("below", "below/in/itself", ValueError),
    ],
)
def test_a_folder_moves_to_a_free_place_outside_of_it_only(
    tree: Folder, path: str, new_path: str, kind: type[Exception]
) -> None:
    """There has to be a folder, and its new place has to be free and outside of it."""
    with pytest.raises(kind):
        tree.rename(path, new_path)
    assert tree.count_folders() == 1


@pytest.mark.parametrize(
    ("order", "members"),
    [
        (MemberOrder.FILES_FIRST, ["a c", "below"]),
        (MemberOrder.FOLDERS_FIRST, ["below", "a c"]),
        (MemberOrder.BY_NAME, ["a", "below", "c"]),
    ],
)
def test_members_come_in_an_order(order: MemberOrder, members: list[str]) -> None:
    """Runs of files and folders come as the order says; files that are not shown keep places."""
    tree = Folder(
        {"a": FileType.VIDEO, "c": FileType.VIDEO, "b": FileType.OTHER}, {"below": Folder()}
    )
    given = [
        " ".join(filter(None, member.files)) if isinstance(member, Run) else member[0]
        for member in tree.members("video", order, scanned=True)
    ]

    assert given == members
    assert (
        sum(
            len(member.files)
            for member in tree.members("video", order, scanned=True)
            if isinstance(member, Run)
        )
        == 3
    )


@pytest.mark.parametrize("path", ["none", "none/x.mp4", "below/none", "below/x.mp4/deeper"])
def test_only_existing_members_can_be_removed(tree: Folder, path: str) -> None:
    """Removing what is not there says so."""
    with pytest.raises(LookupError, match="no file or folder"):
        tree.remove(path)


@pytest.mark.parametrize("path", ["", "a//b", "/a", "a/"])
def test_a_name_has_a_character(tree: Folder, path: str) -> None:
    """A file with an empty name, or in a folder with one, can't be added."""
    with pytest.raises(ValueError, match="must have a character"):
        tree.add(path)


def test_a_name_has_no_slash() -> None:
    """A slash divides names and is part of none."""
    with pytest.raises(ValueError, match="no '/'"):
        Folder(files={"a/b": FileType.VIDEO})


def test_a_folder_is_in_one_place() -> None:
    """One folder under two parents would be counted wrongly, so it is refused."""
    shared = Folder()
    Folder(folders={"a": shared})

    with pytest.raises(ValueError, match="in a tree already"):
        Folder(folders={"b": shared})


def test_threads_may_change_it_while_others_read(tree: Folder) -> None:
    """Counts and names are right after threads wrote into one folder while others read it."""
    barrier = threading.Barrier(4)

    def write(name: str) -> None:
        barrier.wait()
        for number in range(200):
            tree.add(f"shared/{name}{number}.mp4")
            tree.count("video")
            tree.make("shared").names("video")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert tree.count("video") == 2 + 800
    assert len(tree.make("shared").names("video")) == 800
