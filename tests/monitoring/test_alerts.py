"""The alerts: each is explained, each is tested, and each threshold means what it says."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import pytest
import yaml

from tests.e2e.programs import NO_PROMETHEUS_3, prometheus_3, promtool_of

Rule: TypeAlias = Mapping[str, object]

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "monitoring"
ALERTS = MONITORING / "alerts.yml"
README = (MONITORING / "README.md").read_text()
TEST_FILES = sorted(MONITORING.glob("alerts_test_*.yml"))
PROMTOOL = shutil.which("promtool")

GROUPS = yaml.safe_load(ALERTS.read_text())["groups"]
RULES: Sequence[Rule] = [rule for group in GROUPS for rule in group["rules"]]
RAISED: Sequence[Rule] = [rule for rule in RULES if "alert" in rule]
NAMES = sorted({str(rule["alert"]) for rule in RAISED})
THRESHOLDS: Mapping[str, str] = {
    str(rule["record"]): str(rule["expr"]).removeprefix("vector(").removesuffix(")")
    for rule in GROUPS[0]["rules"]
}
COUNTED = ("_restarts", "_judged", "_midnights", "_files", "_days")
"""How the names of thresholds end that are whole numbers: the next one is one more or less."""

ALL_ALERTS = r"ALERTS(\[|\{alertstate|\{alertname!)"
"""How an expression looks at all alerts, or at all but one."""

needs_promtool = pytest.mark.skipif(
    PROMTOOL is None and not os.environ.get("CI"),
    reason="promtool is not installed; CI installs it",
)


def promtool(
    *arguments: str | Path, program: str | None = PROMTOOL
) -> "subprocess.CompletedProcess[str]":
    assert program is not None, "promtool is missing: install Prometheus"
    return subprocess.run(  # noqa: S603 - the program is promtool, found on the path
        [program, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=880
    )


@pytest.fixture(params=["installed", "newer"])
def engine(request: pytest.FixtureRequest) -> str | None:
    """Return the promtool that is installed, and that of a Prometheus 3 if there is one."""
    if request.param == "installed":
        return PROMTOOL
    if (newer := prometheus_3()) is None:
        pytest.skip(NO_PROMETHEUS_3)
    return promtool_of(newer)


class UnitTest(NamedTuple):
    """A unit test, with its file and what the whole file says."""

    path: Path
    document: Mapping[str, object]
    test: Mapping[str, object]

    @property
    def about(self) -> str:
        """The alert that it is named for, or what it shows of all of them."""
        return str(self.test["name"]).split(":")[0]


@cache
def unit_tests() -> Sequence[UnitTest]:
    """Return each unit test of each file."""
    documents = [(path, yaml.safe_load(path.read_text())) for path in TEST_FILES]
    return [
        UnitTest(path, document, test) for path, document in documents for test in document["tests"]
    ]


def expectations(test: Mapping[str, object], alert: str) -> list[list[Mapping[str, object]]]:
    """Return what a unit test expects of an alert, moment by moment."""
    moments = test.get("alert_rule_test", [])
    assert isinstance(moments, list)
    return [moment.get("exp_alerts") or [] for moment in moments if moment["alertname"] == alert]


def texts(holder: Mapping[str, object], key: str) -> Mapping[str, str]:
    """Return the labels or annotations that a rule has or a unit test expects."""
    given = holder[key]
    assert isinstance(given, dict)
    return given


@needs_promtool
def test_promtool_accepts_the_rules() -> None:
    """Promtool finds no mistake in the rules."""
    checked = promtool("check", "rules", "--lint-fatal", ALERTS)
    assert (checked.stderr, checked.returncode) == ("", 0)
    assert "SUCCESS" in checked.stdout


@needs_promtool
@pytest.mark.timeout(900)  # promtool takes 20 s of CPU for one file, minutes on a busy machine
@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.stem)
def test_unit_tests_hold(path: Path, engine: str | None, tmp_path: Path) -> None:
    """The alerts fire, stay silent and end as their unit tests say, by a newer engine too.

    Each test runs with only the rules that it can see: all rules take twice as long.
    """
    files = [
        write_alone(unit_test, rules_seen_by(unit_test), tmp_path / str(number))
        for number, unit_test in enumerate(unit_tests())
        if unit_test.path == path
    ]
    checked = promtool("test", "rules", *files, program=engine)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count("SUCCESS") == len(files)


@pytest.mark.parametrize(
    "rule", RAISED, ids=lambda rule: "-".join([rule["alert"], *list(rule["labels"].values())[1:]])
)
def test_each_alert_is_shown_to_fire_and_to_end(rule: Rule) -> None:
    """A unit test sees the alert silent, then firing with its labels, then silent again."""
    wanted = texts(rule, "labels").items()
    fired = []
    for _, _, test in unit_tests():
        moments = expectations(test, str(rule["alert"]))
        firing = [
            any(wanted <= texts(alert, "exp_labels").items() for alert in moment)
            for moment in moments
        ]
        if True in firing:
            first, last = firing.index(True), len(firing) - 1 - firing[::-1].index(True)
            fired.append(first > 0 and last < len(firing) - 1)
    assert any(fired)


@pytest.mark.parametrize("alert", NAMES)
def test_each_alert_is_shown_to_stay_silent(alert: str) -> None:
    """A unit test, named for it, sees the alert silent all the time just below its threshold."""
    silent = [
        test for _, _, test in unit_tests() if str(test["name"]).startswith(f"{alert}: silent ")
    ]
    assert silent
    for test in silent:
        asked = test["promql_expr_test"]
        assert isinstance(asked, list)
        watched = [
            expectation
            for expectation in asked
            if f'ALERTS{{alertname="{alert}"' in expectation["expr"]
            or re.search(ALL_ALERTS, expectation["expr"])
        ]
        assert watched
        assert [sample["exp_samples"] for sample in watched] == [[]] * len(watched)


def write_alone(
    unit_test: UnitTest,
    needed: set[str],
    folder: Path,
    changed: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Write a unit test and the rules of these names, some with another expression."""
    groups = [
        {
            **group,
            "rules": [
                {**rule, "expr": changed.get(name_of(rule), rule["expr"])}
                for rule in group["rules"]
                if name_of(rule) in needed
            ],
        }
        for group in GROUPS
    ]
    folder.mkdir()
    (folder / ALERTS.name).write_text(as_yaml({"groups": groups}))
    written = folder / unit_test.path.name
    written.write_text(as_yaml({**unit_test.document, "tests": [unit_test.test]}))
    return written


