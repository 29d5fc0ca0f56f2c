"""Each setting that the operator wrote reaches the place that applies it."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.config import load
from exporter.config.model import ApiConfig
from exporter.polling.snapshots import SnapshotLimits
from exporter.polling.targets import DiskUsageTarget, FilesTarget
from exporter.scaleengine.client import Credentials
from exporter.scaleengine.errors import AuthError, ResourceLimitError
from exporter.scaleengine.transport import Endpoint
from exporter.settings import Settings, build_settings, describe_changes
from tests.support.sentences import TOO_MANY_FILES

SettingsOf = Callable[[str], Settings]

SMALLEST = """\
accounts:
  - cdn: 158
    api_key: key
    api_secret: secret
"""

LARGE = """\
api:
  url: http://127.0.0.1:8080/stable/
  timeout: 7s
  concurrency: 3
  requests_per_second: 2.5
  max_requests_per_poll: 99
limits:
  users_per_account: 11
  folders_per_path: 12
  label_length: 13
accounts:
  - name: main
    cdn: 158
    api_key: key
    api_secret_file: secret
    disk_usage:
      interval: 2h
      cpu_users: [web, live]
      stale_after: 5h
    files:
      interval: 10m
      stale_after: 1h
      paths:
        - sestore4/jb
        - path: sestore4/jb/archive
          file_types: [video, invalid]
          folder_depth: 2
          max_folders: 7
  - cdn: 7
    api_key: other
    api_secret: another
    disk_usage: {enabled: false}
    files: {paths: [sestore7/a]}
"""


@pytest.fixture
def settings_of(tmp_path: Path) -> SettingsOf:
    """Return a function that builds settings from a configuration's text; it may name `secret`."""
    (tmp_path / "secret").write_text("from-the-file")

    def make(text: str) -> Settings:
        file = tmp_path / "config.yaml"
        file.write_text(text)
        return build_settings(load(file, {}).config)

    return make


def test_a_minimal_configuration_polls_the_disk_usage_each_hour(settings_of: SettingsOf) -> None:
    """A number, a key and a secret are enough: the disk usage of every user is polled each hour."""
    settings = settings_of(SMALLEST)
    assert settings.endpoint == Endpoint("https://api.scaleengine.net/stable/", 30, 32)
    assert (settings.concurrency, settings.requests_per_second, settings.requests_per_poll) == (
        4,
        5,
        5000,
    )
    assert [(account.name, account.cdn) for account in settings.accounts] == [("158", 158)]
    assert settings.targets == (DiskUsageTarget("158", 3600, 3 * 3600),)


def test_each_path_and_file_type_is_a_target(settings_of: SettingsOf) -> None:
    """Every setting is there: a target for each path and file type, of each account its own."""
    settings = settings_of(LARGE)
    assert settings.endpoint == Endpoint("http://127.0.0.1:8080/stable/", 7, 32)
    assert (settings.concurrency, settings.requests_per_second, settings.requests_per_poll) == (
        3,
        2.5,
        99,
    )
    assert settings.limits == SnapshotLimits(users=11, folders=12, label_length=13)
    assert [(account.name, account.cdn) for account in settings.accounts] == [
        ("main", 158),
        ("7", 7),
    ]
    archive = "sestore4/jb/archive"
    assert settings.targets == (
        DiskUsageTarget("main", 7200, 5 * 3600, ("web", "live")),
        FilesTarget("main", 600, 3600, "sestore4/jb", "video"),
        FilesTarget("main", 600, 3600, archive, "video", 2, 7),
        FilesTarget("main", 600, 3600, archive, "invalid", 2, 7),
        FilesTarget("7", 900, 2700, "sestore7/a", "video"),
    )


def test_the_interval_of_a_path_sets_its_stale_after(settings_of: SettingsOf) -> None:
    """Its counts count for three of them, unless it says otherwise."""
    settings = settings_of(
        SMALLEST
        + """\
    disk_usage: {enabled: false}
    files:
      interval: 10m
      stale_after: 2h
      paths:
        - {path: sestore4/a, interval: 1d}
        - {path: sestore4/b, interval: 1h, stale_after: 90m}
        - {path: sestore4/c, stale_after: 1h}
"""
    )
    assert [(target.interval, target.stale_after) for target in settings.targets] == [
        (86400, 3 * 86400),
        (3600, 5400),
        (600, 3600),
    ]


def test_a_disabled_account_is_left_out(settings_of: SettingsOf) -> None:
    """It is as if it were not there, and its secrets are not read."""
    settings = settings_of(
        SMALLEST + "  - {cdn: 7, enabled: false, api_key: k, api_secret_file: gone}\n"
    )
    assert [account.cdn for account in settings.accounts] == [158]
    assert {target.account for target in settings.targets} == {"158"}


def test_each_account_has_its_labels(settings_of: SettingsOf) -> None:
    """Each account has its own."""
    settings = settings_of(SMALLEST + "    labels: {customer: 'Büro \"2\"', _tier: gold}\n")
    assert [account.labels for account in settings.accounts] == [
        {"customer": 'Büro "2"', "_tier": "gold"}
    ]


def test_a_null_rate_is_no_limit(settings_of: SettingsOf) -> None:
    """No limit on requests a second is no limit."""
    assert settings_of("api: {requests_per_second: null}\n" + SMALLEST).requests_per_second is None


def test_each_account_has_its_credentials(settings_of: SettingsOf) -> None:
    """Each account has its own key and secret, and the settings do not show them."""
    settings = settings_of(LARGE)
    main, other = settings.accounts
    assert main.credentials() == Credentials("key", "from-the-file")
    assert other.credentials() == Credentials("other", "another")
    assert "another" not in repr(settings)
    assert "from-the-file" not in repr(settings)


def test_a_secret_in_a_file_is_read_each_time(settings_of: SettingsOf, tmp_path: Path) -> None:
    """A secret in a file is what the file says at that moment."""
    main, _ = settings_of(LARGE).accounts
    (tmp_path / "secret").write_text("rotated\n")
    assert main.credentials().api_secret == "rotated"


def test_a_missing_secret_file_is_a_credentials_failure(
    settings_of: SettingsOf, tmp_path: Path
) -> None:
    """A secret that cannot be read is a failure of credentials: which account, which file, why."""
    main, _ = settings_of(LARGE).accounts
    (tmp_path / "secret").unlink()
    with pytest.raises(AuthError) as failed:
        main.credentials()
    assert failed.value.cause.startswith("a secret of account 'main' could not be read (")
    assert str(tmp_path / "secret") in failed.value.cause
    assert "read again at every poll" in failed.value.advice
    assert failed.value.__suppress_context__


def test_a_lack_of_descriptors_is_no_credentials_failure(
    settings_of: SettingsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no file can be opened any more, the secret is not named as the cause."""
    main, _ = settings_of(LARGE).accounts

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "")

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(ResourceLimitError) as failed:
        main.credentials()
    assert failed.value.cause.startswith(f"{TOO_MANY_FILES} (limit ")


@pytest.mark.parametrize("key", ApiConfig.model_fields)
def test_each_changed_api_setting_is_named(tmp_path: Path, key: str) -> None:
    """Each setting is named, the parts of the endpoint as one."""
    changes: dict[str, tuple[object, str]] = {
        "url": ("http://127.0.0.1:8080/stable/", "endpoint"),
        "timeout": (7.0, "endpoint"),
        "concurrency": (3, "concurrency"),
        "max_workers": (33, "endpoint, max_workers"),
        "requests_per_second": (2.5, "requests_per_second"),
        "max_requests_per_poll": (99, "requests_per_poll"),
        "ca_file": ("other.pem", "endpoint"),
    }
    value, changed = changes[key]
    file = tmp_path / "config.yaml"
    file.write_text(SMALLEST)
    before = load(file, {}).config
    api = before.api.model_copy(update={key: value})
    after = before.model_copy(update={"api": api})
    assert describe_changes(build_settings(before), build_settings(after)) == {
        "settings_changed": changed
    }


def test_added_removed_and_changed_targets_are_named(settings_of: SettingsOf) -> None:
    """Accounts and targets are named: which are new, gone or different."""
    before = settings_of(LARGE)
    assert describe_changes(before, before) == {"changes": "none"}
    after = settings_of(
        LARGE.replace("concurrency: 3", "concurrency: 4")
        .replace("interval: 2h", "interval: 3h")
        .replace("        - sestore4/jb\n", "        - sestore4/new\n")
        .replace("cdn: 7", "cdn: 8")
        .replace("api_secret_file: secret", "api_secret: canary")
    )
    assert describe_changes(before, after) == {
        "accounts_added": "8",
        "accounts_removed": "7",
        "accounts_changed": "main",
        "targets_added": "8 sestore7/a video, main sestore4/new video",
        "targets_removed": "7 sestore7/a video, main sestore4/jb video",
        "targets_changed": "main disk usage",
        "settings_changed": "concurrency",
    }
