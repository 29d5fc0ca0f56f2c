"""The numbers that the dashboard shows, asked of Prometheus' own engine about a few known days."""

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which

import pytest
import yaml

from monitoring.dashboard.__main__ import FILE
from monitoring.dashboard.queries import panel_queries
from tests.support.waiting import TIMEOUT

PROMTOOL = which("promtool")
WRITTEN = json.loads(FILE.read_text(encoding="utf-8"))
DAYS = 9
HOURS = DAYS * 24


def usage(account: str, user: str) -> str:
    return f'scaleengine_disk_usage_bytes{{account="{account}",cpu_user="{user}"}}'


def quota(account: str, user: str) -> str:
    return usage(account, user).replace("usage", "quota")


def files(path: str, *, file_type: str = "video", instance: str = "one") -> str:
    labels = f'account="main",path="{path}",file_type="{file_type}",instance="{instance}"'
    return f"scaleengine_files{{{labels}}}"


def folder(name: str) -> str:
    labels = f'account="main",path="sestore4/jb",file_type="video",folder="{name}"'
    return f"scaleengine_folder_files{{{labels}}}"


def poll(name: str, path: str) -> str:
    labels = f'account="main",collector="files",path="{path}",file_type="video"'
    return f"scaleengine_poll_{name}{{{labels}}}"


def steady(value: float) -> str:
    """Return hourly samples of one value."""
    return f"{value}x{HOURS}"


def daily(*values: int) -> str:
    """Return hourly samples of one value a day, and of the last as a new day begins."""
    *days, today = values
    assert len(days) == DAYS
    return " ".join(f"{value}x23" for value in days) + f" {today}"


def growing(start: int, by: int) -> str:
    return daily(*range(start, start + (DAYS + 1) * by, by))


@dataclass(frozen=True, slots=True)
class Case:
    """Samples of each hour of nine days, and what a panel's expression then is at their end."""

    sentence: str
    panel: str
    samples: dict[str, str]
    expected: dict[str, float]
    ref: str = "A"
    chosen: dict[str, str] = field(default_factory=dict)


