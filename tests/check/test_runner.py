"""What a check tries, what it finds, and what it leaves alone."""

import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from exporter.check.prober import Prober
from exporter.check.results import CheckResult, Outcome
from exporter.check.runner import CheckOptions, CheckRunner
from exporter.config import load
from exporter.scaleengine.clock import Clock
from exporter.settings import Settings, build_settings
from exporter.simulator import Behaviour, FaultRule, SimulatedAccount, Simulator
from tests.support.faults import BUSY, FAILING, Fault, HttpError, Refusal, TimesOut
from tests.support.fixtures import CheckAccounts, DescribeAccount, MakeSettings, WriteAccounts
from tests.support.sentences import (
    ASK_SUPPORT,
    ASK_TO_GRANT,
    CHECK_CLOCK,
    DENIED_COMMAND,
    NO_MEMORY,
    OTHER_TYPES,
    REFUSED_TIME,
    REPORTED_FAILURE,
)
from tests.support.timers import ManualTimers

AnyFault = Fault | Refusal | HttpError
PATHS = ["sestore4/jb", "sestore4/small"]


REACHED = ["name ok", "connection ok", "certificate ok"]


def test_each_part_of_an_account_is_tried_with_one_request(
    checked: CheckAccounts, scaleengine: Simulator, main: DescribeAccount
) -> None:
    """Each account's secrets, key, disk usage and paths are tried, with one request for each."""
    found = checked(scaleengine.url, main())

    assert found.good
    assert found.outcomes() == [
        *REACHED,
        "secrets ok",
        "clock ok",
        "key ok",
        "disk_usage ok",
        "key ok",
        "files ok",
        "files ok",
        "demand ok",
    ]
    assert [(request.command, request.path, request.code) for request in scaleengine.requests] == [
        ("disk.usage", None, None),
        ("files.list", "sestore4/jb", None),
        ("files.list", "sestore4/small", None),
    ]


@pytest.mark.parametrize("full", [False, True])
def test_a_path_without_a_file_of_the_type_is_a_warning(
    checked: CheckAccounts, scaleengine: Simulator, main: DescribeAccount, *, full: bool
) -> None:
    """It is to be looked at, and names the types that the path has; no invalid file is good."""
    files = {"paths": [{"path": "sestore4/small", "file_types": ["audio", "invalid"]}]}
    found = checked(scaleengine.url, main(files=files), options=CheckOptions("json", full=full))
    assert found.good
    audio, invalid = found.of("files")
    assert audio["outcome"] == "warn"
    assert str(audio["detail"]).startswith("no file of the type audio: ")
    assert audio["advice"] == (f"check file_types of sestore4/small: {OTHER_TYPES}: video, valid")
    assert invalid["outcome"] == "ok"
    requests = scaleengine.requests
    searched = [request.file_type for request in requests if request.path == "sestore4/small"]
    assert {"video", "smil", "valid", "deleted"} <= set(searched)


def test_a_path_without_any_file_suggests_no_type(
    checked: CheckAccounts, scaleengine: Simulator, main: DescribeAccount
) -> None:
    """There is no type to suggest."""
    found = checked(scaleengine.url, main(files={"paths": ["sestore4/small/2"]}))
    (empty,) = found.of("files", "warn")
    assert empty["advice"] == (
        "check the path sestore4/small/2: it shows no file of any other type either"
    )


def test_each_file_type_is_tried(
    checked: CheckAccounts, scaleengine: Simulator, main: DescribeAccount
) -> None:
    """A path with several file types is tried for each; a disk usage that is off is not."""
    files = {"paths": [{"path": "sestore4/small", "file_types": ["video", "valid"]}]}
    found = checked(scaleengine.url, main(files=files, disk_usage={"enabled": False}))

    assert [(finding["path"], finding["file_type"]) for finding in found.of("files", "ok")] == [
        ("sestore4/small", "video"),
        ("sestore4/small", "valid"),
    ]
    assert found.of("disk_usage") == []


def test_a_missing_path_fails_alone(
    checked: CheckAccounts, scaleengine: Simulator, main: DescribeAccount
) -> None:
    """A path that ScaleEngine does not know fails with its cause; the next ones are tried."""
    found = checked(scaleengine.url, main(files={"paths": ["sestore4/no", *PATHS]}))

    assert not found.good
    (failure,) = [finding for finding in found.findings if finding["outcome"] == "fail"]
    assert (failure["path"], failure["reason"]) == ("sestore4/no", "api")
    assert failure["detail"] == f"{REPORTED_FAILURE} (without a code: Path not found)"
    assert failure["advice"] == (f"check the path in files.paths of account 'main', {ASK_SUPPORT}")
    assert len(found.of("files", "ok")) == 2


