"""What a log line looks like: one line for each event, in logfmt or JSON, with any content."""

import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator

import pytest
import structlog
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from exporter.logs import configure_logging

Written = Callable[[], list[str]]

LEVELS = ["debug", "info", "warning", "error"]
LOGFMT = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^ "]*)(?: |$)')
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")

LOCALS = {"secret": "canary"}

any_text = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Leave logging as it was: what pytest set up, and the libraries' levels."""
    root, own, urllib3 = map(logging.getLogger, (None, "exporter", "urllib3"))
    before = root.handlers, root.level, own.level, urllib3.level
    yield
    root.handlers, root.level, own.level, urllib3.level = before
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Written:
    """Return a function that gives the lines written to standard error since it was last asked."""

    def lines() -> list[str]:
        out, err = capsys.readouterr()
        assert out == ""
        return list(err.removesuffix("\n").split("\n")) if err else []

    return lines


def fields(line: str) -> dict[str, str]:
    """Read a line of logfmt, as strictly as readers do; every character must belong to a field."""
    found = list(LOGFMT.finditer(line))
    assert "".join(match[0] for match in found) == line
    return {match[1]: match[2] for match in found}


def fail(text: str) -> None:
    """Raise an error whose text does not hold what it was given."""
    raise ValueError(f"{len(text)} letters")


def ours() -> structlog.stdlib.BoundLogger:
    """Return a log of the exporter's own."""
    log: structlog.stdlib.BoundLogger = structlog.get_logger("exporter.polling.poller")
    return log


@pytest.mark.parametrize(
    ("level", "heard"),
    [("debug", LEVELS), ("info", LEVELS[1:]), ("warn", LEVELS[2:]), ("error", LEVELS[3:])],
)
@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_events_below_the_level_are_not_logged(
    written: Written, level: str, heard: list[str], form: str
) -> None:
    """What is below the level that was asked for is not written."""
    configure_logging(level, form, str)
    for written_level in LEVELS:
        getattr(ours(), written_level)(f"at {written_level}")
    lines = written()
    assert len(lines) == len(heard)
    for line, expected in zip(lines, heard, strict=True):
        parsed = json.loads(line) if form == "json" else fields(line)
        assert parsed["level"] == expected
        assert parsed["msg"].strip('"') == f"at {expected}"


@pytest.mark.parametrize(
    ("level", "heard"),
    [("debug", LEVELS[2:]), ("info", LEVELS[2:]), ("warn", LEVELS[2:]), ("error", LEVELS[3:])],
)
def test_libraries_log_from_warnings_on(written: Written, level: str, heard: list[str]) -> None:
    """Events of libraries are logged from warnings on, at most: below that are their internals."""
    configure_logging(level, "logfmt", str)
    for written_level in LEVELS:
        getattr(logging.getLogger("aiohttp.server"), written_level)("at %s", written_level)
    assert [fields(line)["msg"].strip('"') for line in written()] == [
        f"at {heard_level}" for heard_level in heard
    ]


@pytest.mark.parametrize("level", ["debug", "warn"])
def test_warnings_of_urllib3_are_dropped(written: Written, level: str) -> None:
    """What urllib3 warns of is left out: it fails a request with a sentence, or does no harm."""
    configure_logging(level, "logfmt", str)
    logging.getLogger("urllib3.connection").warning("Failed to parse headers")
    logging.getLogger("urllib3.connectionpool").warning("Connection pool is full")

    assert written() == []


def test_warnings_of_python_are_log_lines(written: Written) -> None:
    """A warning that a library issues without the log is a line of the log."""
    configure_logging("info", "logfmt", str)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure_logging("info", "logfmt", str)
        warnings.warn("System time is way off\nreally", UserWarning, stacklevel=1)
    (line,) = written()

    assert fields(line)["level"] == "warning"
    assert "System time is way off" in fields(line)["msg"]


