"""What Kubernetes gets of the rules, the dashboard and the schema is what the repository has."""

import json
from pathlib import Path

import pytest
import yaml

from deploy.kubernetes.generate import CHART, MONITORING, ROOT, build_copies, without_lookahead

COPIES = build_copies()


@pytest.mark.parametrize("path", COPIES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_copies_are_current(path: Path) -> None:
    """After a change to their source, `make kubernetes` writes them again, with helm or without."""
    assert path.read_text() == COPIES[path], "make kubernetes"


def test_the_rules_are_those_of_prometheus() -> None:
    """The resource of the Prometheus Operator and the chart have the rules, and no others."""
    rules = yaml.safe_load((ROOT / "monitoring" / "alerts.yml").read_text())
    assert yaml.safe_load((MONITORING / "prometheus_rule.yaml").read_text())["spec"] == rules
    assert yaml.safe_load((CHART / "files" / "alerts.yml").read_text()) == rules


def test_the_chart_has_the_schema_of_the_configuration() -> None:
    """The chart's schema has all of it, except what Go's regular expressions cannot express."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    source = json.loads((ROOT / "exporter" / "config" / "schema.json").read_text())
    assert schema["properties"]["config"]["properties"] == source["properties"]
    assert schema["$defs"].keys() == source["$defs"].keys()
    assert "(?" not in json.dumps(schema)


def test_a_lookahead_that_is_not_known_is_an_error() -> None:
    """A new pattern that Helm would reject is found when the schema is made."""
    with pytest.raises(ValueError, match="Go has no lookahead"):
        without_lookahead({"items": [{"pattern": "^(?<=x)a$"}]})
