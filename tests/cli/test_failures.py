"""The whole program when ScaleEngine fails: it runs, logs what is wrong, and keeps its numbers."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from exporter.simulator import (
    Behaviour,
    Checks,
    FaultRule,
    FileType,
    Folder,
    SimulatedAccount,
    Simulator,
    steady_usage,
)
from tests.support.credentials import CANARY_KEY as KEY
from tests.support.credentials import CANARY_SECRET as SECRET
from tests.support.faults import BUSY, FAILING, Fault, HttpError, Refusal
from tests.support.fixtures import StartProgram, WriteConfig
from tests.support.ports import refusing_port
from tests.support.program import Program, Scrape
from tests.support.sentences import REFUSED_CONNECTION

RUNBOOK = (Path(__file__).parents[2] / "monitoring" / "README.md").read_text()


FAULTS: Mapping[str, tuple[Fault | Refusal | HttpError, str]] = {
    "refused": (Refusal("0001"), "auth"),
    "denied": (HttpError(403), "auth"),
    "unsigned": (Refusal("0003"), "signature"),
    "late": (Refusal("0002"), "clock"),
    "busy": (BUSY, "rate_limited"),
    "too-often": (HttpError(429), "rate_limited"),
    "failing": (FAILING, "server"),
    "down": (HttpError(503), "server"),
    "hanging": (Fault.HANG, "timeout"),
    "reset": (Fault.RESET, "network"),
    "cut-off": (Fault.RESET_IN_BODY, "network"),
    "html": (Fault.HTML_PAGE, "protocol"),
    "deep": (Fault.DEEP_NESTING, "protocol"),
    "nan": (Fault.NAN, "protocol"),
    "elsewhere": (Fault.REDIRECT, "protocol"),
    "telling": (Refusal("0042", f"no such path for {KEY} {SECRET}\r\nts=0 level=error"), "api"),
    "stuck": (Fault.STUCK_OFFSET, "incomplete"),
}
"""Each is the fault of a path of its own, with the reason that it is to be given."""

WRONG_CREDENTIALS = {"wrong key": "auth", "wrong secret": "signature"}
"""The accounts that are wrong from the start, with the reason that it is to be given."""


def faults() -> Behaviour:
    """Return how a ScaleEngine behaves of which each path has its fault."""
    return Behaviour(
        checks=Checks(replay=False),
        faults=tuple(
            FaultRule(fault, path=f"sestore4/{name}") for name, (fault, _) in FAULTS.items()
        ),
    )


@pytest.fixture(scope="module")
def many_paths() -> Iterator[Simulator]:
    """Run a ScaleEngine with a path for each fault, which holds three videos."""
    paths = {
        name: Folder(files={f"{number}.mp4": FileType.VIDEO for number in range(3)})
        for name in FAULTS
    }
    account = SimulatedAccount(
        cdn=158,
        api_key=KEY,
        api_secret=SECRET,
        usage=steady_usage({"web": 7}),
        storage=Folder(folders={"sestore4": Folder(folders=paths)}),
    )
    with Simulator([account], Behaviour(checks=Checks(replay=False))) as running:
        yield running


@pytest.fixture(scope="module")
def failing(
    start: StartProgram,
    configure: WriteConfig,
    many_paths: Simulator,
    tmp_path_factory: pytest.TempPathFactory,
) -> Program:
    """Start the program while all is well; then break each path, and wait until each has failed.

    Two more accounts were wrong from the start: one has a wrong key, one a wrong secret.
    """
    folder = tmp_path_factory.mktemp("failing")
    usage = {"disk_usage": {"interval": "1s"}, "cdn": 158}
    paths = [f"sestore4/{name}" for name in FAULTS]
    configure(
        folder,
        many_paths.url,
        account={"files": {"interval": "1s", "stale_after": "1h", "paths": paths}},
        others=(
            {**usage, "name": "wrong key", "api_key": "CANARYOTHERKEY", "api_secret": SECRET},
            {**usage, "name": "wrong secret", "api_key": KEY, "api_secret": "canaryothersecret"},
        ),
        api={"timeout": "1s", "concurrency": 16},
    )
    program = start(folder, "--log.level=debug")
    for path in paths:
        program.wait_for(path=path, result="ok")
    many_paths.behave(faults())
    # On a slow machine a request may take longer than its time; the poll after that is the meant.
    for name, (_, reason) in FAULTS.items():
        program.wait_for(msg="poll", path=f"sestore4/{name}", result="failed", reason=reason)
    for account, reason in WRONG_CREDENTIALS.items():
        program.wait_for(msg="poll", account=account, result="failed", reason=reason)
    return program


@pytest.fixture(scope="module")
def scrape(failing: Program) -> Scrape:
    """Scrape when each path has failed."""
    return failing.scrape()


@pytest.mark.parametrize(
    ("name", "reason"), [(name, reason) for name, (_, reason) in FAULTS.items()]
)
def test_a_path_that_fails_keeps_its_last_number(
    failing: Program, scrape: Scrape, name: str, reason: str
) -> None:
    """The good number stays, success is 0, the failure is counted by its reason, and logged."""
    path = {"account": "main", "path": f"sestore4/{name}"}
    assert scrape.value("scaleengine_files", **path) == 3
    assert scrape.value("scaleengine_poll_success", **path) == 0
    failures = scrape.value(
        "scaleengine_poll_failures_total", account="main", collector="files", reason=reason
    )
    assert failures is not None
    assert failures >= 1

    line = failing.wait_for(msg="poll", **path, result="failed", reason=reason)
    assert line["cause"]
    assert line["advice"]
    # Another path may have failed for the same reason before.
    failing.wait_for(level="warning", account="main", reason=reason)


def test_other_targets_of_the_account_are_polled(failing: Program) -> None:
    """The disk usage of the same account goes on being polled: targets fail alone."""
    polls = failing.value("scaleengine_polls_total", account="main", collector="disk_usage")
    failing.wait_for(3, account="main", collector="disk_usage", result="ok")
    later = failing.value("scaleengine_polls_total", account="main", collector="disk_usage")
    assert polls is not None
    assert later is not None
    assert later >= max(polls, 3)
    assert failing.value("scaleengine_disk_usage_bytes", account="main") == 7


@pytest.mark.parametrize(("account", "reason"), WRONG_CREDENTIALS.items())
def test_an_account_with_refused_credentials_is_down_without_numbers(
    failing: Program, scrape: Scrape, account: str, reason: str
) -> None:
    """An account whose credentials are refused is not up, has no numbers, and says why."""
    assert scrape.value("scaleengine_up", account=account) == 0
    assert scrape.value("scaleengine_poll_success", account=account) == 0
    assert scrape.value("scaleengine_disk_usage_bytes", account=account) is None
    for counter in ("scaleengine_poll_failures_total", "scaleengine_api_request_failures_total"):
        count = scrape.value(counter, account=account, reason=reason)
        assert count is not None
        assert count >= 1
    line = failing.wait_for(msg="poll", account=account, result="failed", reason=reason)
    assert f"account {account!r}" in str(line["advice"])


def test_one_cause_of_many_targets_is_one_warning(
    start: StartProgram, configure: WriteConfig, scaleengine: Simulator, tmp_path: Path
) -> None:
    """Six targets with one wrong secret are one warning; each failure is counted, and at debug."""
    paths = ["sestore4/jb", *(f"sestore4/jb/{name}" for name in "abcd")]
    account = {
        "api_secret": "canaryothersecret",
        "disk_usage": {"interval": "1h"},
        "files": {"interval": "1h", "paths": paths},
    }
    configure(tmp_path, scaleengine.url, account=account)
    program = start(tmp_path, "--log.level=debug")
    program.wait_for(6, msg="poll", result="failed", reason="signature")
    failed = [event for event in program.events if event.get("result") == "failed"]
    assert sorted(str(event["level"]) for event in failed) == ["debug"] * 5 + ["warning"]
    assert len({(event["cause"], event["advice"]) for event in failed}) == 1
    counted = [
        program.value("scaleengine_poll_failures_total", collector=collector, reason="signature")
        for collector in ("disk_usage", "files")
    ]
    assert counted == [1, 5]
    assert program.end() == 0


def test_the_exporter_is_healthy_and_ready_with_failing_targets(failing: Program) -> None:
    """With all this it is healthy and, all targets having been polled, ready."""
    assert failing.get("/-/healthy")[0] == 200
    failing.wait_until_ready()


def test_no_log_line_or_page_has_a_secret(failing: Program) -> None:
    """No line of the log, even of debug, and no page shows a secret, even one sent back to us."""
    pages = [failing.get(path)[1] for path in ("/", "/metrics", "/-/ready", "/-/healthy")]
    line = failing.wait_for(msg="poll", path="sestore4/telling", result="failed", reason="api")
    assert "no such path for *** ***" in str(line["cause"])
    assert "canary" not in "\n".join([*failing.lines, *pages]).lower()


def test_an_unreachable_api_leaves_numbers_absent(
    start: StartProgram, configure: WriteConfig, tmp_path: Path
) -> None:
    """With a ScaleEngine that was never reached there are no numbers, and all else works."""
    with refusing_port() as port:
        configure(tmp_path, f"http://127.0.0.1:{port}/stable/")
        program = start(tmp_path, "--log.level=debug")
        for collector in ("disk_usage", "files"):
            line = program.wait_for(msg="poll", collector=collector, result="failed")
            assert (line["reason"], line["cause"]) == ("network", REFUSED_CONNECTION)

        assert program.value("scaleengine_up", account="main") == 0
        assert program.value("scaleengine_poll_success", collector="files") == 0
        assert program.value("scaleengine_files") is None
        assert program.value("scaleengine_poll_last_success_timestamp_seconds") is None
        assert program.get("/-/ready")[0] == 200
        assert program.end() == 0


def test_a_replaced_secret_is_used_at_the_next_poll(
    start: StartProgram, configure: WriteConfig, scaleengine: Simulator, tmp_path: Path
) -> None:
    """A secret's file is read again at every poll: when it is put right, so is the account."""
    secret = tmp_path / "secret"
    secret.write_text("canaryoldsecret\n")
    configure(tmp_path, scaleengine.url, account={"api_secret": None, "api_secret_file": "secret"})
    program = start(tmp_path, "--log.level=debug")
    program.wait_for(msg="poll", collector="files", result="failed", reason="signature")
    assert program.value("scaleengine_up", account="main") == 0

    secret.write_text(SECRET + "\n")

    for collector in ("disk_usage", "files"):
        program.wait_for(collector=collector, result="ok")
    assert program.value("scaleengine_up", account="main") == 1
    assert program.value("scaleengine_poll_success", collector="files") == 1
    assert program.value("scaleengine_files") == 130

    assert program.end() == 0
    assert "canary" not in "\n".join(program.lines).lower()


