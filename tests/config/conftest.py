"""What the tests of the configuration share: a folder to write files in, and a way to load one."""

import traceback
from collections.abc import Mapping
from pathlib import Path

import pytest

from exporter.config import ConfigError, LoadedConfig, load
from tests.support.fixtures import LoadText, ReadMistakes

ACCOUNT = """\
accounts:
  - cdn: 158
    api_key: key
    api_secret: secret
"""


@pytest.fixture
def account() -> str:
    """Return the four lines of the smallest configuration; what a test adds begins in line 5."""
    return ACCOUNT


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder, which is the current one too."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def load_text(folder: Path) -> LoadText:
    """Return a function that loads a text as `config.yaml`."""

    def load_it(text: str | bytes, environ: Mapping[str, str] | None = None) -> LoadedConfig:
        content = text.encode() if isinstance(text, str) else text
        (folder / "config.yaml").write_bytes(content)
        return load(Path("config.yaml"), environ or {})

    return load_it


@pytest.fixture
def mistakes(load_text: LoadText) -> ReadMistakes:
    """Return a function that gives the lines of the error that a bad text ends in.

    Its traceback must not have the word canary, which stands for a secret in the text.
    """

    def lines(text: str | bytes, environ: Mapping[str, str] | None = None) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load_text(text, environ)
        assert "canary" not in "".join(traceback.format_exception(caught.value))
        return str(caught.value).splitlines()

    return lines
