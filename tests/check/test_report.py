"""What a check prints: lines for a reader, one document for a script, and never a secret."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Protocol

import jsonschema
import pytest

from exporter.check.report import WRITERS, write_text
from exporter.check.results import CLOCK, NAME, CheckResult, Outcome, redact_result
from exporter.check.runner import CheckOptions, check
from exporter.scaleengine.redaction import SecretRedactor
from exporter.simulator import SimulatedAccount, Simulator, no_usage, steady_usage
from exporter.simulator.php import PhpValue
from exporter.terminal import Progress
from tests.support.fixtures import DescribeAccount, MakeSettings
from tests.support.sentences import FUTURE_DAY, NO_WHOLE_NUMBER


class PrintCheck(Protocol):
    """Check accounts, and return what that prints."""

    def __call__(
        self,
        *accounts: Mapping[str, object],
        output: str = "text",
        full: bool = False,
        warnings: tuple[str, ...] = (),
        **api: object,
    ) -> str: ...


HERE = Path(__file__).parent

OUTCOMES = ["ok", "warn", "fail", "not_tried"]
TEXT = {"type": ["string", "null"]}
NUMBER = {"type": ["number", "null"]}
TEXTS = {"type": "array", "items": {"type": "string"}}
FACTS: Mapping[str, Mapping[str, object]] = {
    "configuration": {},
    "proxy": {},
    "name": {"host": TEXT, "addresses": TEXTS},
    "connection": {
        "address": TEXT,
        "port": NUMBER,
        "seconds": NUMBER,
        "failed_addresses": TEXTS,
    },
    "certificate": {"expires": TEXT, "days_left": NUMBER},
    "clock": {"skew_seconds": NUMBER},
    "secrets": {},
    "key": {"command": {"enum": ["disk.usage", "files.list"]}},
    "disk_usage": {
        "cpu_users": TEXTS,
        "missing_cpu_users": TEXTS,
        "rejected_cpu_users": TEXTS,
        "rejected_rows": NUMBER,
        "newest_day": TEXT,
    },
    "files": {
        "files_in_first_answer": NUMBER,
        "folders_in_first_answer": NUMBER,
        "requests_estimated": NUMBER,
        "requests_allowed": NUMBER,
    },
    "demand": {
        "requests_per_hour_min": NUMBER,
        "requests_per_hour_max": NUMBER,
        "requests_per_hour_allowed": NUMBER,
    },
}
"""The text for each thing that went well."""

COST: Mapping[str, object] = {
    "requests": NUMBER,
    "requests_allowed": NUMBER,
    "requests_per_hour": NUMBER,
    "seconds": NUMBER,
    "response_bytes": NUMBER,
    "costliest_folders": {"type": "array"},
}
WHOLE_FACTS = {
    **FACTS,
    "disk_usage": {**FACTS["disk_usage"], **COST},
    "files": {"files": NUMBER, "folders": NUMBER, **COST},
}
"""The same, where each target is polled whole."""


def exactly(properties: Mapping[str, object]) -> Mapping[str, object]:
    """Return the schema of an object with all these keys and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


DOCUMENT = exactly(
    {
        "ok": {"type": "boolean"},
        "counts": exactly({outcome: {"type": "integer", "minimum": 0} for outcome in OUTCOMES}),
        "findings": {
            "type": "array",
            "items": exactly(
                {
                    "what": {"enum": list(FACTS)},
                    "account": TEXT,
                    "path": TEXT,
                    "file_type": TEXT,
                    "outcome": {"enum": OUTCOMES},
                    "detail": {"type": "string", "minLength": 1},
                    "advice": TEXT,
                    "reason": TEXT,
                    "facts": {"type": "object"},
                }
            ),
        },
    }
)


@pytest.fixture
def bad(main: DescribeAccount) -> tuple[Mapping[str, object], ...]:
    """Return three accounts: one with mistakes in what it polls, two with wrong credentials."""
    return (
        main(
            disk_usage={"cpu_users": ["web", "live"]},
            files={"paths": ["sestore4/jb", "sestore4/no", "sestore4/small"]},
        ),
        main(name="wrong key", api_key="APX4CANARYNOSUCHKEY"),
        main(name="wrong secret", api_secret="canary-of-another-account"),
    )


