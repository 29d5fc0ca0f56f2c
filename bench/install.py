"""Install, upgrade and remove the exporter with the commands of docs/install.md, for real.

Each runs in a clone, below a folder instead of the root, and asks the package index. Arguments
choose ways by their headings. A way whose program is missing is left out with a message. It exits
with 1 where a way fails. What the commands print goes to standard error.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
WAYS: Final = {"With pip": "python3", "With pipx": "pipx", "From packages of your own": "make"}


def try_way(heading: str, folder: Path) -> list[float]:
    """Return the seconds that installing, upgrading and removing took.

    Raises CalledProcessError or AssertionError where one of them fails.
    """
    subprocess.run(["git", "clone", "--quiet", ROOT, folder / "clone"], check=True)  # noqa: S603, S607
    programs = folder / "usr" / "local" / "bin"
    programs.mkdir(parents=True)
    environ = {**os.environ, "PIPX_HOME": str(folder / "pipx"), "PIPX_BIN_DIR": str(programs)}
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    install, upgrade, remove = re.findall(r"(?ms)^```sh\n(.*?)^```$", section)
    took = []
    for block in (install, upgrade, remove):
        begun = time.monotonic()
        commands = re.sub(r"(?<!\S)/(?=opt/|usr/)", f"{folder}/", block)
        (folder / "opt").mkdir(exist_ok=True)
        subprocess.run(  # noqa: S603 - the commands are the page's
            ["/bin/sh", "-ec", commands],
            cwd=folder / "clone",
            env=environ,
            check=True,
            stdout=sys.stderr,
        )
        took.append(time.monotonic() - begun)
        program = programs / "scaleengine-exporter"
        if block is remove:
            assert not program.exists(), f"{program} is still there"  # noqa: S101
        else:
            subprocess.run([program, "--version"], check=True, stdout=sys.stderr)  # noqa: S603
    return took


def main(chosen: Sequence[str]) -> int:
    """Try the chosen ways, or all, and print what each took."""
    failed = 0
    sys.stdout.write("| way | install s | upgrade s | remove s |\n| --- | ---: | ---: | ---: |\n")
    for heading, program in WAYS.items():
        if chosen and heading not in chosen:
            continue
        if shutil.which(program) is None:
            sys.stdout.write(f"| {heading} | not tried: {program} is missing | | |\n")
            continue
        with tempfile.TemporaryDirectory(prefix="install-") as folder:
            try:
                took = " | ".join(f"{seconds:.0f}" for seconds in try_way(heading, Path(folder)))
            except (subprocess.CalledProcessError, AssertionError) as error:
                failed = 1
                took = f"FAILED: {error} | | "
        sys.stdout.write(f"| {heading} | {took} |\n")
        sys.stdout.flush()
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
