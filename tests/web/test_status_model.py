"""The status of each state of the targets, and its JSON."""

import json
import random
from array import array
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pydantic
import pytest
from jsonschema import Draft202012Validator

from exporter.polling.request_log import FolderCost, PollTrace, RequestRecord
from exporter.polling.snapshots import DiskUsageSnapshot, FileCounts
from exporter.polling.store import TargetState
from exporter.polling.targets import DiskUsageTarget, FilesTarget
from exporter.scaleengine.errors import Reason
from exporter.scaleengine.redaction import SecretRedactor
from exporter.web.status.building import build_account, build_overview
from exporter.web.status.json_document import SCHEMA_FILE, format_status_schema, write_status_json
from exporter.web.status.observation import ConfiguredAccount, Observation
from exporter.web.status.rendering import PageLinks, View, render_page
from exporter.web.status.status_model import AccountStatus, Severity, State
from tests.support.observed import NOW, PROCESS, WALL_OFFSET, observe
from tests.support.status_scenes import SCENES, TODAY, failed, polled, user

USAGE = DiskUsageTarget("main", 3600, 10800)
FILES = FilesTarget("main", 900, 2700, "sestore4/jb", "video", 1)
COUNTS = FileCounts(7, 2)
TIME = datetime.fromtimestamp(NOW + WALL_OFFSET, UTC)
SECRET = "8fc8c48da81e6a2a06a9556379bf798a"
RNG = random.Random(1)
DESCRIBES_DATACLASSES = tuple(map(int, pydantic.VERSION.split(".")[:2])) >= (2, 13)
"""Earlier, pydantic takes no description from the docstring of a dataclass with slots."""


def drop_descriptions(schema: object) -> object:
    """Return a JSON Schema without what describes its types."""
    match schema:
        case dict():
            return {
                key: drop_descriptions(value)
                for key, value in schema.items()
                if not (key == "description" and isinstance(value, str))
            }
        case list():
            return [drop_descriptions(item) for item in schema]
    return schema


def main(seen: Observation) -> AccountStatus:
    """Return all that is shown of the account main."""
    return build_account(seen, seen.accounts["main"])


def document(seen: Observation, account: str | None = None) -> bytes:
    """Return the document about all accounts, or one."""
    parts = write_status_json(seen, account)
    assert parts is not None
    return b"".join(parts)


def problems(scene: str) -> list[tuple[str, str | None, str, tuple[str, ...]]]:
    """Return what is wrong in a scene."""
    found = build_overview(SCENES[scene]).problems
    return [
        (problem.severity.value, problem.account, problem.reason, problem.subjects)
        for problem in found
    ]


@pytest.mark.parametrize(
    ("scene", "state", "targets", "failing"),
    [
        ("well", State.OK, 6, 0),
        ("some", State.STALE, 6, 2),
        ("failing", State.STALE, 6, 6),
        ("waiting", State.WAITING, 2, 0),
        ("thousand", State.FAILING, 6000, 31),
    ],
)
def test_the_overall_state_is_the_worst_of_a_target(
    scene: str, state: State, targets: int, failing: int
) -> None:
    """It is the worst state of any target."""
    overview = build_overview(SCENES[scene])
    assert (overview.state, overview.exporter.targets) == (state, targets)
    assert sum(summary.failing_targets for summary in overview.summaries) == failing


def test_a_good_state_has_no_problem() -> None:
    """Where all is well, and before the first polls, there is no problem."""
    assert problems("well") == problems("waiting") == []


def test_missing_numbers_are_an_error_and_old_ones_a_warning() -> None:
    """It is an error where numbers are missing, and a warning where the last ones are served."""
    assert problems("some") == [
        ("error", "main", "api", ("sestore4/archive video",)),
        ("warning", "main", "timeout", ("sestore4/jb video",)),
        ("warning", "main", "quota", ("archive",)),
        ("warning", "region", "rejected_rows", ("old",)),
    ]


def test_one_cause_is_one_problem() -> None:
    """Targets of an account that fail for one cause are one problem; the exporter's come first."""
    first_three = [problem[2:] for problem in problems("failing")[:3]]
    assert first_three == [
        ("thread", ("publish",)),
        ("configuration", ("/etc/scaleengine-exporter/config.yaml",)),
        ("web_configuration", ("web configuration",)),
    ]
    (refused,) = (
        problem
        for problem in build_overview(SCENES["failing"]).problems
        if problem.reason == "auth"
    )
    assert refused.subjects == (
        "disk usage",
        "sestore4/jb video",
        "sestore4/jb invalid",
        "sestore4/archive video",
    )
    assert refused.cause == "the key was refused (code 0001)"
    assert refused.since == TIME - timedelta(seconds=36030)