@pytest.fixture
def printed(settings: MakeSettings, scaleengine: Simulator) -> PrintCheck:
    """Return a function that checks accounts, and returns what that prints."""

    def run(
        *accounts: Mapping[str, object],
        output: str = "text",
        full: bool = False,
        warnings: tuple[str, ...] = (),
        **api: object,
    ) -> str:
        out, error = StringIO(), StringIO()
        asked = settings(scaleengine.url, *accounts, **api)
        check(
            asked,
            warnings,
            SecretRedactor(),
            CheckOptions(output, full=full),
            (out, Progress(error)),
        )
        assert error.getvalue() == ""
        return out.getvalue()

    return run


def steady(text: str) -> str:
    """Put names in the place of what differs from run to run."""
    for differing, name in (
        (r"port \d+, in \d+ ms", "port PORT, in N ms"),
        (r"newest day \d{4}-\d{2}-\d{2}", "newest day DAY"),
        (r"within \d+ s", "within N s"),
    ):
        text = re.sub(differing, name, text)
    return text


def test_a_good_run_has_a_line_for_each_check(printed: PrintCheck, main: DescribeAccount) -> None:
    """A good run has one line for each thing that was tried, and a sum."""
    assert steady(printed(main())) == (HERE / "good.txt").read_text()


def test_a_failure_is_marked_and_has_its_advice_below(
    printed: PrintCheck, bad: tuple[Mapping[str, object], ...]
) -> None:
    """What failed, or deserves a look, stands out, with the next step below it."""
    warnings = ("config.yaml:1:1: api.url: is odd",)
    text = printed(*bad, warnings=warnings, max_requests_per_poll=4)

    assert steady(text) == (HERE / "bad.txt").read_text()


@pytest.mark.parametrize(("full", "facts"), [(False, FACTS), (True, WHOLE_FACTS)])
def test_the_json_document_has_the_documented_keys(
    printed: PrintCheck,
    main: DescribeAccount,
    bad: tuple[Mapping[str, object], ...],
    full: bool,  # noqa: FBT001 - pytest gives it by name
    facts: Mapping[str, Mapping[str, object]],
) -> None:
    """The document for scripts has the keys that are documented, with what was seen."""
    for accounts in ((main(),), bad):
        document = json.loads(printed(*accounts, warnings=("is odd",), output="json", full=full))
        jsonschema.validate(document, DOCUMENT)
        for finding in document["findings"]:
            failed = finding["outcome"] in ("fail", "not_tried") and finding["what"] != "key"
            jsonschema.validate(finding["facts"], exactly({} if failed else facts[finding["what"]]))
            assert (finding["outcome"] == "fail") is (finding["reason"] is not None)
            assert finding["advice"] or finding["outcome"] != "fail"
        counts = document["counts"]
        assert sum(counts.values()) == len(document["findings"])
        assert document["ok"] is (counts["fail"] == 0)


def test_the_facts_are_those_of_the_account(
    printed: PrintCheck, bad: tuple[Mapping[str, object], ...]
) -> None:
    """The facts of users and paths are those of the simulated account."""
    before = datetime.now(UTC).date()
    findings = json.loads(printed(*bad, output="json"))["findings"]
    after = datetime.now(UTC).date()
    facts = {
        (finding["what"], finding["path"]): finding["facts"]
        for finding in findings
        if finding["facts"]
    }

    assert facts["disk_usage", None].pop("newest_day") in {str(before), str(after)}
    assert facts["disk_usage", None] == {
        "cpu_users": ["web"],
        "missing_cpu_users": ["live"],
        "rejected_cpu_users": [],
        "rejected_rows": 0,
    }
    assert facts["files", "sestore4/jb"] == {
        "files_in_first_answer": 100,
        "folders_in_first_answer": 0,
        "requests_estimated": 5,
        "requests_allowed": 5000,
    }
    assert facts["files", "sestore4/small"]["requests_estimated"] == 4


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("output", WRITERS)
def test_no_secret_is_printed(
    printed: PrintCheck,
    bad: tuple[Mapping[str, object], ...],
    output: str,
    full: bool,  # noqa: FBT001 - pytest gives it by name
) -> None:
    """No key and no secret, right or wrong, is printed."""
    assert "canary" not in printed(*bad, output=output, full=full).lower()


