"""A command loads what it runs, and nothing else: ``--version`` does not wait for a web server."""

import subprocess
import sys

import pytest

SCRIPT = """\
import sys
from exporter import cli
from exporter.process.background_writer import BackgroundWriter
from exporter.process.signals import SignalThread
from exporter.process.start import Process

process = Process({}, SignalThread(lambda _: None), BackgroundWriter(2))
for arguments in ARGUMENTS:
    cli.main(arguments, process)
sys.stderr.write(" ".join(sys.modules))
"""
SERVERS = {"aiohttp", "prometheus_client", "exporter.service", "exporter.simulator"}
CHECK = {"exporter.check"}
LIBRARIES = {"pydantic", "requests", "structlog", "yaml", "exporter.config", "exporter.polling"}


@pytest.mark.parametrize(
    ("arguments", "not_loaded"),
    [
        ([], SERVERS | CHECK | LIBRARIES),
        ([["--version"], ["--help"], ["check", "--help"], ["--x"]], SERVERS | CHECK | LIBRARIES),
        ([["healthcheck", "--web.listen-address=127.0.0.1:1"]], SERVERS | CHECK | LIBRARIES),
        ([["--config.file=missing"]], {"exporter.simulator", "exporter.web.config_file"} | CHECK),
        ([["check", "--config.file=missing"]], SERVERS),
    ],
)
def test_a_command_imports_only_what_it_needs(
    arguments: list[list[str]], not_loaded: set[str]
) -> None:
    """What a command does not need is not imported."""
    ended = subprocess.run(  # noqa: S603 - a script of our own
        [sys.executable, "-c", SCRIPT.replace("ARGUMENTS", repr(arguments))],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    loaded = set(ended.stderr.splitlines()[-1].split())
    assert "exporter.flags" in loaded
    assert loaded & not_loaded == set()
