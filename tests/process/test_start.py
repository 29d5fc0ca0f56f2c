"""How the process is made ready."""

import subprocess
import sys


def test_threads_take_turns_each_millisecond() -> None:
    """A scrape does not wait long for a thread that computes."""
    code = (
        "import sys; from exporter.process.start import start_process; process = start_process(0);"
        "print(sys.getswitchinterval(), flush=True); process.exit(0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)  # noqa: S603 - our own code
    assert ended.stdout == "0.001\n"


def test_nothing_guesses_encodings() -> None:
    """The library of requests that does takes 3 MB; without it there is no warning."""
    code = (
        "import sys; from exporter.process.start import start_process; process = start_process(0);"
        "import requests; print(sys.modules['charset_normalizer'], requests.Response().text,"
        "requests.Response().apparent_encoding, flush=True); process.exit(0)"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    ended = subprocess.run(command, capture_output=True, check=True, text=True)  # noqa: S603 - our own code
    assert (ended.stdout, ended.stderr) == ("None  utf-8\n", "")