def as_yaml(document: object) -> str:
    """Return YAML. In JSON, 1e9 would be in quotes, and promtool would not take it for a number."""
    text: str = yaml.dump(document, Dumper=yaml.CSafeDumper)
    return text


def rules_seen_by(unit_test: UnitTest) -> set[str]:
    """Return the names of the rules that can change what a unit test sees."""
    text = json.dumps(unit_test.test)
    if re.search(ALL_ALERTS, text):
        return {name_of(rule) for rule in RULES}
    return needed_by(text)


def name_of(rule: Rule) -> str:
    return str(rule.get("alert") or rule.get("record"))


def needed_by(text: str) -> set[str]:
    """Return the names of the rules that a text names, and of those that these rules need."""
    needed: set[str] = set()
    while True:
        found = {name for rule in RULES if (name := name_of(rule)) in text} - needed
        if not found:
            return needed
        needed |= found
        text = " ".join(str(rule["expr"]) for rule in RULES if name_of(rule) in found)


def users_of(threshold: str) -> set[str]:
    """Return the alerts that look at a threshold, themselves or through recording rules."""
    names = [threshold]
    for rule in RULES:
        if "record" in rule and any(name in str(rule["expr"]) for name in names):
            names.append(str(rule["record"]))
    return {
        str(rule["alert"]) for rule in RAISED if any(name in str(rule["expr"]) for name in names)
    }


def neighbours_of(threshold: str) -> tuple[str, str]:
    """Return two values close to a threshold, one below and one above."""
    value = THRESHOLDS[threshold]
    if threshold.endswith(COUNTED):
        return f"{value} - 1", f"{value} + 1"
    return f"{value} * 0.9", f"{value} * 1.1"


@needs_promtool
@pytest.mark.timeout(900)
@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_each_threshold_is_held_from_both_sides(threshold: str, tmp_path: Path) -> None:
    """With a threshold a tenth lower or higher (a count: by one) a unit test fails.

    With the threshold unchanged all of them pass: see test_unit_tests_hold.
    """
    alerts = users_of(threshold)
    about = [unit_test for unit_test in unit_tests() if unit_test.about in alerts]
    lower, higher = neighbours_of(threshold)
    assert [
        # A lower threshold mostly breaks a test that is silent, a higher one a test that fires.
        # The order only saves time.
        any(
            fails(unit_test, threshold, value, tmp_path / f"{side} {number}")
            for number, unit_test in enumerate(sorted(about, key=is_silent, reverse=silent_first))
        )
        for side, value, silent_first in (("lower", lower, True), ("higher", higher, False))
    ] == [True, True]


def is_silent(unit_test: UnitTest) -> bool:
    return f"{unit_test.about}: silent " in str(unit_test.test["name"])


def fails(unit_test: UnitTest, threshold: str, value: str, folder: Path) -> bool:
    """Return whether a unit test fails with another value of a threshold."""
    needed = needed_by(unit_test.about + json.dumps(unit_test.test))
    written = write_alone(unit_test, needed, folder, {threshold: f"vector({value})"})
    checked = promtool("test", "rules", written)
    failed = "FAILED" in checked.stdout + checked.stderr
    assert checked.returncode == failed
    return failed