@pytest.mark.parametrize(
    ("ago", "is_failing", "state", "files"),
    [
        (2700.0, False, State.OK, 7),
        (2700.0, True, State.FAILING, 7),
        (2701.0, True, State.STALE, None),
        (2701.0, False, State.STALE, None),
    ],
)
def test_a_number_is_shown_while_it_is_served(
    ago: float, *, is_failing: bool, state: State, files: int | None
) -> None:
    """A number is shown for as long as it is served."""
    known = polled(FILES, COUNTS, ago)
    seen = observe({"main": [failed(known, 1) if is_failing else known]})
    account = main(seen)
    assert (account.files[0].schedule.state, account.files[0].files) == (state, files)
    assert (account.summary.state, account.summary.files) == (state, files)


def of_users(*users: tuple[str, int], quotas: dict[str, int] | None = None) -> Observation:
    """Return what is seen of an account with these CPU users and their bytes."""
    usage = DiskUsageSnapshot(
        tuple(replace(user(RNG, name, size), packed_days=b"") for name, size in users)
    )
    return observe({"main": [polled(USAGE, usage)]}, [ConfiguredAccount("main", 158, quotas or {})])


def test_a_user_has_changes_of_a_day_a_week_and_29_days() -> None:
    """They are those since a day, a week and 29 days before; None where that day is missing."""
    sizes = [10 * age if age not in {7, 20} else -1 for age in range(29, 0, -1)]

    one = replace(user(RNG, "web", 5), packed_days=array("q", sizes).tobytes())
    account = main(observe({"main": [polled(USAGE, DiskUsageSnapshot((one,)))]}))
    assert account.disk_usage is not None
    assert account.disk_usage.users is not None
    changes = account.disk_usage.users[0].changes
    assert (changes.day, changes.week, changes.month) == (5 - 10, None, 5 - 290)
    assert account.disk_usage.users[0].day == TODAY


def test_users_are_sorted_by_size() -> None:
    """The largest is the first."""
    account = main(of_users(("a", 1), ("", 900), ("b", 3)))
    assert account.disk_usage is not None
    assert [user.cpu_user for user in account.disk_usage.users or ()] == ["", "b", "a"]


@pytest.mark.parametrize(
    ("users", "size"),
    [
        ([("a", 1), ("", 900), ("b", 3)], 900),
        ([("a", 1), ("", 2), ("b", 3)], 4),
        ([("", 900)], 900),
        ([("a", 1)], 1),
    ],
)
def test_the_user_without_a_name_is_not_added(users: list[tuple[str, int]], size: int) -> None:
    """The user without a name is not added to the others: what is stored in any case is shown."""
    summary = main(of_users(*users)).summary
    assert (summary.users, summary.bytes) == (len(users), size)


@pytest.mark.parametrize(
    ("size", "found"), [(84, []), (85, ["warning"]), (99, ["warning"]), (100, ["error"])]
)
def test_a_nearly_full_quota_is_a_problem(size: int, found: list[str]) -> None:
    """From 85 % on it is a problem, and at 100 % an error."""
    overview = build_overview(of_users(("web", size), ("other", 1), quotas={"*": 100}))
    assert [str(problem.severity) for problem in overview.problems] == found
    assert Severity.ERROR < Severity.WARNING  # the errors come first


def test_the_share_of_the_rate_limit_is_that_of_the_demand() -> None:
    """It is that of the requests which polls like the last good ones need."""
    known = [polled(USAGE, DiskUsageSnapshot(()), requests=2), polled(FILES, COUNTS, requests=400)]
    account = main(observe({"main": known}))
    assert account.requests_per_hour == 2 + 4 * 400
    assert account.rate_limit_share == round(1602 / (5 * 3600), 4)
    assert account.disk_usage is not None
    schedules = [account.disk_usage.schedule, account.files[0].schedule]
    assert [schedule.requests_per_hour for schedule in schedules] == [2, 1600]
    assert [schedule.rate_limit_share for schedule in schedules] == [0.0001, 0.0889]
    account = main(observe({"main": [known[0], failed(known[1], 1)]}))
    assert account.requests_per_hour == 1602
    account = main(observe({"main": [known[0], TargetState(FILES)]}))
    assert (account.requests_per_hour, account.rate_limit_share) == (None, None)
    account = main(replace(observe({"main": known}), requests_per_second=None))
    assert (account.requests_per_hour, account.rate_limit_share) == (1602, None)


@pytest.mark.parametrize("requests_per_second", [0.48, 0.1])
def test_a_demand_near_the_rate_limit_is_a_problem(requests_per_second: float) -> None:
    """From nine tenths of the rate limit on it is a problem, of the target that needs most."""
    known = [polled(USAGE, DiskUsageSnapshot(()), requests=2), polled(FILES, COUNTS, requests=400)]
    seen = observe({"main": known})
    (problem,) = build_overview(replace(seen, requests_per_second=requests_per_second)).problems
    assert (problem.reason, problem.severity, problem.subjects) == (
        "demand",
        Severity.WARNING,
        ("sestore4/jb video",),
    )
    assert build_overview(replace(seen, requests_per_second=0.55)).problems == ()


def test_a_poll_that_hangs_is_a_problem_once_numbers_are_stale() -> None:
    """Where numbers have become too old without a failure, that is the problem, since that time."""
    seen = observe({"main": [polled(FILES, COUNTS, 2760.0)]})
    (problem,) = build_overview(seen).problems
    assert (problem.reason, problem.severity) == ("overdue", Severity.ERROR)
    assert problem.subjects == ("sestore4/jb video",)
    assert problem.since == TIME - timedelta(seconds=60)


