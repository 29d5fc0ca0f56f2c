"""The workflows are pinned, have the least rights, and release what the changelog describes."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import yaml

from deploy.release_notes import CHANGELOG, find_notes

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ZIZMOR = which("zizmor", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def read(name: str) -> dict[str, Any]:
    """Return a workflow."""
    workflow: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())
    return workflow


@pytest.mark.skipif(
    ZIZMOR is None and not os.environ.get("CI"), reason="zizmor is not installed; CI installs it"
)
def test_zizmor_finds_nothing() -> None:
    """The linter of workflows, at its strictest, finds nothing."""
    assert ZIZMOR is not None, "zizmor is missing: pip install zizmor"
    checked = subprocess.run(  # noqa: S603 - the program is zizmor, found on the path
        [ZIZMOR, "--offline", "--quiet", "--persona=pedantic", str(ROOT / ".github")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_hash(path: Path) -> None:
    """Each names a commit, and the version that it is; the same action has one commit."""
    used = re.findall(r"uses: (\S+)(.*)", path.read_text())
    assert [
        action
        for action, version in used
        if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)
        or not re.fullmatch(r" # v\d+\.\d+\.\d+", version)
    ] == []


def test_an_action_has_one_version() -> None:
    """It is the same in all workflows."""
    used = {action for path in WORKFLOWS for action in re.findall(r"uses: (\S+)", path.read_text())}
    assert len(used) == len({action.partition("@")[0] for action in used})


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_jobs_have_the_least_rights(path: Path) -> None:
    """A workflow has none; only the jobs of a release write, and each has a timeout."""
    workflow = read(path.name)
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        if path.name != "release.yml":
            assert job["permissions"] == {"contents": "read"}


def test_every_supported_python_is_tested() -> None:
    """The matrix has each that the metadata name."""
    tested = set(read("check.yml")["jobs"]["wheel"]["strategy"]["matrix"]["python"])
    classifiers = PROJECT["project"]["classifiers"]
    supported = {text.rpartition(" ")[2] for text in classifiers if re.search(r":: 3\.\d+$", text)}
    assert supported <= tested
    assert "3.14" in tested


def test_the_lowest_dependencies_are_those_of_the_metadata() -> None:
    """What is tested as the lowest is what the project says that it works with."""
    pinned = dict(
        re.findall(
            r"^([\w-]+)==(\S+)",
            (ROOT / ".ci" / "requirements-lowest.txt").read_text(),
            re.MULTILINE,
        )
    )
    bounds = dict(re.findall(r"([\w-]+)>=([\d.]+)", " ".join(PROJECT["project"]["dependencies"])))
    assert bounds
    for name, lowest in bounds.items():
        parts = pinned[name].split(".")
        assert parts[: lowest.count(".") + 1] == lowest.split("."), name


def test_a_release_has_the_notes_of_its_version() -> None:
    """A release has the section of its version, and nothing of others."""
    changelog = (
        "# Changelog\n\n## 1.1.0, 2026-02-01\n\nNew.\n\n## 1.0.0, 2026-01-01\n\n### Added\nOld.\n"
    )
    assert find_notes(changelog, "1.1.0") == "New.\n"
    assert find_notes(changelog, "1.0.0") == "### Added\nOld.\n"


@pytest.mark.parametrize(
    ("changelog", "message"),
    [
        ("## 1.0.0, 2026-01-01\n\nOld.\n", "says nothing of 1.1.0"),
        ("## 1.1.0, 2026-01-01\n\n## 1.0.0, 2026-01-01\n\nOld.\n", "says nothing of 1.1.0"),
        ("## 1.1.0, not released yet\n\nNew.\n", "write its date"),
        ("## 1.1.01, 2026-01-01\n\nOther.\n", "says nothing of 1.1.0"),
    ],
)
def test_a_version_without_notes_is_not_released(changelog: str, message: str) -> None:
    """A section that is missing, empty or without a date stops the release."""
    with pytest.raises(ValueError, match=message):
        find_notes(changelog, "1.1.0")


def test_the_changelog_can_be_released() -> None:
    """With its date, the section at the top is the notes of its version."""
    text = CHANGELOG.read_text()
    (version, date) = re.findall(r"^## (\S+), (.+)$", text, re.MULTILINE)[0]
    assert find_notes(text.replace(f"{version}, {date}", f"{version}, 2026-01-31"), version)


def test_issue_forms_name_the_security_policy() -> None:
    """A fault in security has its own way, and the forms are GitHub's."""
    assert (ROOT / "SECURITY.md").exists()
    forms = {
        path.name: yaml.safe_load(path.read_text())
        for path in ROOT.glob(".github/ISSUE_TEMPLATE/*")
    }
    assert "SECURITY.md" in str(forms["fault.yml"]["body"][0])
    assert forms.pop("config.yml") == {"blank_issues_enabled": False}
    assert [
        name for name, form in forms.items() if not {"name", "description", "body"} <= form.keys()
    ] == []