def test_each_threshold_is_used() -> None:
    """A threshold that is changed changes something, and none is looked at that is not there."""
    looked_at = set(
        re.findall(
            r"scaleengine:threshold:\w+",
            " ".join(str(rule["expr"]) for rule in RULES[len(THRESHOLDS) :]),
        )
    )
    assert looked_at == set(THRESHOLDS)


def test_thresholds_are_documented() -> None:
    """The README's table has every threshold with the value that is in force."""
    table = dict(
        re.findall(r"^\| `(scaleengine:threshold:\w+)` \| ([^|]+) \|", README, re.MULTILINE)
    )
    assert table == THRESHOLDS


def look_up(record: str, suffix: str) -> str:
    """Return the template of an address that a recording rule has as its label."""
    return f"{{{{ with query `{record}` }}}}{{{{ . | first | label `url` }}}}{suffix}{{{{ end }}}}"


def test_the_addresses_are_those_that_alerts_look_up() -> None:
    """Each rule of addresses.yml, also where it is a comment, is one that the alerts ask for."""
    text = (MONITORING / "addresses.yml").read_text()
    uncommented = re.sub(r"(?m)^( +)# (- record|  expr|  labels)", r"\1\2", text)
    (group,) = yaml.safe_load(uncommented)["groups"]
    records = {rule["record"]: rule["labels"]["url"] for rule in group["rules"]}
    assert records.keys() == {"scaleengine:alert_runbook:info", "scaleengine:alert_dashboard:info"}
    uid = json.loads((MONITORING / "dashboard.json").read_text())["uid"]
    assert records["scaleengine:alert_dashboard:info"] == f"http://localhost:3000/d/{uid}"
    (group,) = yaml.safe_load(text)["groups"]
    assert [rule["record"] for rule in group["rules"]] == ["scaleengine:alert_dashboard:info"]


@pytest.mark.parametrize("rule", RAISED, ids=lambda rule: rule["alert"])
def test_each_alert_has_a_summary_description_and_runbook(rule: Rule) -> None:
    """Each has a severity, a summary, a description, and a runbook that exists."""
    alert = str(rule["alert"])
    assert texts(rule, "labels")["severity"] in {"critical", "warning"}
    annotations = texts(rule, "annotations")
    assert set(annotations) == {
        *("summary", "description", "runbook", "runbook_url", "dashboard_url")
    }
    assert annotations["runbook"] == f"monitoring/README.md#{alert.lower()}"
    assert annotations["runbook_url"] == look_up("scaleengine:alert_runbook:info", alert.lower())
    assert annotations["dashboard_url"] == look_up("scaleengine:alert_dashboard:info", "")
    assert f"\n### {alert}\n" in README
    assert f"| [`{alert}`](#{alert.lower()}) | {texts(rule, 'labels')['severity']} |" in README


@pytest.mark.parametrize("rule", RAISED, ids=lambda rule: rule["alert"])
def test_each_number_has_a_unit(rule: Rule) -> None:
    """No text shows a bare value: it is a share, a duration or a number that a person can read."""
    for text in texts(rule, "annotations").values():
        shown = re.findall(r"\{\{[^}]*\$value[^}]*\}\}", text)
        bare = [
            line
            for line in shown
            if not re.search(r"\$value \| humanize(1024|Percentage|Duration)? \}\}", line)
        ]
        assert bare == []


@pytest.mark.parametrize("rule", RAISED, ids=lambda rule: rule["alert"])
def test_each_summary_names_what_it_is_about(rule: Rule) -> None:
    """A summary names the account, or the exporters where it is about them, and the next step."""
    summary = texts(rule, "annotations")["summary"]
    if rule["alert"] != "ScaleEngineExporterMissing":
        of_job = str(rule["alert"]).startswith("ScaleEngineShard")
        named = ("job",) if of_job else ("account", "instance")
        assert any(f"$labels.{label}" in summary for label in named)
    assert re.search(r": \w", summary)


def test_only_alerts_that_exist_are_explained() -> None:
    """The runbook has no text for an alert that is gone."""
    assert sorted(re.findall(r"^### (ScaleEngine\w+)$", README, re.MULTILINE)) == NAMES


def test_the_metrics_exist() -> None:
    """The rules look at metrics that the exporter serves, and at Prometheus' and Python's own."""
    documented = (ROOT / "docs" / "metrics.md").read_text()
    served = set(re.findall(r"^\| `(scaleengine_\w+)`", documented, re.MULTILINE))
    asked = {
        name
        for rule in RULES
        for name in re.findall(r"(?<![:\w])scaleengine_\w+(?![:\w])", str(rule["expr"]))
    }
    assert asked
    assert asked <= served


def test_recording_rules_are_named_by_the_rule() -> None:
    """A recorded series is named level:metric:operation."""
    recorded = [str(rule["record"]) for rule in RULES if "record" in rule]
    assert [name for name in recorded if not re.fullmatch(r"\w+:\w+:\w+", name)] == []
    assert len(set(recorded)) == len(recorded)