def test_a_key_denied_for_one_command_keeps_the_account_up(
    start: StartProgram, configure: WriteConfig, tmp_path: Path
) -> None:
    """A key that may list files and not read the disk usage is no account that is down, ever."""
    storage = Folder(folders={"sestore4": Folder(folders={"jb": Folder()})})
    account = SimulatedAccount(158, KEY, SECRET, storage=storage)
    denied = Behaviour(
        checks=Checks(replay=False), faults=(FaultRule(Refusal("0005"), command="disk.usage"),)
    )
    with Simulator([account], denied) as scaleengine:
        configure(tmp_path, scaleengine.url)
        program = start(tmp_path)
        program.wait_for(msg="poll", collector="disk_usage", reason="auth")
        # One poll may have begun before the refusal; the one after it is accepted later.
        polls = sum(event.get("collector") == "files" for event in program.events)
        program.wait_for(polls + 2, collector="files", result="ok")
        for times in range(1, 5):
            program.wait_for(times, msg="poll", collector="disk_usage", reason="auth")
            assert program.value("scaleengine_up") == 1
            assert program.value("scaleengine_credentials_accepted", collector="files") == 1
            assert program.value("scaleengine_credentials_accepted", collector="disk_usage") == 0
        assert program.end() == 0


def test_the_log_has_the_events_of_the_runbook(
    start: StartProgram, configure: WriteConfig, tmp_path: Path
) -> None:
    """Each text that the runbook greps for is in the log of an exporter whose requests fail."""
    looked_for = re.findall(r"grep '([^']+)'", RUNBOOK)
    assert {"poll result=failed", "request failed"} <= set(looked_for)
    with refusing_port() as port:
        configure(tmp_path, f"http://127.0.0.1:{port}/stable/")
        program = start(tmp_path, "--log.format=logfmt", "--log.level=debug")
        for words in looked_for:
            program.wait_for_line(re.escape(words))
        assert program.end() == 0


def test_a_misplaced_secret_of_a_disabled_account_is_redacted(
    start: StartProgram, configure: WriteConfig, scaleengine: Simulator, tmp_path: Path
) -> None:
    """No poll ever reads it, so it is registered as soon as the configuration is read."""
    secret = "canary1234567890"
    other = {
        "name": "other",
        "cdn": 159,
        "enabled": False,
        "api_key": "APX4GKLM0RKQLSP2FBO1ROPKSSW47DZE",
        "api_secret": secret,
        "labels": {"note": secret},
    }
    configure(tmp_path, scaleengine.url, others=(other,))
    program = start(tmp_path, "--web.enable-lifecycle")
    status, page = program.get("/config")
    assert status == 200
    assert "note: ***\n" in page
    assert secret not in page
    assert program.end() == 0