@pytest.mark.parametrize("output", WRITERS)
def test_a_secret_in_a_response_is_redacted(
    settings: MakeSettings, main: DescribeAccount, output: str, account: SimulatedAccount
) -> None:
    """A secret that ScaleEngine writes into a response is not printed either."""
    echoing = SimulatedAccount(
        account.cdn,
        account.api_key,
        account.api_secret,
        steady_usage({account.api_secret: 1, f"x{account.api_key.lower()}": 2}),
        account.storage,
    )
    out = StringIO()
    with Simulator([echoing]) as running:
        check(
            settings(running.url, main()),
            (),
            SecretRedactor(),
            CheckOptions(output),
            (out, Progress(StringIO())),
        )

    assert "canary" not in out.getvalue().lower()
    assert "***" in out.getvalue()


def test_a_few_users_are_named_and_control_characters_escaped(
    settings: MakeSettings, main: DescribeAccount, account: SimulatedAccount
) -> None:
    """A few users are named, and control characters in a name are escaped."""
    names = ["\x1b[31mred", "two\nlines", "\u202eback", *"abcdef"]
    odd = SimulatedAccount(
        account.cdn,
        account.api_key,
        account.api_secret,
        steady_usage(dict.fromkeys(names, 1)),
        account.storage,
    )
    out = StringIO()
    with Simulator([odd]) as running:
        check(
            settings(running.url, main()),
            (),
            SecretRedactor(),
            CheckOptions("text"),
            (out, Progress(StringIO())),
        )
    (line,) = [line for line in out.getvalue().splitlines() if "disk usage:" in line]

    assert "9 CPU users ('\\x1b[31mred', 'a', 'b', 'c', 'd' and 4 more), newest day " in line
    assert out.getvalue().replace("\n", "").isprintable()


def test_an_account_without_disk_usage_is_a_warning(
    settings: MakeSettings, main: DescribeAccount, account: SimulatedAccount
) -> None:
    """An account without any disk usage is to be looked at."""
    empty = SimulatedAccount(
        account.cdn, account.api_key, account.api_secret, storage=account.storage
    )
    out = StringIO()
    with Simulator([empty]) as running:
        assert check(
            settings(running.url, main()),
            (),
            SecretRedactor(),
            CheckOptions("text"),
            (out, Progress(StringIO())),
        )

    assert (
        "warn  main disk usage: no CPU user in the last thirty days\n"
        "      check cdn of account 'main', or set disk_usage.enabled to false\n"
    ) in out.getvalue()


def test_rejected_rows_are_named_with_their_users(
    settings: MakeSettings, main: DescribeAccount, account: SimulatedAccount
) -> None:
    """They are named, with the users that have no number because of them; no secret is."""
    today = datetime.now(UTC).date().isoformat()
    rows: list[PhpValue] = [
        {"summary_date": today, "cpu_user": "live", "bytes_total": None},
        {"summary_date": "2014-11-10", "cpu_user": f"x{account.api_secret}", "bytes_total": "?"},
        {"summary_date": "2099-01-01", "cpu_user": "web", "bytes_total": 1},
    ]
    odd = replace(account, odd_rows=rows)
    asked = main(disk_usage={"cpu_users": ["web", "live", "gone"]})
    out, document = StringIO(), StringIO()
    with Simulator([odd]) as running:
        assert check(
            settings(running.url, asked),
            (),
            SecretRedactor(),
            CheckOptions("text"),
            (out, Progress(StringIO())),
        )
        check(
            settings(running.url, asked),
            (),
            SecretRedactor(),
            CheckOptions("json"),
            (document, Progress(StringIO())),
        )
    (line, advice) = [
        line
        for line in steady(out.getvalue()).splitlines()
        if "disk usage:" in line or "support" in line
    ]

    assert line == (
        "warn  main disk usage: 1 CPU user ('web'), newest day DAY; "
        f"1 row rejected as future_day: ('web', 2099-01-01: {FUTURE_DAY}); "
        f"2 rows rejected as invalid_bytes: ('live', {today}: "
        f"bytes_total: {NO_WHOLE_NUMBER} null), ('x***', 2014-11-10: "
        f"bytes_total: {NO_WHOLE_NUMBER} a text), "
        "so there is no number of 'live'; ScaleEngine has nothing of 'gone'"
    )
    assert advice == (
        "      ask ScaleEngine's support; if the rows look right, report it; check cpu_users"
    )
    (facts,) = [
        finding["facts"]
        for finding in json.loads(document.getvalue())["findings"]
        if finding["what"] == "disk_usage"
    ]
    assert (facts["rejected_cpu_users"], facts["missing_cpu_users"], facts["rejected_rows"]) == (
        ["live"],
        ["gone"],
        3,
    )


