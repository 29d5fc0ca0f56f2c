"""The units say what systemd understands, and lock the exporter up."""

import os
import re
import subprocess
import sys
from pathlib import Path
from shutil import copy, which

import pytest

from exporter.config import ConfigError, load
from tests.support.sentences import UNSET_VARIABLE

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy" / "systemd"
NAME = "scaleengine-exporter"
SERVICE = "scaleengine-exporter.service"
MAX_EXPOSURE = 2.0
UNSET = f"the environment variable CREDENTIALS_DIRECTORY {UNSET_VARIABLE}"

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
    """Return copies of the units whose program is one that this machine has."""
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
def test_the_units_are_valid_for_systemd(units: list[str]) -> None:
    """No key is unknown, and no value is wrong."""
    verified = analyze("verify", "--recursive-errors=yes", "--man=no", *units)
    assert (verified.stderr, verified.returncode) == ("", 0)


def test_the_unit_starts_the_program_once() -> None:
    """With an allocator that is chosen, the program does not start itself once more."""
    assert "\nEnvironment=PYTHONMALLOC=malloc\n" in (UNITS / SERVICE).read_text()


def test_the_unit_restarts_the_program_after_a_signal_that_comes_too_early() -> None:
    """SIGHUP before Python runs ends it, which systemd counts as a clean exit."""
    text = (UNITS / SERVICE).read_text()
    assert "\nRestart=on-failure\nRestartSec=5s\n" in text
    assert "\nRestartForceExitStatus=SIGHUP\n" in text


@with_systemd
@pytest.mark.parametrize("missing", ["api_key", "api_secret"])
def test_a_missing_secret_is_named(tmp_path: Path, missing: str) -> None:
    """The unit is not started without a secret, and systemd says which one there is not."""
    text = (UNITS / SERVICE).read_text()
    loaded = re.findall(r"^LoadCredential=\w+:(.*)$", text, re.MULTILINE)
    asserted = re.findall(r"^AssertPathExists=(.*)$", text, re.MULTILINE)
    assert asserted == loaded == [f"/etc/{NAME}/api_key", f"/etc/{NAME}/api_secret"]
    for path in asserted:
        if not path.endswith(missing):
            (tmp_path / Path(path).name).touch()
    asked = [f"AssertPathExists={tmp_path / Path(path).name}" for path in asserted]
    checked = analyze("condition", *asked)
    assert checked.returncode == 1
    assert f"AssertPathExists={tmp_path / missing} failed" in checked.stderr


@pytest.mark.parametrize(
    ("files", "environ", "mistakes"),
    [
        (
            {},
            {},
            [
                f"api_key_file: {UNSET}",
                f"api_secret_file: {UNSET}",
            ],
        ),
        (
            {"api_key": "key"},
            {"CREDENTIALS_DIRECTORY": "."},
            ["api_secret_file: names a file that does not exist"],
        ),
        (
            {"api_key": "", "api_secret": "secret\n"},
            {"CREDENTIALS_DIRECTORY": "."},
            ["api_key_file: names a file that is empty"],
        ),
    ],
)
def test_missing_systemd_credentials_are_an_error(
    tmp_path: Path, files: dict[str, str], environ: dict[str, str], mistakes: list[str]
) -> None:
    """What systemd did not hand over is an error that names the key, and says why."""
    config = tmp_path / "config.yaml"
    packaged = (ROOT / "deploy" / "debian" / "config.yaml").read_text()
    config.write_text(packaged.replace("YOUR-CDN-NUMBER", "158"))
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(config, environ)
    assert [
        f"{problem.where}: {problem.message}".removeprefix("accounts[0].")
        for problem in caught.value.problems
    ] == mistakes


def test_the_configuration_of_the_package_is_not_accepted_as_it_is(tmp_path: Path) -> None:
    """It polls no account before the operator has written a number."""
    for name in ("api_key", "api_secret"):
        (tmp_path / name).write_text("x")
    with pytest.raises(ConfigError, match=r"config\.yaml:4:10: .*cdn: must be a whole number"):
        load(ROOT / "deploy/debian/config.yaml", {"CREDENTIALS_DIRECTORY": str(tmp_path)})


@with_systemd
def test_an_unknown_key_of_a_unit_is_an_error(units: list[str]) -> None:
    """The check above can fail."""
    (service,) = (unit for unit in units if unit.endswith(".service"))
    text = Path(service).read_text()
    Path(service).write_text(text.replace("PrivateTmp=", "PrivateTemp="))
    verified = analyze("verify", "--recursive-errors=yes", "--man=no", service)
    assert "PrivateTemp" in verified.stderr


@with_systemd
def test_the_unit_has_a_low_exposure_level(units: list[str]) -> None:
    """What it could do to the machine is little, by systemd's own measure from 0 to 10."""
    (service,) = (unit for unit in units if unit.endswith(".service"))
    checked = analyze("security", "--offline=true", service).stdout
    (exposure,) = re.findall(r"Overall exposure level for \S+: ([\d.]+)", checked)
    assert float(exposure) < MAX_EXPOSURE
