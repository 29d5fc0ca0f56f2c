"""The commands of docs/install.md do what the page says, below a folder instead of the root."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.config import load
from exporter.packaged_files import NAMES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "install.md").read_text()


def blocks(heading: str) -> list[str]:
    """Return the blocks of shell below a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Return a folder in the place of the root, with our program and a systemctl that writes."""
    programs = tmp_path / "bin"
    (tmp_path / "etc" / "systemd" / "system").mkdir(parents=True)
    programs.mkdir()
    for name, text in (
        ("scaleengine-exporter", f'exec {sys.executable} -m exporter "$@"'),
        ("systemctl", f'echo "$@" >>{tmp_path}/calls'),
    ):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    return tmp_path


def run(machine: Path, block: str) -> None:
    """Run the commands of a block there."""
    subprocess.run(  # noqa: S603 - the commands are the page's
        ["/bin/sh", "-ec", re.sub(r"(?<=[ =>])/(?=etc/|usr/)", f"{machine}/", block)],
        env={"PATH": f"{machine}/bin:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )


def test_the_commands_of_the_page_install_and_remove_the_files(machine: Path) -> None:
    """All files are there, and man finds the manual page; nothing stays of them."""
    write, remove = blocks("After the installation")
    run(machine, write)
    written = machine / "usr/local/share/scaleengine-exporter"
    assert {path.name for path in written.iterdir()} == set(NAMES)
    assert (machine / "usr/local/share/man/man1/scaleengine-exporter.1").exists()
    run(machine, remove)
    assert [path for path in (machine / "usr").rglob("*") if path.is_file()] == []


def test_the_commands_of_the_page_install_and_remove_the_unit(machine: Path) -> None:
    """The unit has a good configuration and secrets of its own, and nothing stays of it."""
    install, listen, upgrade, remove = blocks("With systemd")
    units, ours = machine / "etc/systemd/system", machine / "etc/scaleengine-exporter"
    run(machine, install)
    loaded = load(ours / "config.yaml", {"CREDENTIALS_DIRECTORY": str(ours)})
    assert [account.cdn for account in loaded.config.accounts] == [158]
    assert {(ours / name).stat().st_mode & 0o777 for name in ("api_key", "api_secret")} == {0o600}
    assert (ours / "config.yaml").stat().st_mode & 0o777 == 0o644
    run(machine, listen)
    assert {unit.suffix for unit in units.iterdir()} == {".service", ".socket"}
    (units / "scaleengine-exporter.service").write_text("of an older version")
    run(machine, upgrade)
    assert "LoadCredential=" in (units / "scaleengine-exporter.service").read_text()
    run(machine, remove)
    assert not ours.exists()
    assert (machine / "calls").read_text().splitlines() == [
        "daemon-reload",
        "enable --now scaleengine-exporter",
        "daemon-reload",
        "stop scaleengine-exporter",
        "enable --now scaleengine-exporter.socket",
        "start scaleengine-exporter",
        "daemon-reload",
        "restart scaleengine-exporter",
        "disable --now scaleengine-exporter",
        "daemon-reload",
    ]
