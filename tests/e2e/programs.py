"""The programs of others that a run needs, and what to do where one is missing."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from shutil import which
from typing import Final

import pytest

NO_PROMETHEUS_3: Final = "there is no Prometheus 3: run .ci/prometheus3, or name one in PROMETHEUS3"

_PROMETHEUS_3: Final = Path(__file__).parents[2] / ".tools" / "prom3" / "usr" / "bin" / "prometheus"
_SECONDS: Final = 240.0


def needed(*names: str) -> str:
    """Return the path of a program, known by any of these names.

    Where it is missing the test is skipped; in CI, which installs it, it fails.
    """
    found = next(filter(None, map(which, names)), None)
    if found is not None:
        return found
    missing = f"{names[0]} is not installed; CI installs it"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


def prometheus_3() -> str | None:
    """Return the path of a Prometheus 3: PROMETHEUS3, or what .ci/prometheus3 unpacked."""
    given = os.environ.get("PROMETHEUS3") or str(_PROMETHEUS_3)
    return which(given)


def promtool_of(prometheus: str) -> str:
    """Return the promtool that came with a Prometheus."""
    return str(Path(prometheus).with_name("promtool"))


def run(command: Sequence[str | Path], *, given: str = "") -> str:
    """Run a program to its end; return what it printed. It must find all well."""
    done = subprocess.run(  # noqa: S603 - a program found on the path
        [str(part) for part in command],
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout
