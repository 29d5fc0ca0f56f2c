"""The configuration in force can be shown: as it would be written, without its secrets."""

import os
from pathlib import Path

from exporter.config import compress_redacted_config, format_config, load

KEY, SECRET = "APX4GKLM0RKQLSP2FBO1ROPKSSW47DZE", "8fc8c48da81e6a2a06a9556379bf798a"
TEXT = f"""\
api: {{timeout: 1m30s, requests_per_second: null}}
accounts:
  - name: Łódź
    cdn: 158
    api_key: {KEY}
    api_secret_file: secret
    disk_usage: {{cpu_users: [live, "1"], quotas: {{live: 2TB, "*": 500GiB}}}}
    files:
      interval: 15m
      paths: [sestore4/jb, {{path: sestore4/a, file_types: [audio, smil], folder_depth: 2}}]
  - {{cdn: 2, api_key: {KEY}, api_secret: {SECRET}}}
"""


def test_a_written_configuration_reads_back(tmp_path: Path) -> None:
    """With the keys filled in again it is the same configuration, and shows every default."""
    (tmp_path / "secret").write_text(SECRET)
    file, again = tmp_path / "config.yaml", tmp_path / "again.yaml"
    file.write_text(TEXT)
    config = load(file, {}).config
    written = format_config(compress_redacted_config(config))
    again.write_text(written.replace("api_key: '***'", f"api_key: {KEY}").replace("'***'", SECRET))
    assert load(again, {}).config == config
    for part in (
        "timeout: 1m30s",
        "stale_after: 3h",
        "name: Łódź",
        "quotas: {}",
        "max_folders: 500",
    ):
        assert part in written


def test_no_secret_is_written(tmp_path: Path) -> None:
    """Of a secret in a file the file is named, of another nothing."""
    (tmp_path / "secret").write_text(SECRET)
    file = tmp_path / "config.yaml"
    file.write_text(TEXT)
    written = format_config(compress_redacted_config(load(file, {}).config))
    assert KEY not in written
    assert SECRET not in written
    assert f"api_secret_file: {tmp_path / 'secret'}" in written
    assert written.count("'***'") == 3


def test_files_with_names_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    """They are named all the same."""
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    (folder / "secret").write_text(SECRET)
    file = folder / "config.yaml"
    file.write_text(f"accounts: [{{cdn: 1, api_key: {KEY}, api_secret_file: secret}}]\n")
    config = load(file, {}).config
    api = config.api.model_copy(update={"ca_file": folder / "ca.pem"})
    written = format_config(compress_redacted_config(config.model_copy(update={"api": api})))
    assert rf"api_secret_file: {tmp_path}/\udcff/secret" in written
    assert rf"ca_file: {tmp_path}/\udcff/ca.pem" in written
