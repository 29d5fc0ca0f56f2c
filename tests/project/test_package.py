"""The package that is built is whole."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build the package as pip would, from a copy, without asking any index."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in ("pyproject.toml", "README.md", "exporter", "deploy"):
        (source / name).symlink_to(ROOT / name)
    subprocess.run(  # noqa: S603 - our own build
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)],
        cwd=source,
        env={**os.environ, "SOURCE_REVISION": "0123abc"},
        check=True,
        capture_output=True,
    )
    return zipfile.ZipFile(next(built.glob("*.whl")))


def test_all_modules_are_in_it(wheel: zipfile.ZipFile) -> None:
    """Every module is packaged, with the mark that it is typed and the JSON Schema."""
    packaged = set(wheel.namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "exporter").rglob("*.py")}
    assert modules <= packaged
    assert {"exporter/py.typed", "exporter/config/schema.json"} <= packaged


def test_nothing_else_is_in_it(wheel: zipfile.ZipFile) -> None:
    """Tests, benchmarks and caches stay out of it."""
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"exporter"}
    assert not [name for name in wheel.namelist() if "__pycache__" in name]


def test_it_knows_its_revision(wheel: zipfile.ZipFile) -> None:
    """The revision that it was built from is recorded in it."""
    assert wheel.read("exporter/_revision.txt").decode().strip() == "0123abc"


def test_the_command_is_installed(wheel: zipfile.ZipFile) -> None:
    """The package brings the command."""
    entry_points = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "scaleengine-exporter = exporter.cli:main" in wheel.read(entry_points).decode()
