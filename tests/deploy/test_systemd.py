"""The units say what systemd understands, and lock the exporter up."""

import os
import re
import subprocess
import sys
from pathlib import Path
from shutil import copy, which

import pytest

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
SERVICE = "scaleengine-exporter.service"
MAX_EXPOSURE = 2.0

with_systemd = pytest.mark.skipif(
    which("systemd-analyze") is None and not os.environ.get("CI"),
    reason="systemd-analyze is not installed; CI installs it",
)


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the arguments are the test's own
        ["systemd-analyze", *arguments],  # noqa: S607 - found on the path
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """Give copies of the units whose program is one that this machine has."""
    copies = [tmp_path / path.name for path in UNITS.iterdir()]
    for path in copies:
        copy(UNITS / path.name, path)
    service = tmp_path / SERVICE
    text = service.read_text()
    assert "\nExecStart=scaleengine-exporter\n" in text
    service.write_text(
        text.replace("ExecStart=scaleengine-exporter", f"ExecStart={sys.executable}")
    )
    return [str(path) for path in copies]


@with_systemd
def test_systemd_understands_the_units(units: list[str]) -> None:
    """No key is unknown, and no value is wrong."""
    verified = analyze("verify", "--recursive-errors=yes", "--man=no", *units)
    assert (verified.stderr, verified.returncode) == ("", 0)


def test_the_unit_starts_the_program_once() -> None:
    """With an allocator that is chosen, the program does not start itself once more."""
    assert "\nEnvironment=PYTHONMALLOC=malloc\n" in (UNITS / SERVICE).read_text()


@with_systemd
def test_a_unit_with_an_unknown_key_is_found(units: list[str]) -> None:
    """The check above can fail."""
    (service,) = (unit for unit in units if unit.endswith(".service"))
    text = Path(service).read_text()
    Path(service).write_text(text.replace("PrivateTmp=", "PrivateTemp="))
    verified = analyze("verify", "--recursive-errors=yes", "--man=no", service)
    assert "PrivateTemp" in verified.stderr


@with_systemd
def test_the_exporter_is_locked_up(units: list[str]) -> None:
    """What it could do to the machine is little, by systemd's own measure from 0 to 10."""
    (service,) = (unit for unit in units if unit.endswith(".service"))
    judged = analyze("security", "--offline=true", service).stdout
    (exposure,) = re.findall(r"Overall exposure level for \S+: ([\d.]+)", judged)
    assert float(exposure) < MAX_EXPOSURE
