"""`python -m tests.project.reference` writes the tables of the documents that the program decides.

Each table is between two comments of Markdown, which name it.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import click
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from exporter.cli import program
from exporter.command_line import Flag
from exporter.config.writing import build_json_schema
from exporter.metrics.registry import add_process_metrics, build_metrics
from exporter.polling.store import Store
from exporter.scaleengine.clock import Clock
from exporter.yamlfile.units import DURATION_PATTERN, SIZE_PATTERN

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = ("docs/configuration.md", "docs/metrics.md")
"""The pages with such tables."""
_GOLDEN: Final = ROOT / "tests" / "metrics" / "golden.prom"
_TABLE: Final = re.compile(
    r"(<!-- (?P<name>\w+): written by make documents -->\n).*?\n(<!-- end -->)", re.DOTALL
)
_TYPES: Final = {"boolean": "`true` or `false`", "null": "`null`", "object": "mapping"}

Schema: TypeAlias = Mapping[str, Any]


class _Reloaded:
    """Something that was read once."""

    last_success = 0.0
    last_reload_successful = True


def render_page(text: str) -> str:
    """Return the text of a page, with its tables as the program has them now."""
    return _TABLE.sub(lambda found: f"{found[1]}\n{_TABLES[found['name']]()}\n\n{found[3]}", text)


def format_keys() -> str:
    """Return a table of keys for each section of the configuration file."""
    schema: Schema = build_json_schema()
    return "\n\n".join(_format_sections("", schema, schema["$defs"]))


def format_flags() -> str:
    """Return the table of the flags that mean something without a command."""
    with click.Context(program) as context:
        params = program.list_shown(context)
    rows = [
        (f"`{param.opts[0]}`", _format_default(param), param.help or "")
        for param in params
        if isinstance(param, Flag)
    ]
    return _format_table(("flag", "default", "meaning"), rows)


def format_metrics() -> str:
    """Return the table of the families, in the order in which they are served."""
    labels = _read_labels()
    rows = [
        (
            f"`{name}`",
            family.type,
            ", ".join(f"`{label}`" for label in labels.get(name, ())),
            family.documentation,
        )
        for name, family in collect_families().items()
        if name.startswith("scaleengine_")
    ]
    return _format_table(("metric", "type", "labels", "meaning"), rows)


def collect_families() -> dict[str, Metric]:
    """Return each family by the name that Prometheus' documentation calls a metric."""
    metrics = build_metrics(Store([]), {}, Clock())
    add_process_metrics(metrics, 0, 1, int, _Reloaded(), _Reloaded())
    return {_metric_name(family): family for family in metrics.registry.collect()}


def _metric_name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def _read_labels() -> dict[str, tuple[str, ...]]:
    """Return the labels of each metric in the golden text, which the exposition is held to."""
    return {
        _metric_name(family): tuple(label for label in family.samples[0].labels if label != "le")
        for family in text_string_to_metric_families(_GOLDEN.read_text())
    }


def _format_sections(path: str, section: Schema, definitions: Schema) -> Iterator[str]:
    """Yield the table of a section, then those of the sections below it."""
    required = section.get("required", ())
    rows = [
        (
            f"`{key}`",
            _format_type(value),
            "required" if key in required else _format_value(value.get("default", "")),
            value["description"],
        )
        for key, value in section["properties"].items()
    ]
    title = f"### {path}\n\n{section['description']}\n\n" if path else ""
    yield title + _format_table(("key", "value", "default", "meaning"), rows)
    for key, value in section["properties"].items():
        suffix = "[]" if value.get("type") == "array" else ""
        inner = ".".join(filter(None, (path, key))) + suffix
        for name in re.findall(r"#/\$defs/(\w+)", json.dumps(value)):
            yield from _format_sections(inner, definitions[name], definitions)


def _format_type(value: Schema) -> str:  # noqa: PLR0911 - one return for each type of value
    """Return what may be written for a key."""
    pattern = value.get("pattern", "")
    if "anyOf" in value:
        parts = [_format_type(part) for part in value["anyOf"] if not _is_variable(part)]
        return " or ".join(dict.fromkeys(parts))
    if "enum" in value:
        return ", ".join(f"`{choice}`" for choice in value["enum"])
    if "items" in value:
        return f"list: {_format_type(value['items'])}"
    if "additionalProperties" in value:
        return f"mapping: {_format_type(value['additionalProperties'])}"
    if pattern.startswith((DURATION_PATTERN, SIZE_PATTERN)):
        return "duration" if pattern.startswith(DURATION_PATTERN) else "size"
    if value.get("type") in ("integer", "number"):
        return _format_range(value)
    types = value.get("type", "object")
    return " or ".join(
        _TYPES.get(type_name, "text")
        for type_name in ([types] if isinstance(types, str) else types)
    )


def _is_variable(part: Schema) -> bool:
    return str(part.get("pattern", "")).startswith(r"^\$\{")


def _format_range(value: Schema) -> str:
    noun = "whole number" if value["type"] == "integer" else "number"
    if "exclusiveMinimum" in value:
        return f"{noun} above {value['exclusiveMinimum']}, up to {value['maximum']}"
    to_maximum = f" to {value['maximum']}" if "maximum" in value else ""
    return f"{noun} from {value['minimum']}{to_maximum}"


def _format_value(value: object) -> str:
    """Return a default as it is written in YAML."""
    if value == "":
        return ""
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _format_default(flag: Flag) -> str:
    if flag.is_switch:
        return "off"
    values = flag.default if isinstance(flag.default, tuple) else (flag.default,)
    return ", ".join(f"`{value}`" for value in values if value is not None) or "none"


def _format_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown, one line for each row."""
    lines = [tuple(head), *map(tuple, rows)]
    lines.insert(1, ("---",) * len(lines[0]))
    return "\n".join(
        f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in line)} |"
        for line in lines
    )


_TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "keys": format_keys,
    "flags": format_flags,
    "metrics": format_metrics,
}


if __name__ == "__main__":
    for page in PAGES:
        path = ROOT / page
        path.write_text(render_page(path.read_text(encoding="utf-8")), encoding="utf-8")