@pytest.mark.parametrize(
    ("wrong", "reason", "calls"),
    [
        ({"api_key": "APX4NOSUCHKEY"}, "auth", ["disk.usage", "files.list"]),
        ({"cdn": 159}, "auth", ["disk.usage", "files.list"]),
        ({"api_secret": "another-secret"}, "signature", ["disk.usage"]),
    ],
)
def test_wrong_credentials_are_tried_once_and_stop_no_other_account(
    checked: CheckAccounts,
    scaleengine: Simulator,
    main: DescribeAccount,
    wrong: Mapping[str, object],
    reason: str,
    calls: list[str],
) -> None:
    """Wrong credentials are tried once, and do not stop the other accounts."""
    found = checked(scaleengine.url, main(name="wrong", **wrong), main())

    assert not found.good
    assert {finding["reason"] for finding in found.of("key", "fail")} == {reason}
    assert [finding["facts"] for finding in found.of("key", "fail")] == [
        {"command": command} for command in calls
    ]
    assert [request.command for request in scaleengine.requests if request.code] == calls
    assert found.outcomes("wrong").count("files not_tried") == 2
    assert found.outcomes("main").count("files ok") == 2


def test_a_key_denied_for_one_command_is_tried_with_the_other(
    checked: CheckAccounts, scaleengine: Simulator, main: DescribeAccount
) -> None:
    """A key that is denied one command is tried with the other."""
    scaleengine.behave(Behaviour(faults=(FaultRule(Refusal("0005"), command="disk.usage"),)))
    found = checked(scaleengine.url, main())

    (denied,) = found.of("key", "fail")
    assert denied["detail"] == f"{DENIED_COMMAND} (0005)"
    assert denied["advice"] == f"{ASK_TO_GRANT} account 'main'"
    assert len(found.of("files", "ok")) == 2


def test_an_unreadable_secret_sends_no_request_of_its_account(
    configure: WriteAccounts, scaleengine: Simulator, main: DescribeAccount, tmp_path: Path
) -> None:
    """Where the file of a secret cannot be read, no request of its account is sent."""
    secret = tmp_path / "secret"
    secret.write_text(str(main()["api_secret"]))
    in_file = {key: value for key, value in main(name="lost").items() if key != "api_secret"}
    file = configure(scaleengine.url, {**in_file, "api_secret_file": str(secret)}, main())
    settings = build_settings(load(file, {}).config)
    secret.unlink()
    found = list(_run(settings))

    (failure,) = [finding for finding in found if finding.outcome is Outcome.FAIL]
    assert failure.subject.title == "lost secrets"
    assert str(secret) in failure.detail
    assert sum(finding.outcome is Outcome.NOT_TRIED for finding in found) == 3
    assert scaleengine.request_count == 3


def _run(settings: Settings) -> list[CheckResult]:
    prober = Prober(settings, Clock(), lambda *_: None)
    try:
        return list(CheckRunner(settings, prober, Clock(), lambda _: None).run())
    finally:
        prober.close()


@pytest.mark.parametrize("fault", [BUSY, HttpError(429, retry_after="60")])
def test_a_rate_limited_account_gets_no_further_request(
    checked: CheckAccounts, scaleengine: Simulator, main: DescribeAccount, fault: AnyFault
) -> None:
    """A rate-limited account gets no further request; the others are tried."""
    scaleengine.behave(Behaviour(faults=(FaultRule(fault, requests=(1,)),)))
    found = checked(scaleengine.url, main(), main(name="other"))

    assert [finding["reason"] for finding in found.of("disk_usage", "fail")] == ["rate_limited"]
    assert found.outcomes("main").count("files not_tried") == 2
    assert found.outcomes("other").count("files ok") == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (FAILING, "server"),
        (HttpError(503), "server"),
        (Fault.HTML_PAGE, "protocol"),
        (Fault.TRUNCATED, "protocol"),
        (Fault.NOT_ROWS, "protocol"),
        (Fault.OTHER_PATH, "protocol"),
        (Fault.REDIRECT, "protocol"),
        (Fault.DEEP_NESTING, "protocol"),
        (Fault.RESET, "network"),
        (Fault.RESET_IN_BODY, "network"),
        (Fault.ALWAYS_SKIPPED, "incomplete"),
        (Fault.STUCK_OFFSET, "incomplete"),
    ],
)
def test_a_path_that_fails_is_requested_once(
    checked: CheckAccounts,
    scaleengine: Simulator,
    main: DescribeAccount,
    fault: AnyFault,
    reason: str,
) -> None:
    """A path that fails, however it does, is asked for once and does not stop the next."""
    scaleengine.behave(Behaviour(faults=(FaultRule(fault, path="sestore4/jb"),)))
    found = checked(scaleengine.url, main())

    (failure,) = [finding for finding in found.findings if finding["outcome"] == "fail"]
    assert (failure["path"], failure["reason"]) == ("sestore4/jb", reason)
    assert failure["detail"]
    assert failure["advice"]
    assert len(found.of("files", "ok")) == 1
    assert [request.path for request in scaleengine.requests] == [None, *PATHS]


