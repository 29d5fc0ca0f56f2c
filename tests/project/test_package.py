"""The package that is built is whole."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest
from jinja2 import ModuleLoader

from exporter.packaged_files import PACKAGED
from exporter.web.status.template_loading import COMPILED, TEMPLATES, build_environment

ROOT = Path(__file__).parents[2]


IN_SOURCE = (
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "config.example.yaml",
    "monitoring",
    "exporter",
    "deploy",
    "tests",
)
RECORD = "exporter/_revision.txt"


def build(source: Path, target: Path, *targets: str, revision: str = "") -> None:
    """Build packages as pip would, without asking any index."""
    wanted = [argument for name in targets for argument in ("-t", name)]
    subprocess.run(  # noqa: S603 - our own build
        [sys.executable, "-m", "hatchling", "build", *wanted, "-d", str(target)],
        cwd=source,
        env={**os.environ, "SOURCE_REVISION": revision},
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a source distribution and a wheel from a copy, and return their folder."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in IN_SOURCE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    build(source, target, "sdist", "wheel", revision="0123abc")
    return target


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    """Open the wheel."""
    return zipfile.ZipFile(next(built.glob("*.whl")))


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    """Read what an index shows of the wheel."""
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return message_from_string(wheel.read(name).decode())


def test_dist_has_packages_only(built: Path) -> None:
    """An uploader that is given ``dist/*`` finds packages only."""
    (root,) = built.glob("*.tar.gz")
    name = root.name.removesuffix(".tar.gz")
    assert {path.name for path in built.iterdir()} == {
        f"{name}.tar.gz",
        f"{name}-py3-none-any.whl",
    }


def test_the_source_knows_its_revision_and_passes_it_on(built: Path, tmp_path: Path) -> None:
    """A wheel that is built from the source distribution has the same record."""
    (archive,) = built.glob("*.tar.gz")
    subprocess.run(["tar", "-xzf", archive, "-C", tmp_path], check=True)  # noqa: S603, S607
    source_folder = tmp_path / archive.name.removesuffix(".tar.gz")
    assert (source_folder / RECORD).read_text().strip() == "0123abc"
    build(source_folder, tmp_path / "again", "wheel")
    (again,) = (tmp_path / "again").iterdir()
    with zipfile.ZipFile(again) as wheel:
        assert wheel.read(RECORD).decode().strip() == "0123abc"


def test_all_modules_are_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    """Every module is packaged, with the mark that it is typed and the JSON Schema."""
    packaged = set(wheel.namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "exporter").rglob("*.py")}
    assert modules <= packaged
    assert {
        "exporter/py.typed",
        "exporter/config/schema.json",
        "exporter/web/status/schema.json",
        "exporter/web/status/templates/page.html",
        "exporter/web/status/templates/style.css",
    } <= packaged


def test_compiled_templates_are_in_the_wheel(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """No first page waits for that, where jinja2 is the version that compiled them."""
    folder = f"exporter/web/status/{COMPILED.name}/"
    modules = [name for name in wheel.namelist() if name.startswith(folder)]
    wheel.extractall(tmp_path, modules)
    environment = build_environment(ModuleLoader(tmp_path / folder))
    names = [path.name for path in TEMPLATES.glob("*.html")]
    assert [environment.get_template(name).name for name in names] == names
    assert len(modules) == len(names)


def test_the_files_for_users_are_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    """Each has the bytes of its one source in the repository."""
    for packaged in PACKAGED:
        is_moved = not packaged.source.startswith("exporter/")
        inside = f"exporter/files/{packaged.name}" if is_moved else packaged.source
        assert wheel.read(inside) == (ROOT / packaged.source).read_bytes()


def test_the_wheel_has_no_tests(wheel: zipfile.ZipFile) -> None:
    """Tests, benchmarks and caches stay out of it."""
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"exporter"}
    assert not [name for name in wheel.namelist() if "__pycache__" in name]


def test_the_wheel_has_its_revision(wheel: zipfile.ZipFile) -> None:
    """The revision that it was built from is recorded in it."""
    assert wheel.read(RECORD).decode().strip() == "0123abc"


def test_the_command_is_installed(wheel: zipfile.ZipFile) -> None:
    """The package brings the command."""
    entry_points = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "scaleengine-exporter = exporter.__main__:main" in wheel.read(entry_points).decode()


def test_the_metadata_has_the_licence(wheel: zipfile.ZipFile, metadata: Message) -> None:
    """The licence has an SPDX expression, and its text comes with the package."""
    assert metadata["License-Expression"] == "Apache-2.0"
    (name,) = (name for name in wheel.namelist() if name.endswith("/licenses/LICENSE"))
    assert wheel.read(name) == (ROOT / "LICENSE").read_bytes()


def test_the_metadata_version_is_widely_supported(metadata: Message) -> None:
    """The version of the metadata is one that indexes and installers have long known."""
    assert metadata["Metadata-Version"] == "2.4"


def test_its_maintainers_are_named(metadata: Message) -> None:
    """Who made it is the project, and no host is named that does not exist."""
    assert metadata["Author"] == "The maintainers of scaleengine-exporter"
    assert metadata.get_all("Project-URL") is None


def test_the_readme_of_the_index_has_no_broken_link(metadata: Message) -> None:
    """The README has no relative link there and no picture, but names each file it links to."""
    shown = str(metadata.get_payload())
    targets = r"(?<!!)\[[^\]]+\]\((?!https?:)([^)#]+)\)"
    linked = re.findall(targets, (ROOT / "README.md").read_text())
    assert linked
    assert [file for file in linked if file not in shown] == []
    assert re.findall(r"\]\((?!https?:)", shown) == []
    assert "![" not in shown


def test_the_source_package_has_the_tests(built: Path) -> None:
    """Who packages it runs the tests from it."""
    (archive,) = built.glob("*.tar.gz")
    listed = subprocess.run(  # noqa: S603 - our own archive
        ["tar", "-tzf", archive],  # noqa: S607
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    names = {name.partition("/")[2] for name in listed}
    assert {"tests/project/test_package.py", "tests/support/command_line.py"} <= names