@pytest.mark.parametrize(
    ("rows", "outcome", "text"),
    [
        ([None], Outcome.FAIL, "its only row cannot be read"),
        (
            [{"summary_date": "2014-11-10", "cpu_user": "web", "bytes_total": None}] * 2
            + [{"summary_date": "2014-11-09", "cpu_user": "web", "bytes_total": 1}],
            Outcome.WARN,
            "no CPU user with a number; 2 rows rejected as invalid_bytes: ",
        ),
    ],
)
def test_rejected_rows_only_are_a_failure(
    settings: MakeSettings,
    main: DescribeAccount,
    account: SimulatedAccount,
    rows: list[PhpValue],
    outcome: Outcome,
    text: str,
) -> None:
    """It is a failure where no row can be read, as it is of a poll."""
    out = StringIO()
    with Simulator([replace(account, usage=no_usage, odd_rows=rows)]) as running:
        check(
            settings(running.url, main()),
            (),
            SecretRedactor(),
            CheckOptions("json"),
            (out, Progress(StringIO())),
        )
    (found,) = [
        finding
        for finding in json.loads(out.getvalue())["findings"]
        if finding["what"] == "disk_usage"
    ]

    assert found["outcome"] == outcome
    assert found["detail"].startswith(text)


def test_characters_that_the_stream_cannot_encode_are_escaped() -> None:
    """What the stream has no letters for is escaped; what is no text for a reader too."""
    written = BytesIO()
    stream = TextIOWrapper(written, encoding="ascii")
    write_text([CheckResult(NAME, Outcome.OK, "é \x1b[31m \ud800 [red]")], stream)
    stream.flush()

    assert written.getvalue() == b"ok    name: \\xe9 \\u001b[31m \\ud800 [red]\n1 ok\n"


def test_a_long_line_is_not_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long line is not broken, however narrow the screen is."""
    monkeypatch.setenv("COLUMNS", "20")
    out = StringIO()
    write_text([CheckResult(NAME, Outcome.FAIL, "long " * 20 + "end", "step " * 20 + "end")], out)

    assert len(out.getvalue().splitlines()) == 3


def test_each_line_is_printed_with_its_result() -> None:
    """Each line is printed as soon as its finding is made."""
    out = StringIO()

    def findings() -> Iterator[CheckResult]:
        yield CheckResult(NAME, Outcome.OK, "first")
        assert out.getvalue() == "ok    name: first\n"

    write_text(findings(), out)


class FakeTerminal(StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_one_line_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long line is cut, control characters are escaped, and the line is removed at the end."""
    monkeypatch.setenv("TERM", "xterm")
    screen = FakeTerminal()
    progress = Progress(screen)
    progress.show("a\x1b[31m\nb")
    progress.close()
    progress.show("more")

    assert screen.getvalue() == "\r\x1b[2K\x1b[?7ltrying a\\u001b[31m\\nb\x1b[?7h\r\x1b[2K"


def test_a_secret_in_the_advice_is_redacted() -> None:
    """The advice may quote what ScaleEngine said, as the detail does."""
    result = CheckResult(CLOCK, Outcome.WARN, "a key", "mind the key")
    redacted = redact_result(result, lambda text: text.replace("key", "*"))
    assert (redacted.detail, redacted.advice) == ("a *", "mind the *")
