"""What the dashboard asks of Prometheus, with its variables filled in as Grafana fills them.

It reads the JSON and needs no Grafana, so that every expression can be tried without one.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|([A-Za-z_]\w*))")
_LABEL_VALUES: Final = re.compile(r"label_values\((.+), (\w+)\)")
_GRAFANAS_OWN: Final = {"__rate_interval": "5m"}

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PanelQuery:
    """An expression of a panel: as it is written, and with the variables filled in."""

    panel: str
    ref: str
    written: str
    expression: str
    instant: bool


@dataclass(frozen=True, slots=True)
class VariableQuery:
    """The series that a variable takes its values from, and the label that holds them."""

    variable: str
    selector: str
    label: str


def panel_queries(dashboard: Json, chosen: Mapping[str, str] | None = None) -> list[PanelQuery]:
    """Return every expression of every panel, in order.

    ``chosen`` has values for variables, as Prometheus is to see them (``a|b`` for two accounts);
    the others are as the dashboard opens. An expression with an unknown variable is a KeyError.
    """
    values = _opening_values(dashboard) | dict(chosen or {})
    return [
        PanelQuery(
            panel["title"],
            target["refId"],
            target["expr"],
            fill_in(target["expr"], values),
            instant=target.get("instant", False),
        )
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    ]


def annotation_expressions(
    dashboard: Json, chosen: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the expression of each annotation by its name, filled in."""
    values = _opening_values(dashboard) | dict(chosen or {})
    annotations = dashboard["annotations"]["list"]
    return {annotation["name"]: fill_in(annotation["expr"], values) for annotation in annotations}


def variable_queries(dashboard: Json) -> Iterator[VariableQuery]:
    """Give what each variable that has a query asks, filled in."""
    values = _opening_values(dashboard)
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            asked = _LABEL_VALUES.fullmatch(variable["query"])
            if asked is None:
                raise ValueError(f"{variable['name']}: not label_values(series, label)")
            yield VariableQuery(variable["name"], fill_in(asked[1], values), asked[2])


def fill_in(expression: str, values: Mapping[str, str]) -> str:
    """Return an expression with ``$name`` and ``${name}`` replaced; ``$1`` is a regex' group."""
    return _VARIABLE.sub(lambda match: values[match[1] or match[2]], expression)


def _opening_values(dashboard: Json) -> dict[str, str]:
    values = dict(_GRAFANAS_OWN)
    for variable in dashboard["templating"]["list"]:
        if variable.get("includeAll"):
            values[variable["name"]] = variable["allValue"]
        elif variable["type"] == "custom":
            values[variable["name"]] = variable["current"]["value"]
    return values
