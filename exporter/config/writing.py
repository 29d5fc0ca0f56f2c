"""What is written about a configuration: its JSON Schema, and itself without its secrets.

What the schema adds is what pydantic cannot know: ``${NAME}`` may replace any value, a secret may
be in a file, and durations are written as text.
"""

import json
import zlib
from collections.abc import Mapping
from typing import Final

import yaml
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from exporter.config.model import AccountConfig, Config
from exporter.config.secrets import NAMES
from exporter.config.substitution import NAME
from exporter.yamlfile.files import escape_surrogates
from exporter.yamlfile.units import DURATION_PATTERN, format_prometheus_duration

_VARIABLE = {"type": "string", "pattern": rf"^\$\{{{NAME}\}}$"}
_NOTES = ("description", "default")
REDACTED: Final = "***"
"""What is written for a secret that is in the configuration itself."""

_DUMPER: Final = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # libyaml's, ten times as fast


def build_json_schema() -> dict[str, object]:
    """Return the schema of ``config.yaml`` in JSON Schema's draft 2020-12."""
    schema = Config.model_json_schema()
    sections = schema["$defs"]
    _add_secret_files(sections["AccountConfig"])
    for section in (schema, *sections.values()):
        section["properties"] = {
            key: _as_written(value) for key, value in section["properties"].items()
        }
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema}


def format_config_schema() -> str:
    """Return the schema as the text of ``schema.json``."""
    return json.dumps(build_json_schema(), indent=2, ensure_ascii=False) + "\n"


def _as_written(schema: JsonSchemaValue) -> JsonSchemaValue:
    """Convert the schema of a key from the model's type to what is written in the file."""
    notes = {note: schema[note] for note in _NOTES if note in schema}
    default = notes.get("default")
    if DURATION_PATTERN in schema.get("pattern", "") and default is not None:
        notes["default"] = format_prometheus_duration(default)
    elif isinstance(default, dict):
        # Each of its keys has its own default, written as an operator writes it.
        del notes["default"]
    bare = {key: value for key, value in schema.items() if key not in (*_NOTES, "title")}
    return notes | _allow_variable(bare)


def _allow_variable(schema: JsonSchemaValue) -> JsonSchemaValue:
    if "anyOf" in schema:
        return {**schema, "anyOf": [*map(_allow_variable, schema["anyOf"])]}
    if "items" in schema:
        return {**schema, "items": _allow_variable(schema["items"])}
    if "enum" in schema or schema.get("type") in ("integer", "number", "boolean"):
        return {"anyOf": [schema, _VARIABLE]}
    return schema


def _add_secret_files(account: JsonSchemaValue) -> None:
    for name in NAMES:
        account["properties"][f"{name}_file"] = {
            "type": "string",
            "minLength": 1,
            "description": f"A file that holds the {name}, read again at every poll. "
            "A relative path begins at the folder of this file.",
        }
        account["required"].remove(name)
    account["allOf"] = [
        {"oneOf": [{"required": [name]}, {"required": [f"{name}_file"]}]} for name in NAMES
    ]


def compress_redacted_config(config: Config) -> bytes:
    """Return a configuration as compressed JSON: a few bytes for each account.

    A secret is ``***``; of one in a file the file is named, as ``api_secret_file`` does.
    """
    written = config.model_dump(mode="json", exclude={"accounts"})
    if config.api.ca_file is not None:
        written["api"]["ca_file"] = escape_surrogates(str(config.api.ca_file))
    written["accounts"] = [_describe_account(account) for account in config.accounts]
    return zlib.compress(json.dumps(written).encode())


def format_config(compressed: bytes) -> str:
    """Return the result of ``compress_redacted_config`` as YAML, with every default."""
    written = json.loads(zlib.decompress(compressed))
    text: str = yaml.dump(written, Dumper=_DUMPER, sort_keys=False, allow_unicode=True, width=100)
    return text


def _describe_account(account: AccountConfig) -> Mapping[str, object]:
    written = account.model_dump(mode="json", exclude=set(NAMES))
    for name in NAMES:
        file = getattr(account, name).file
        if file is None:
            written[name] = REDACTED
        else:
            written[f"{name}_file"] = escape_surrogates(str(file))
    return {"name": written.pop("name"), "cdn": written.pop("cdn"), **written}