@pytest.mark.parametrize(
    ("status", "full"), [(404, False), (404, True), (405, False), (410, False)]
)
def test_a_wrong_api_url_is_reported_once(
    checked: CheckAccounts,
    scaleengine: Simulator,
    main: DescribeAccount,
    status: int,
    full: bool,  # noqa: FBT001 - pytest gives it by name
) -> None:
    """It is reported once, not for each target: no other request can succeed."""
    scaleengine.behave(Behaviour(faults=(FaultRule(HttpError(status)),)))
    options = CheckOptions("json", full=full)
    found = checked(scaleengine.url, main(), main(name="other"), options=options)

    (failure,) = [finding for finding in found.findings if finding["outcome"] == "fail"]
    assert failure["reason"] == "protocol"
    assert "api.url" in str(failure["advice"])
    assert found.outcomes("main").count("files not_tried") == 2
    assert found.outcomes("other").count("files not_tried") == 2
    assert scaleengine.request_count == 1


def test_a_path_that_hangs_does_not_stop_the_next(
    checked: CheckAccounts,
    scaleengine: Simulator,
    main: DescribeAccount,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A path for which no response comes in time does not stop the next."""
    timers = ManualTimers()
    timers.install(monkeypatch)
    hangs = FaultRule(TimesOut(timers.expire), path="sestore4/jb")
    scaleengine.behave(Behaviour(faults=(hangs,)))
    found = checked(scaleengine.url, main())

    assert [finding["reason"] for finding in found.of("files")] == ["timeout", None]


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.RESET])
def test_an_unreachable_api_is_reported_after_one_request(
    checked: CheckAccounts,
    scaleengine: Simulator,
    main: DescribeAccount,
    fault: AnyFault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the first request of all gets no response, that is reported once; no other is sent."""
    timers = ManualTimers()
    timers.install(monkeypatch)
    actual = TimesOut(timers.expire) if fault is Fault.HANG else fault
    scaleengine.behave(Behaviour(faults=(FaultRule(actual),)))
    found = checked(scaleengine.url, main(), main(name="other"))

    assert scaleengine.request_count == 1
    assert [finding["outcome"] for finding in found.findings].count("fail") == 1
    assert [finding["outcome"] for finding in found.findings].count("not_tried") == 5


def test_a_network_failure_is_reported_once_and_ends_the_check(
    settings: MakeSettings, scaleengine: Simulator, main: DescribeAccount
) -> None:
    """An API that can no longer be reached is reported once, and no other request is sent."""
    asked = settings(scaleengine.url, main(), main(name="other"))
    prober = Prober(asked, Clock(), lambda *_: None)
    found = []
    for finding in CheckRunner(asked, prober, Clock(), lambda _: None).run():
        found.append(finding)
        if finding.subject.what == "disk_usage":
            scaleengine.stop()
    prober.close()

    outcomes = [
        finding.outcome for finding in found if finding.subject.what in ("files", "disk_usage")
    ]
    assert outcomes == [Outcome.OK, Outcome.FAIL, *[Outcome.NOT_TRIED] * 4]


@pytest.mark.parametrize(("off", "direction"), [(3600, "behind"), (-3600, "ahead of")])
def test_a_wrong_clock_is_reported_once(
    checked: CheckAccounts,
    account: SimulatedAccount,
    main: DescribeAccount,
    off: int,
    direction: str,
) -> None:
    """A clock that is wrong is reported once; all else is tried by ScaleEngine's time."""
    with Simulator([account], clock=lambda: time.time() + off) as scaleengine:
        found = checked(scaleengine.url, main(), main(name="other"))

    assert found.good
    (clock,) = found.of("clock", "warn")
    assert f" s {direction} ScaleEngine's" in str(clock["detail"])
    facts = clock["facts"]
    assert isinstance(facts, dict)
    assert facts["skew_seconds"] == pytest.approx(-off, abs=5)
    assert len(found.of("files", "ok")) == 4
    assert [request.code for request in scaleengine.requests].count("0002") == 2


def test_a_time_that_is_always_refused_ends_after_two_requests(
    checked: CheckAccounts, scaleengine: Simulator, main: DescribeAccount
) -> None:
    """Where ScaleEngine refuses its own time too, the account is left alone after two requests."""
    scaleengine.behave(Behaviour(faults=(FaultRule(Refusal("0002")),)))
    found = checked(scaleengine.url, main())

    assert [finding["reason"] for finding in found.of("disk_usage", "fail")] == ["clock"]
    assert found.outcomes().count("files not_tried") == 2
    assert scaleengine.request_count == 2


class _Timeless(BaseHTTPRequestHandler):
    """Refuses the time of every request, and does not send its own."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"status": "failure", "code": "0002", "message": "Timestamp out of range"}'
        self.send_response_only(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_a_refused_time_without_a_date_is_not_retried(
    checked: CheckAccounts, main: DescribeAccount
) -> None:
    """Where no response has ScaleEngine's time, the request is not sent again."""
    with HTTPServer(("127.0.0.1", 0), _Timeless) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        found = checked(f"http://127.0.0.1:{server.server_port}/", main())
        server.shutdown()
        thread.join()

    assert found.of("clock") == []
    (failure,) = [finding for finding in found.findings if finding["outcome"] == "fail"]
    assert failure["detail"] == f"{REFUSED_TIME} (0002)"
    assert failure["advice"] == CHECK_CLOCK


@pytest.mark.parametrize("broken", ["request_disk_usage", "build_disk_usage_result"])
def test_a_defect_fails_its_own_check_only(
    checked: CheckAccounts,
    scaleengine: Simulator,
    main: DescribeAccount,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
) -> None:
    """A defect of the exporter's own fails what it was trying, and nothing else."""

    def break_down(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(f"exporter.check.prober.{broken}", break_down)
    found = checked(scaleengine.url, main())

    (failure,) = found.of("disk_usage", "fail")
    assert "a bug in this exporter" in str(failure["detail"])
    assert len(found.of("files", "ok")) == 2


def test_a_limit_of_this_process_is_named_and_no_defect(
    checked: CheckAccounts,
    scaleengine: Simulator,
    main: DescribeAccount,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A limit of this process fails what was tried, is named, and is no defect."""

    def break_down(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("exporter.check.prober.find_newest_usage", break_down)
    found = checked(scaleengine.url, main())

    (failure,) = found.of("disk_usage", "fail")
    assert str(failure["detail"]).startswith(NO_MEMORY)
    assert failure["reason"] == "network"


def test_many_users_take_several_requests(
    checked: CheckAccounts,
    scaleengine: Simulator,
    main: DescribeAccount,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Users that are too many for one response are asked for in several requests, as in a poll."""
    monkeypatch.setattr("exporter.check.prober.BODY_LIMIT", 1)
    users = ["web", "live", "gone"]
    found = checked(scaleengine.url, main(disk_usage={"cpu_users": users}))

    (usage,) = found.of("disk_usage")
    assert usage["facts"]["cpu_users"] == ["web"]  # type: ignore[index]
    asked = [request for request in scaleengine.requests if request.command == "disk.usage"]
    assert [call.cpu for call in asked] == users
    assert len({call.starttime for call in asked}) == 1


@pytest.mark.parametrize("full", [False, True])
def test_requests_keep_to_the_rate_limit(
    checked: CheckAccounts,
    scaleengine: Simulator,
    main: DescribeAccount,
    full: bool,  # noqa: FBT001 - pytest gives it by name
) -> None:
    """The requests of an account keep to api.requests_per_second."""
    options = CheckOptions("json", full=full)
    checked(scaleengine.url, main(), options=options, requests_per_second=5)

    first, *others, last = [request.time for request in scaleengine.requests]
    # A busy machine may take the first request late: a fifth of the time is left for that.
    assert last - first > 0.16 * (len(others) + 1)


def test_progress_names_what_is_tried_next(
    settings: MakeSettings, scaleengine: Simulator, main: DescribeAccount
) -> None:
    """Progress names what is tried next, and how far an account has come."""
    progress: list[str] = []
    asked = settings(scaleengine.url, main())
    prober = Prober(asked, Clock(), lambda *_: None)
    list(CheckRunner(asked, prober, Clock(), progress.append).run())
    prober.close()

    assert progress == [
        "127.0.0.1",
        "main disk usage (1 of 3)",
        "main sestore4/jb video (2 of 3)",
        "main sestore4/small video (3 of 3)",
    ]
