"""Prometheus' HTTP API, as Grafana asks it."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import requests

from tests.e2e.accounts import Samples, series
from tests.support.waiting import TIMEOUT

_RANGE: Final = 3600
_STEP: Final = 15


@dataclass(frozen=True, slots=True)
class Point:
    """The labels of a series, and its newest value."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What an expression returned, and what Prometheus had to say against it."""

    points: Sequence[Point]
    complaints: Sequence[str] = field(default=())

    @property
    def numbers(self) -> list[float]:
        """The values that are numbers."""
        return [point.value for point in self.points if math.isfinite(point.value)]


class PrometheusApi:
    """The API of one server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **parameters: str | float) -> Any:
        """Return the data of a response of the API, ``path`` below /api/v1/."""
        return self._ask(path, parameters)["data"]

    def instant(self, expression: str) -> QueryResult:
        """Evaluate an expression now."""
        asked: dict[str, str | float] = {"query": expression, "time": time.time()}
        response = self._ask("query", asked)
        found = response["data"]["result"]
        return QueryResult(
            [_point(series["metric"], series["value"]) for series in found], _against(response)
        )

    def range(self, expression: str) -> QueryResult:
        """Evaluate an expression for a graph of the last hour."""
        now = time.time()
        asked: dict[str, str | float] = {
            "query": expression,
            "start": now - _RANGE,
            "end": now,
            "step": _STEP,
        }
        response = self._ask("query_range", asked)
        found = response["data"]["result"]
        points = [_point(series["metric"], series["values"][-1]) for series in found]
        return QueryResult(points, _against(response))

    def samples(self, selector: str) -> Samples:
        """Return the newest samples of a selector, without the labels of the target."""
        of_the_target = {"__name__", "job", "instance"}
        return {
            series(
                point.labels["__name__"],
                {name: value for name, value in point.labels.items() if name not in of_the_target},
            ): point.value
            for point in self.instant(selector).points
        }

    def value(self, expression: str) -> float | None:
        """Return the value of an expression that has one series; None if it has none."""
        points = self.instant(expression).points
        assert len(points) <= 1, f"{expression}: {len(points)} series"
        return points[0].value if points else None

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        alerts = self.get("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def _ask(self, path: str, parameters: Mapping[str, str | float]) -> Any:
        url = f"{self.url}/api/v1/{path}"
        response = requests.get(url, params=parameters, timeout=TIMEOUT)
        assert response.ok, f"{parameters}: {response.status_code} {response.text}"
        return response.json()


def _point(labels: Mapping[str, str], sample: tuple[float, str]) -> Point:
    return Point(labels, float(sample[1]))


def _against(response: Mapping[str, Any]) -> list[str]:
    return [*response.get("warnings", ()), *response.get("infos", ())]