def test_a_logfmt_line_begins_with_time_level_and_message(written: Written) -> None:
    """A line of logfmt begins with time, level and message; then come the fields in their order."""
    configure_logging("info", "logfmt", str)
    ours().info("poll", account="main", files=3, cause='no "way"', empty="", none=None)
    (line,) = written()
    time, rest = line.split(" ", 1)
    assert TIME.fullmatch(time.removeprefix("ts="))
    assert rest == (r'level=info msg=poll account=main files=3 cause="no \"way\"" empty=')


def test_the_result_of_a_poll_follows_its_event(written: Written) -> None:
    """A search for ``poll result=failed`` finds the polls that failed."""
    configure_logging("info", "logfmt", str)
    ours().bind(account="main").warning("poll", duration="1s", result="failed")
    (line,) = written()
    assert line.endswith("level=warning msg=poll result=failed account=main duration=1s")


def test_a_json_line_has_the_same_fields(written: Written) -> None:
    """A line of JSON holds the same, numbers as numbers and letters as they are."""
    configure_logging("info", "json", str)
    ours().info("poll", account="büro", files=3, none=None)
    (line,) = written()
    parsed = json.loads(line)
    assert TIME.fullmatch(parsed.pop("ts"))
    expected = {"level": "info", "msg": "poll", "account": "büro", "files": 3}
    assert parsed == expected
    assert "büro" in line


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_events_of_libraries_have_the_same_format(written: Written, form: str) -> None:
    """Events of a library have the format of the exporter's, traceback included."""
    configure_logging("info", form, str)
    try:
        fail("four")
    except ValueError:
        logging.getLogger("asyncio").exception("Task %s", "failed")
    (line,) = written()
    parsed = json.loads(line) if form == "json" else fields(line)
    assert TIME.fullmatch(parsed["ts"])
    assert parsed["level"] == "error"
    assert parsed["msg"].strip('"') == "Task failed"
    assert parsed["exception"].strip('"').startswith("Traceback (most recent call last):")
    assert "ValueError: 4 letters" in parsed["exception"]


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_a_traceback_is_one_field_without_local_variables(written: Written, form: str) -> None:
    """A traceback is one fact of one line, and shows no local variables, which may be secret."""
    configure_logging("info", form, str)
    try:
        fail(LOCALS["secret"])
    except ValueError:
        ours().exception("a defect")
    (line,) = written()
    assert "ValueError: 6 letters" in line
    assert "canary" not in line


@pytest.mark.parametrize("library", [False, True], ids=["ours", "library"])
@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(message=any_text, fact=any_text)
@example(message="a\nts=0 level=error msg=x", fact="a\r\nb")
@example(message="a\rb", fact="\x1b[2J\x85\u2028\u2029\x0b\x0c\t\x7f\x00")
@example(message='"', fact='" x="')
@example(message="100% %s %d", fact="\\")
def test_any_event_is_one_line(written: Written, message: str, fact: str, *, library: bool) -> None:
    """Any event is one line of printable characters, and is read back from JSON."""
    for form in ("logfmt", "json"):
        configure_logging("info", form, str)
        if library:
            logging.getLogger("aiohttp").warning("%s", message)
        else:
            ours().info(message, cause=fact)
        (line,) = written()
        assert line.isprintable()
        if form == "json":
            parsed = json.loads(line)
            assert parsed["msg"] == message
            assert library or parsed["cause"] == fact
        else:
            assert list(fields(line)) == ["ts", "level", "msg", *([] if library else ["cause"])]


def test_half_of_a_surrogate_pair_is_escaped(written: Written) -> None:
    """Half of a surrogate pair, as a file name that is no UTF-8 holds it, can be written too."""
    configure_logging("info", "json", str)
    ours().info("poll", path="a\udc80")
    (line,) = written()
    assert json.loads(line)["path"] == "a\udc80"


def test_setting_up_again_writes_no_event_twice(written: Written) -> None:
    """Setting up again replaces what was: no event is written twice."""
    configure_logging("info", "logfmt", str)
    configure_logging("info", "json", str)
    ours().info("poll")
    assert len(written()) == 1
