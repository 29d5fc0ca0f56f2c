"""What a backfill can be asked for, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from exporter.backfill.options import (
    BackfillOptions,
    Destination,
    FirstDay,
    find_problems,
    parse_day,
    parse_first_day,
    parse_label,
    parse_moment,
    parse_step,
)
from exporter.backfill.windows import midnight
from tests.backfill.conftest import NOW
from tests.support.command_line import read_command_line, read_wrong_command_line
from tests.support.sentences import BARE_NUMBER, NO_DAY, NO_DURATION, NO_LABEL, NO_STEP

GOOD = BackfillOptions(
    FirstDay(date(2026, 1, 1)), None, (), 3600, (("job", "x"),), Destination(Path("h.om"))
)


@pytest.mark.parametrize(
    ("parse", "text", "sentence"),
    [
        (parse_day, "2026-02-30", "'2026-02-30' is no day of the calendar"),
        (parse_day, "01.02.2026", f"'01.02.2026' {NO_DAY}"),
        (parse_day, "20260131", f"'20260131' {NO_DAY}"),
        (parse_day, "", f"'' {NO_DAY}"),
        (parse_day, "२०२६-०१-०१", f"'२०२६-०१-०१' {NO_DAY}"),
        (
            parse_day,
            "1999-12-31",
            "'1999-12-31' is before 2000-01-01, the earliest day that is asked for",
        ),
        (parse_moment, "2026-13-01T00:00Z", "'2026-13-01T00:00Z' is no time of the calendar"),
        (
            parse_moment,
            "2026-01-31T15:00",
            "'2026-01-31T15:00' is no time with a zone: write it as 2026-01-31T15:00Z",
        ),
        (
            parse_moment,
            "1970-01-01T00:00Z",
            "'1970-01-01T00:00Z' is before 2000-01-01, the earliest day that is asked for",
        ),
        (parse_step, "30s", f"'30s' {NO_STEP}"),
        (parse_step, "25h", f"'25h' {NO_STEP}"),
        (parse_step, "1m1ms", f"'1m1ms' {NO_STEP}"),
        (parse_step, "0s", f"'0s' {NO_STEP}"),
        (
            parse_step,
            "60",
            f"{NO_DURATION}: {BARE_NUMBER}",
        ),
        (parse_label, "job", f"'job' {NO_LABEL}"),
        (parse_label, "1job=x", f"'1job=x' {NO_LABEL}"),
        (parse_label, "job=", "'job=' has no value"),
        (parse_label, "job=\udcff", r"'job=\udcff' is not UTF-8: write it in UTF-8"),
        (parse_label, "account=x", "'account=x': the label account cannot be set"),
        (parse_label, "__name__=x", "'__name__=x': the label __name__ cannot be set"),
    ],
)
def test_wrong_values_are_refused_with_a_message(
    parse: Callable[[str], object], text: str, sentence: str
) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse(text)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("text", ["0d", "1h", "36h", "40y", "soon", "-1d", "1d-"])
def test_wrong_spans_of_from_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be whole days|is no day"):
        parse_first_day(text, NOW)


def test_values_are_parsed() -> None:
    assert parse_first_day("2026-01-31", NOW) == FirstDay(date(2026, 1, 31))
    assert parse_first_day("1d", NOW) == FirstDay(date(2026, 11, 21), 1)
    assert parse_first_day("1y", NOW) == FirstDay(date(2025, 11, 22), 365)
    midnight_today = midnight(date(2026, 11, 22))
    assert parse_first_day("1d", midnight_today) == FirstDay(date(2026, 11, 21), 1)
    assert parse_first_day("1d", midnight_today - 1) == FirstDay(date(2026, 11, 20), 1)
    assert parse_moment("2026-11-22") == midnight(date(2026, 11, 22))
    assert parse_moment("2026-11-22T16:00+01:00") == NOW
    assert parse_moment("2026-11-22T15:00:00Z") == NOW
    assert parse_step("1d") == 86_400
    assert parse_label("instance=a=b") == ("instance", "a=b")


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"end": NOW + 1}, "--to is in the future: leave it out for the start of today"),
        (
            {"start": FirstDay(date(2026, 11, 22))},
            "--from must be before the start of today, and 2026-11-22 is not",
        ),
        (
            {"start": FirstDay(date(2026, 3, 1)), "end": midnight(date(2026, 3, 1))},
            "--from must be before --to, and 2026-03-01 is not",
        ),
        ({"labels": (("job", "a"), ("job", "b"))}, "--label has job twice: remove one"),
        (
            {"accounts": ("main", "mian")},
            "--account: there is no account 'mian' with disk usage (known: main, shop)",
        ),
        (
            {"destination": Destination()},
            "nothing says where to write: set --output=FILE, --output=- or --to-tsdb=DIR",
        ),
        (
            {"destination": Destination(stream=True, tsdb=Path("x"))},
            "--to-tsdb and --output=- exclude each other: leave one out",
        ),
        (
            {"destination": Destination(stream=True, resume=True)},
            "--resume needs a file: a run with --output=- leaves nothing to continue",
        ),
    ],
)
def test_options_that_contradict_each_other_are_a_problem(
    changed: dict[str, object], problem: str
) -> None:
    options = replace(GOOD, **changed)  # type: ignore[arg-type]
    assert list(find_problems(options, ["main", "shop"], NOW)) == [problem]
    assert list(find_problems(GOOD, ["main", "shop"], NOW)) == []


def test_flags_of_the_command_line_are_parsed() -> None:
    flags = read_command_line(
        "backfill",
        "--from=2026-01-01",
        "--to=2026-02-01",
        "--account=a",
        "--account=b",
        "--step=6h",
        "--label=job=x",
        "--label=instance=y:1",
        "--output=-",
        "--overwrite",
    ).flags
    assert flags["start"] == FirstDay(date(2026, 1, 1))
    assert flags["end"] == midnight(date(2026, 2, 1))
    assert flags["account"] == ("a", "b")
    assert (flags["step"], flags["output"]) == (21_600, "-")
    assert flags["label"] == (("job", "x"), ("instance", "y:1"))
    assert (flags["overwrite"], flags["resume"], flags["demo"]) == (True, False, False)


def test_flags_have_defaults() -> None:
    _, command, flags = read_command_line("backfill")
    assert command == "backfill"
    assert (flags["start"], flags["end"], flags["account"]) == (None, None, ())
    assert (flags["step"], flags["label"], flags["output"]) == (3600, (), None)


def test_output_means_a_format_for_check_and_a_file_for_backfill() -> None:
    """`--output` is a form for the check, and a file for the backfill, before its name too."""
    assert read_command_line("--output=h.om", "backfill").flags["output"] == "h.om"
    assert read_command_line("--output=json", "check").flags["output"] == "json"


@pytest.mark.parametrize(
    ("flag", "value", "sentence"),
    [
        (
            "from",
            "yesterday",
            f"'yesterday' {NO_DAY}, or how far back it is as 90d",
        ),
        ("to", "2026-1-1", f"'2026-1-1' {NO_DAY}"),
        ("step", "1w", f"'1w' {NO_STEP}"),
        ("label", "x", f"'x' {NO_LABEL}"),
        ("output", "", "'' is empty: write a value, or leave the flag out"),
    ],
)
def test_mistakes_on_the_command_line_name_the_flag(
    flag: str, value: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    message = read_wrong_command_line(capsys, "backfill", f"--{flag}={value}")
    assert message == f"Invalid value for --{flag}: {sentence}"