def test_a_file_name_that_is_not_utf8_is_shown() -> None:
    """A page can be sent for any name of the configuration file."""
    process = replace(PROCESS, config_file="/etc/\udcff.yaml")
    seen = observe(process=process)
    assert rb"/etc/\\udcff.yaml" in document(seen)
    assert rb"/etc/\udcff.yaml" in (
        render_page(seen, View(), PageLinks("metrics", config=False)) or b""
    )


def test_secrets_are_in_no_text() -> None:
    """Names and causes that hold a secret of any account are shown without it."""
    secrets = SecretRedactor()
    secrets.register(SECRET)
    bad = failed(polled(FILES, COUNTS), 0)
    assert bad.last is not None
    bad = replace(bad, last=replace(bad.last, cause=f"it said {SECRET}"))
    usage = polled(USAGE, DiskUsageSnapshot((user(RNG, f"x{SECRET}", 5),)))
    seen = observe({"main": [usage, bad]}, redact=secrets.redact)
    shown = document(seen).decode()
    assert SECRET not in shown
    assert shown.count("***") == 3


def test_the_schema_is_current() -> None:
    """The schema that is installed is that of the model; `make schema` writes it."""
    installed, current = SCHEMA_FILE.read_text(encoding="utf-8"), format_status_schema()
    if DESCRIBES_DATACLASSES:
        assert installed == current
    assert drop_descriptions(json.loads(installed)) == drop_descriptions(json.loads(current))
    Draft202012Validator.check_schema(json.loads(current))


@pytest.mark.parametrize("scene", sorted(SCENES.keys() - {"thousand"}))
def test_the_document_is_valid_by_its_schema(scene: str) -> None:
    """The JSON of every state is valid, and has nothing that the schema does not describe."""
    schema = json.loads(format_status_schema())
    for section in (schema, *schema["$defs"].values()):
        if section.get("type") == "object":
            section["additionalProperties"] = False
    found = json.loads(document(SCENES[scene]))
    Draft202012Validator(schema).validate(found)
    assert found["time"] == TIME.isoformat().replace("+00:00", "Z")


def test_the_document_of_one_account_has_its_problems_only() -> None:
    """It has that account and its problems alone; there is none of an unknown account."""
    found = json.loads(document(SCENES["some"], "region"))
    assert [account["summary"]["name"] for account in found["accounts"]] == ["region"]
    assert [problem["account"] for problem in found["problems"]] == ["region"]
    assert (found["state"], found["exporter"]["targets"]) == ("failing", 6)
    assert write_status_json(SCENES["some"], "nobody") is None


def test_the_next_poll_is_the_scheduled_one() -> None:
    """It is in its schedule, and a problem has that of the target that comes first."""
    known = [
        failed(polled(USAGE, DiskUsageSnapshot(())), 1),
        failed(polled(FILES, COUNTS), 1, since=910.0),
    ]
    seen = observe({"main": known})
    (problem,) = build_overview(seen).problems
    assert problem.next_attempt == TIME + timedelta(seconds=890)
    account = main(seen)
    assert account.disk_usage is not None
    assert account.disk_usage.schedule.next_poll == TIME + timedelta(seconds=3570)
    assert account.files[0].schedule.next_poll == TIME + timedelta(seconds=890)


def test_the_requests_of_the_last_poll_are_redacted() -> None:
    """They are in the document of one account, with what others have named in plain text."""
    trace = PollTrace(
        (RequestRecord(0.5, 0.25, "sestore4/<b>", 7, 2, 200, "0004", Reason.SERVER, 93),),
        (FolderCost("sestore4/<b>", 3, 1.5),),
    )
    known = polled(FILES, COUNTS)
    assert known.last is not None
    seen = observe({"main": [replace(known, last=replace(known.last, trace=trace))]})

    def last_poll(account: str | None) -> dict[str, object]:
        document = json.loads(b"".join(write_status_json(seen, account) or ()))
        schedule = document["accounts"][0]["files"][0]["schedule"]
        found: dict[str, object] = schedule["last_poll"]
        return found

    assert last_poll(None)["last_requests"] == []
    assert last_poll("main")["costly_folders"] == [
        {"path": "sestore4/<b>", "requests": 3, "duration_seconds": 1.5}
    ]
    assert last_poll("main")["last_requests"] == [
        {
            "began_seconds": 0.5,
            "duration_seconds": 0.25,
            "path": "sestore4/<b>",
            "offset": 7,
            "attempt": 2,
            "status": 200,
            "code": "0004",
            "reason": "server",
            "response_bytes": 93,
        }
    ]
    page = (
        render_page(seen, View(account="main"), PageLinks("metrics", config=False)) or b""
    ).decode()
    assert "Requests of the last poll of sestore4/jb, video" in page
    assert "server (0004)" in page
    assert "sestore4/&lt;b&gt;" in page
    assert "<b>" not in page
