"""Any tree reads the same, however PHP prints each folder of it."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import assume, given
from hypothesis import strategies as st

from exporter.scaleengine.file_listing import FolderListing, LoadState, read_listing
from exporter.scaleengine.json_values import Json

PATH = "sestore4/jb"


@dataclass(frozen=True)
class Printed:
    """A folder, and a way in which the API may print it."""

    folder: FolderListing
    write: Callable[[str], Json]


names = st.sampled_from(["0", "1", "2"]) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/"), max_size=8
)
folder_names = names.filter(
    lambda name: name not in {"", ".", "..", "__files", "__is_loaded", "__offset", "__file_count"}
)
counts = st.none() | st.integers(0, 2**63 - 1)


@st.composite
def printed(draw: st.DrawFn, below: st.SearchStrategy[Printed] | None = None) -> Printed:
    """Draw a folder with what is below it, and print each part in one of its forms."""
    inner = draw(st.dictionaries(folder_names, below, max_size=3)) if below is not None else {}
    loaded = draw(st.none() | st.sampled_from(LoadState))
    is_open = loaded in {None, LoadState.PARTIAL}
    folder = FolderListing(
        tuple(draw(st.lists(names, max_size=4, unique=True))),
        {name: inner_value.folder for name, inner_value in inner.items()},
        loaded,
        draw(counts) if is_open else None,
        draw(counts) if is_open else None,
    )
    as_text = draw(st.booleans())
    gaps = draw(st.booleans())
    members: dict[str, Json] = {}
    write_none = draw(st.booleans())
    if folder.files or write_none:
        files: list[Json] = list(folder.files)
        members["__files"] = {str(3 * n): file for n, file in enumerate(files)} if gaps else files
    for key, value in (
        ("__is_loaded", folder.loaded),
        ("__offset", folder.next_offset),
        ("__file_count", folder.entries),
    ):
        if value is not None:
            members[key] = str(int(value)) if as_text else int(value)
    order = draw(st.permutations([*members, *inner]))

    def write(form: str) -> Json:
        below = {name: inner_value.write(form) for name, inner_value in inner.items()}
        mixed = {**members, **below}
        return _written({name: mixed[name] for name in order}, form)

    return Printed(folder, write)


def _written(members: dict[str, Json], form: str) -> Json:
    if not members:
        return []
    if form == "mapping":
        return _as_php(members)
    if form == "list":
        return [_as_php(members)]
    return [_as_php({name: value}) for name, value in members.items()]


def _as_php(members: dict[str, Json]) -> Json:
    """Print a mapping as PHP does: as a list, if its names are 0, 1, 2 and so on."""
    if [*members] == [str(index) for index in range(len(members))]:
        return list(members.values())
    return members


def _has_folder_0(folder: FolderListing) -> bool:
    return "0" in folder.folders or any(map(_has_folder_0, folder.folders.values()))


trees = st.recursive(printed(), printed, max_leaves=12)


@given(trees, st.sampled_from(["mapping", "list", "pieces"]))
def test_any_tree_reads_the_same_in_any_shape(tree: Printed, form: str) -> None:
    """A tree reads the same in whichever form its folders are printed, all of them in one.

    Except for folders 0, 1, 2 and so on alone in an object, which PHP prints as a list.
    """
    assume(form != "mapping" or not _has_folder_0(tree.folder))
    written = tree.write(form)
    response = json.loads(json.dumps({"data": {PATH: written}}))

    assert read_listing(response, PATH).root == tree.folder
