"""Each package that is installed is known by its hash, and none is built of a foreign source."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = (
    *("README.md", "CONTRIBUTING.md", "docs/install.md", "Makefile", "Dockerfile", ".ci/run"),
    *(".ci/helm", ".ci/pythons"),
    *("deploy/try_image.sh", "deploy/test_wheel.sh", "deploy/build_deb.sh"),
)
FROM_AN_INDEX = {"--require-hashes", "--only-binary=:all:"}
OF_SOURCE = {"--no-build-isolation", "--no-deps", "--no-index"}
"""Without isolation, pip downloads nothing to build with."""
OF_A_WHEEL = {"--no-deps", "--no-index"}


def find_commands(text: str) -> list[list[str]]:
    """Return the words of each command that has pip install something."""
    lines = re.sub(r"\\\n", " ", text).splitlines()
    commands = [command for line in lines for command in re.split(r"&&|\|\|", line)]
    return [
        command.split()
        for command in commands
        if re.search(r"(/pip3?|pip\[@\]\}\") .*\b(install|wheel)\b", command)
    ]


def allowed(words: list[str]) -> list[set[str]]:
    """Return the sets of options of which a command must have one."""
    if words[-1] == ".":
        return [OF_SOURCE]
    return [OF_A_WHEEL] if re.search(r"\.whl|^\"\$wheel\"$", words[-1]) else [FROM_AN_INDEX]


@pytest.mark.parametrize("file", FILES)
def test_every_installation_is_by_hash(file: str) -> None:
    """A command takes wheels by their hashes from an index, or asks no index at all."""
    commands = find_commands((ROOT / file).read_text())
    assert [
        words for words in commands if not any(options <= set(words) for options in allowed(words))
    ] == []


def test_every_install_command_is_checked() -> None:
    """Each place where something is installed is looked at."""
    found = {file: len(find_commands((ROOT / file).read_text())) for file in FILES}
    assert found["deploy/build_deb.sh"] == 2
    assert (found["README.md"], found["Makefile"], found["Dockerfile"]) == (2, 5, 4)
