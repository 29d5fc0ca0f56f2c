"""What holds when a key is left out, and what a whole configuration becomes."""

import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from exporter.config import (
    AccountConfig,
    ApiConfig,
    CountedPath,
    DiskUsageConfig,
    FilesConfig,
    LimitsConfig,
)
from tests.support.fixtures import LoadText


def test_the_smallest_configuration_has_every_default(load_text: LoadText, account: str) -> None:
    """Given one account with its key and secret only, then all else is as documented."""
    loaded = load_text(account)
    (only,) = loaded.config.accounts
    assert loaded.config.api == ApiConfig.model_validate(
        {
            "url": "https://api.scaleengine.net/stable/",
            "timeout": "30s",
            "concurrency": 4,
            "max_workers": 32,
            "requests_per_second": 5,
            "max_requests_per_poll": 5000,
            "ca_file": None,
        }
    )
    assert (only.cdn, only.name) == (158, "158")
    assert only.disk_usage == DiskUsageConfig.model_validate(
        {"enabled": True, "interval": "1h", "cpu_users": (), "stale_after": "3h", "quotas": {}}
    )
    assert only.files == FilesConfig.model_validate(
        {"interval": "15m", "stale_after": "45m", "paths": ()}
    )
    assert loaded.config.limits == LimitsConfig(
        users_per_account=50_000, folders_per_path=200_000, label_length=1024
    )
    assert loaded.config.log.level is None
    assert loaded.warnings == ()


def test_the_short_form_of_a_path_counts_its_video_files(load_text: LoadText, account: str) -> None:
    """Given a path as a text, then it is the long form with every default."""
    loaded = load_text(account + "    files: {paths: [sestore4/jb]}\n")
    (path,) = loaded.config.accounts[0].files.paths
    assert path == CountedPath(
        path="sestore4/jb", file_types=("video",), folder_depth=None, max_folders=500
    )


def test_a_whole_configuration_is_read(load_text: LoadText) -> None:
    """Given a value for every key, then each one is in force."""
    config = load_text("""\
api:
  url: http://localhost:8080/stable/
  timeout: 1m30s
  concurrency: 64
  requests_per_second: null
  max_requests_per_poll: 1
accounts:
  - name: Zürich
    cdn: 158
    api_key: k
    api_secret: s
    disk_usage:
      enabled: no
      interval: 1d
      cpu_users: [live, "158"]
      stale_after: 2d
    files:
      interval: 1s
      stale_after: 1s
      paths:
        - path: sestore4/jb
          file_types: [video, audio, smil, valid, invalid, includeinvalid, deleted]
          folder_depth: 3
          max_folders: 1
""").config
    (account,) = config.accounts
    assert config.api.url == "http://localhost:8080/stable/"
    assert (config.api.timeout, config.api.concurrency) == (90.0, 64)
    assert (config.api.requests_per_second, config.api.max_requests_per_poll) == (None, 1)
    assert (account.name, account.cdn) == ("Zürich", 158)
    assert account.disk_usage.enabled is False
    assert account.disk_usage.interval == 86_400.0
    assert account.disk_usage.cpu_users == ("live", "158")
    assert account.disk_usage.stale_after == 172_800.0
    assert (account.files.interval, account.files.stale_after) == (1.0, 1.0)
    (path,) = account.files.paths
    assert (path.path, path.folder_depth, path.max_folders) == ("sestore4/jb", 3, 1)
    assert path.file_types[1:3] == ("audio", "smil")


@pytest.mark.parametrize("stale_after", ["", "stale_after: null", "stale_after: ~"])
def test_stale_after_is_three_intervals(
    load_text: LoadText, account: str, stale_after: str
) -> None:
    """Given no time of its own, then it follows the interval."""
    text = f"{account}    files:\n      interval: 10m\n      {stale_after}\n      paths: []\n"
    assert load_text(text).config.accounts[0].files.stale_after == 1800.0


def test_the_ca_file_begins_at_the_configurations_folder(
    load_text: LoadText, account: str, folder: Path
) -> None:
    """Given a relative path to certificates, then the configuration has the whole path."""
    shutil.copy(DEFAULT_CA_BUNDLE_PATH, folder / "ca.pem")
    config = load_text(account + "api: {ca_file: ca.pem}\n").config
    assert config.api.ca_file == folder / "ca.pem"


def test_a_configuration_is_immutable(load_text: LoadText, account: str) -> None:
    """Models are frozen, and equal when they say the same."""
    one, other = load_text(account).config, load_text(account).config
    assert one == other
    with pytest.raises(ValidationError, match="frozen"):
        one.accounts[0].cdn = 1  # type: ignore[misc]  # what mypy refuses, pydantic must too


def test_an_account_can_be_built_from_values(load_text: LoadText, account: str) -> None:
    """Given the values that a file would give, then the model is the same."""
    read = load_text(account).config.accounts[0]
    made = AccountConfig.model_validate(
        {"cdn": 158, "api_key": read.api_key, "api_secret": read.api_secret}
    )
    assert made == read