WHOLE_AND_USERS = {
    usage("both", ""): steady(100),
    usage("both", "live"): steady(30),
    usage("both", "series"): steady(40),
    usage("users", "live"): steady(5),
    usage("users", "series"): steady(6),
    usage("whole", ""): steady(7),
    usage("rest", ""): steady(1),
    usage("rest", "live"): steady(50),
}
GROWTH = {
    usage("main", "live"): growing(100, 10),
    quota("main", "live"): steady(300),
    usage("main", "over"): growing(400, 1),
    quota("main", "over"): steady(300),
    usage("main", "shrinking"): daily(10, 9, 8, 7, 6, 5, 4, 3, 2, 1),
    quota("main", "shrinking"): steady(300),
    usage("main", "no quota"): growing(0, 10),
}
LATE = {
    poll("interval_seconds", "on time"): steady(900),
    poll("last_success_timestamp_seconds", "on time"): steady(HOURS * 3600 - 900),
    poll("interval_seconds", "late"): steady(900),
    poll("last_success_timestamp_seconds", "late"): steady(HOURS * 3600 - 2700),
    poll("interval_seconds", "never"): steady(900),
}
USERS = 'account="main",cpu_user='
CASES = (
    Case(
        "the empty name counts, or the others, or what of both is more",
        "Stored, at least",
        WHOLE_AND_USERS,
        {"{}": 100 + 11 + 7 + 50},
    ),
    Case(
        "the accounts that are chosen count",
        "Stored, at least",
        WHOLE_AND_USERS,
        {"{}": 100 + 7},
        chosen={"account": "(both|whole)"},
    ),
    Case(
        "an account that has come since is no growth",
        "Stored, in a week",
        {
            usage("old", "live"): growing(100, 10),
            usage("new", "live"): f"_x{HOURS - 10} 500x10",
        },
        {"{}": 70},
    ),
    Case(
        "two exporters of one account show it once",
        "Files",
        {files("sestore4/jb"): steady(7), files("sestore4/jb", instance="two"): steady(7)},
        {'{file_type="video"}': 7},
    ),
    Case(
        "paths inside another count once, file types by themselves, a like name is no path inside",
        "Files",
        {
            files("sestore4/jb"): steady(1000),
            files("sestore4/jb/archive"): steady(400),
            files("sestore4/jb/a/b/c"): steady(30),
            files("sestore4/jb2"): steady(5),
            files("sestore4/jb/archive", file_type="invalid"): steady(2),
        },
        {'{file_type="video"}': 1005, '{file_type="invalid"}': 2},
    ),
    Case(
        "a path inside another counts where the other is not chosen",
        "Files",
        {files("sestore4/jb"): steady(1000), files("sestore4/jb/archive"): steady(400)},
        {'{file_type="video"}': 400},
        chosen={"path": "sestore4/jb/archive"},
    ),
    Case(
        "accounts that are down are counted",
        "Accounts",
        {
            'scaleengine_up{account="a"}': steady(1),
            'scaleengine_up{account="b"}': steady(0),
        },
        {"{}": 1},
        ref="B",
    ),
    Case(
        "no account down is 0, not absent",
        "Accounts",
        {'scaleengine_up{account="a"}': steady(1)},
        {"{}": 0},
        ref="B",
    ),
    Case("without an exporter nothing is said", "Accounts", {}, {}, ref="B"),
    Case(
        "accounts are counted whose key is refused for one command only",
        "Accounts",
        {
            **{f'scaleengine_up{{account="{name}"}}': steady(1) for name in "abcd"},
            **{
                f'scaleengine_credentials_accepted{{account="{name}",collector="{collector}"}}': (
                    steady(value)
                )
                for name, collector, value in (
                    ("a", "disk_usage", 0),
                    ("a", "files", 1),
                    ("b", "disk_usage", 1),
                    ("b", "files", 1),
                    ("c", "disk_usage", 0),
                    ("c", "files", 0),
                    ("d", "disk_usage", 1),
                    ("d", "files", 0),
                )
            },
        },
        {"{}": 2},
        ref="C",
    ),
    Case(
        "no key that is refused is 0, not absent",
        "Accounts",
        {'scaleengine_up{account="a"}': steady(1)},
        {"{}": 0},
        ref="C",
    ),
    Case("a late target and one that never succeeded", "Late targets", LATE, {"{}": 2}),
    Case("without an exporter no target is on time", "Late targets", {}, {}),
    Case("the age of the oldest", "Oldest numbers", LATE, {"{}": 2700}),
    Case("who is over it already", "First quota full", GROWTH, {"{}": 0}),
    Case(
        "the quota is full after what is left, at a week's growth; not for who shrinks",
        "CPU users",
        GROWTH,
        {f'{{{USERS}"live"}}': (300 - 190) / 10, f'{{{USERS}"over"}}': 0},
        ref="F",
    ),
    Case(
        "where each is in thirty days, and never below nothing",
        "Forecast: disk usage 30 days later",
        GROWTH,
        {
            f'{{{USERS}"live"}}': 190 + 300,
            f'{{{USERS}"over"}}': 409 + 30,
            f'{{{USERS}"shrinking"}}': 0,
            f'{{{USERS}"no quota"}}': 90 + 300,
        },
    ),
    Case(
        "six days of numbers are no forecast",
        "Forecast: disk usage 30 days later",
        {usage("main", "live"): f"_x{3 * 24} 1x{6 * 24}"},
        {},
    ),
    Case(
        "named users before an empty name; the empty name of an account without others",
        "Disk usage by CPU user",
        WHOLE_AND_USERS,
        {
            '{account="rest",cpu_user="live"}': 50,
            '{account="both",cpu_user="series"}': 40,
            '{account="both",cpu_user="live"}': 30,
            '{account="whole",cpu_user="(empty name)"}': 7,
        },
        chosen={"top": "4"},
    ),
    Case(
        "the quota of the empty name, where there is one",
        "Disk usage by account",
        WHOLE_AND_USERS | {quota("whole", ""): steady(90), quota("users", "live"): steady(80)},
        {'{account="whole"}': 90},
        ref="B",
    ),
    Case(
        "what a folder has gained; one that is new has no change",
        "Folders",
        {folder("old"): growing(10, 3), folder("new"): f"_x{HOURS - 5} 50x5"},
        {'{account="main",path="sestore4/jb",file_type="video",folder="old"}': 3},
        ref="B",
    ),
    Case(
        "what a folder has gained in a week",
        "Folders",
        {folder("old"): growing(10, 3)},
        {'{account="main",path="sestore4/jb",file_type="video",folder="old"}': 21},
        ref="C",
    ),
    Case(
        "the clocks that are farthest off, either way",
        "Clock skew",
        {
            f'scaleengine_api_clock_skew_seconds{{account="{name}"}}': steady(skew)
            for name, skew in (("slow", -40), ("fast", 5), ("right", 0))
        },
        {'{account="slow"}': -40, '{account="fast"}': 5},
        chosen={"top": "2"},
    ),
)


@pytest.mark.skipif(
    PROMTOOL is None and not os.environ.get("CI"),
    reason="promtool is not installed; CI installs it",
)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.panel}: {case.sentence}")
def test_each_panel_shows_the_right_number(case: Case, tmp_path: Path) -> None:
    """Each panel's number is what one would count by hand."""
    assert PROMTOOL is not None, "promtool is missing: install Prometheus"
    (expression,) = (
        query.expression
        for query in panel_queries(WRITTEN, case.chosen)
        if (query.panel, query.ref) == (case.panel, case.ref)
    )
    asked = {
        "expr": expression,
        "eval_time": f"{HOURS}h",
        "exp_samples": [
            {"labels": labels, "value": value} for labels, value in case.expected.items()
        ],
    }
    test = {
        "interval": "1h",
        "input_series": [
            {"series": series, "values": values} for series, values in case.samples.items()
        ],
        "promql_expr_test": [asked],
    }
    file = tmp_path / "numbers.yml"
    file.write_text(yaml.safe_dump({"tests": [test]}))

    checked = subprocess.run(  # noqa: S603 - the program is promtool, found on the path
        [PROMTOOL, "test", "rules", str(file)], capture_output=True, check=False, timeout=TIMEOUT
    )

    assert checked.returncode == 0, checked.stderr.decode()
