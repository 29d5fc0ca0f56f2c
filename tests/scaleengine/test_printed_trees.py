"""Whatever tree there is, and however PHP prints each folder of it, it reads the same."""

import json
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.scaleengine.file_listing import Folder, Loaded, read_listing
from exporter.scaleengine.json_values import Json

PATH = "sestore4/jb"


@dataclass(frozen=True)
class Printed:
    """A folder, and a way in which the API may print it."""

    folder: Folder
    json: Json


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), max_size=8)
folder_names = names.filter(
    lambda name: name not in {"", ".", "..", "__files", "__is_loaded", "__offset", "__file_count"}
)
counts = st.none() | st.integers(0, 2**63 - 1)


@st.composite
def printed(draw: st.DrawFn, below: st.SearchStrategy[Printed] | None = None) -> Printed:
    """Draw a folder with what is below it, and print each part in one of its forms."""
    inner = draw(st.dictionaries(folder_names, below, max_size=3)) if below is not None else {}
    folder = Folder(
        tuple(draw(st.lists(names, max_size=4))),
        {name: each.folder for name, each in inner.items()},
        draw(st.none() | st.sampled_from(Loaded)),
        draw(counts),
        draw(counts),
    )
    as_text = draw(st.booleans())
    gaps = draw(st.booleans())
    members: dict[str, Json] = {name: each.json for name, each in inner.items()}
    write_none = draw(st.booleans())
    if folder.files or write_none:
        files: list[Json] = list(folder.files)
        members["__files"] = {str(3 * n): each for n, each in enumerate(files)} if gaps else files
    for key, value in (
        ("__is_loaded", folder.loaded),
        ("__offset", folder.next_offset),
        ("__file_count", folder.entries),
    ):
        if value is not None:
            members[key] = str(int(value)) if as_text else int(value)
    mixed = dict(draw(st.permutations(list(members.items()))))
    return Printed(folder, draw(st.sampled_from(_forms(mixed))))


def _forms(members: dict[str, Json]) -> list[Json]:
    forms: list[Json] = [members, [members], [{name: value} for name, value in members.items()]]
    return forms if members else [[], {}, [{}]]


trees = st.recursive(printed(), printed, max_leaves=12)


@settings(max_examples=60, deadline=None)
@given(trees)
def test_any_tree_in_any_shape(tree: Printed) -> None:
    """A tree reads the same however each of its folders is printed."""
    answer = json.loads(json.dumps({"data": {PATH: tree.json}}))

    assert read_listing(answer, PATH).root == tree.folder
