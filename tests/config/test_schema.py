"""The JSON Schema and the example file say what the loader does."""

import json
import runpy
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

import exporter.config
from exporter.config import (
    AccountConfig,
    ApiConfig,
    CountedPath,
    DiskUsageConfig,
    FilesConfig,
    build_json_schema,
    load,
)
from exporter.config.writing import format_config_schema

SCHEMA_FILE = Path(exporter.config.__file__).with_name("schema.json")
EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"
ENVIRON = {"SCALEENGINE_API_KEY": "k", "SCALEENGINE_API_SECRET": "s"}
VALIDATOR = Draft202012Validator(build_json_schema())


def test_the_packaged_schema_is_current() -> None:
    """After a change to the model, `python -m exporter.config` writes it again."""
    assert SCHEMA_FILE.read_text(encoding="utf-8") == format_config_schema()


def test_the_package_writes_its_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    """Running the package as a module writes the file next to it."""
    written: list[str] = []
    monkeypatch.setattr(Path, "write_text", lambda _, text, **__: written.append(text))
    runpy.run_module("exporter.config", run_name="__main__")
    assert written == [format_config_schema()]


def test_the_schema_is_valid() -> None:
    """It is valid by its own dialect."""
    Draft202012Validator.check_schema(build_json_schema())


def test_every_key_is_described_and_no_other_is_allowed() -> None:
    """An editor can show a text for each key, and marks unknown ones."""
    schema = json.loads(format_config_schema())
    for section in (schema, *schema["$defs"].values()):
        assert section["additionalProperties"] is False
        assert [
            key for key, item in section["properties"].items() if "description" not in item
        ] == []


def test_defaults_are_as_an_operator_writes_them() -> None:
    """Durations are texts, and what stands in for an absent section is not shown."""
    sections = json.loads(format_config_schema())["$defs"]
    assert sections["ApiConfig"]["properties"]["timeout"]["default"] == "30s"
    assert sections["DiskUsageConfig"]["properties"]["interval"]["default"] == "1h"
    assert sections["FilesConfig"]["properties"]["interval"]["default"] == "15m"
    assert sections["FilesConfig"]["properties"]["stale_after"]["default"] is None
    assert "default" not in sections["AccountConfig"]["properties"]["files"]


def with_account(**changes: object) -> dict[str, object]:
    """Return a small configuration, as an editor reads it, with some of its account's keys."""
    account: dict[str, object] = {"cdn": 158, "api_key": "k", "api_secret": "s"} | changes
    return {"accounts": [{key: item for key, item in account.items() if item != "left out"}]}


@pytest.mark.parametrize(
    "written",
    [
        with_account(),
        with_account(cdn="${CDN}", name="${NAME}"),
        with_account(api_key="left out", api_key_file="/run/secrets/key"),
        with_account(files={"paths": ["sestore4/jb", {"path": "sestore4", "folder_depth": 1}]}),
        with_account(files={"paths": ["${PATH}"], "interval": "${INTERVAL}", "stale_after": None}),
        with_account(files={"paths": [{"path": "sestore4", "file_types": ["smil", "${TYPE}"]}]}),
        with_account(disk_usage={"enabled": "${ENABLED}", "interval": "1h30m"}),
        {"api": {"requests_per_second": None, "ca_file": None, "url": "${URL}"}} | with_account(),
    ],
)
def test_an_editor_accepts_what_the_loader_accepts(written: Mapping[str, object]) -> None:
    """Short and long forms, files of secrets and variables are all valid."""
    assert [error.message for error in VALIDATOR.iter_errors(written)] == []


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"accounts": []},
        with_account(cdn="left out"),
        with_account(cdn="many"),
        with_account(cdn=0),
        with_account(name=158),
        with_account(name=""),
        with_account(unknown=1),
        with_account(api_key="left out"),
        with_account(api_key_file="/run/secrets/key"),
        with_account(files={"paths": ["jb"]}),
        with_account(files={"paths": ["sestore4/"]}),
        with_account(files={"paths": [{"path": "sestore4", "file_types": ["film"]}]}),
        with_account(files={"paths": [{"path": "sestore4", "file_types": []}]}),
        with_account(files={"interval": 90}),
        with_account(files={"interval": "90"}),
        with_account(files={"interval": ""}),
        {"api": {"concurrency": 65}} | with_account(),
        {"api": {"requests_per_second": 0}} | with_account(),
        {"api": {"url": "https://host/?query"}} | with_account(),
    ],
)
def test_an_editor_refuses_what_the_loader_refuses(written: Mapping[str, object]) -> None:
    """Mistakes that need no file and no neighbour are seen while writing."""
    assert list(VALIDATOR.iter_errors(written))


def test_the_example_is_valid_for_editor_and_loader() -> None:
    """It names its schema, is valid by it, and loads without a warning."""
    text = EXAMPLE.read_text(encoding="utf-8")
    first, _, _ = text.partition("\n")
    assert first == "# yaml-language-server: $schema=exporter/config/schema.json"
    assert [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(text))] == []
    assert load(EXAMPLE, ENVIRON).warnings == ()


def test_the_example_has_every_key() -> None:
    """No key is known to the loader alone; the files of secrets stand in comments."""
    text = EXAMPLE.read_text(encoding="utf-8")
    written = yaml.safe_load(text)
    account = written["accounts"][0]
    assert set(written["api"]) == set(ApiConfig.model_fields)
    assert set(account) == set(AccountConfig.model_fields)
    assert set(account["disk_usage"]) == set(DiskUsageConfig.model_fields)
    assert set(account["files"]) == set(FilesConfig.model_fields)
    assert set(account["files"]["paths"][1]) == set(CountedPath.model_fields)
    assert "    # api_key_file: /" in text
    assert "    # api_secret_file: /" in text


def test_the_example_shows_the_true_defaults() -> None:
    """Each value in it is the default, except those that have none."""
    config = load(EXAMPLE, ENVIRON).config
    account = config.accounts[0]
    assert config.api == ApiConfig()
    assert account.disk_usage == DiskUsageConfig()
    assert account.files.model_copy(update={"paths": ()}) == FilesConfig()
    for path in account.files.paths:
        assert path == CountedPath(path=path.path)
