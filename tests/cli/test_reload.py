"""The configuration is read again at SIGHUP and by POST /-/reload: whole, or not at all."""

import http.client
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from exporter.simulator import Behaviour, FaultRule, Simulator
from tests.support.faults import Fault
from tests.support.fixtures import StartProgram, WriteConfig
from tests.support.program import Program
from tests.support.waiting import TIMEOUT, wait_until

LIFECYCLE = "--web.enable-lifecycle"
EVERY_FAILURE = "--log.level=debug"
"""Otherwise targets that fail for one cause are one warning."""
PATHS = ["sestore4/jb", "sestore4/jb/séries"]
OTHER: dict[str, object] = {"name": "other", "disk_usage": {"interval": "1h"}, "files": None}


@pytest.fixture
def folder(configure: WriteConfig, scaleengine: Simulator, tmp_path: Path) -> Path:
    """Return a folder whose configuration has an account `main` with one path, polled each hour."""
    configure(tmp_path, scaleengine.url, account=polling(PATHS[0]))
    return tmp_path


@pytest.fixture
def program(start: StartProgram, folder: Path) -> Iterator[Program]:
    """Start the program, and wait until it has polled."""
    running = start(folder, LIFECYCLE, EVERY_FAILURE)
    wait_for_first_polls(running)
    yield running
    running.close()


def wait_for_first_polls(program: Program) -> None:
    for collector in ("disk_usage", "files"):
        program.wait_for(collector=collector, result="ok")


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the program that tests share."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def started(
    start: StartProgram, configure: WriteConfig, scaleengine: Simulator, shared_folder: Path
) -> Program:
    """Start the program that tests share, and wait until it has polled."""
    configure(shared_folder, scaleengine.url, account=polling(PATHS[0]))
    running = start(shared_folder, LIFECYCLE, EVERY_FAILURE)
    wait_for_first_polls(running)
    assert running.get("/-/healthy")[0] == 200
    return running


@pytest.fixture
def shared(
    started: Program, configure: WriteConfig, scaleengine: Simulator, shared_folder: Path
) -> Program:
    """Return a program that other tests used; it has just begun to poll `main`, as if started.

    A reload without that account forgets all of it. A test that leaves a poll unfinished, or ends
    the program, needs `program`.
    """
    for name, account in {"other": OTHER, "main": polling(PATHS[0])}.items():
        started.forget_log()
        configure(shared_folder, scaleengine.url, account=account)
        assert post(started)[0] == 200
        started.wait_for(msg="configuration reloaded")
        started.wait_for(account=name, collector="disk_usage", result="ok")
    wait_for_first_polls(started)
    return started


def polling(*paths: str, interval: str = "1h") -> dict[str, object]:
    """Return what an account polls."""
    return {
        "disk_usage": {"interval": "1h"},
        "files": {"interval": interval, "paths": list(paths)},
    }


def post(program: Program) -> tuple[int, str]:
    """Ask for a reload by a request."""
    with closing(http.client.HTTPConnection(*program.address, timeout=TIMEOUT)) as connection:
        connection.request("POST", "/-/reload")
        response = connection.getresponse()
        return response.status, response.read().decode()


def count(program: Program, what: str) -> int:
    """Return how many threads (``task``) or descriptors (``fd``) the program has."""
    return sum(1 for _ in Path(f"/proc/{program.pid}/{what}").iterdir())


def hang_up(program: Program, outcome: str = "configuration reloaded") -> None:
    """Ask for a reload by SIGHUP, and wait for what the log says of it."""
    before = sum(event.get("msg") == outcome for event in program.events)
    program.send(signal.SIGHUP)
    program.wait_for(before + 1, msg=outcome)


@pytest.mark.parametrize("reload", [hang_up, post])
def test_the_next_scrape_shows_the_new_configuration(
    program: Program,
    configure: WriteConfig,
    folder: Path,
    scaleengine: Simulator,
    reload: Callable[[Program], object],
) -> None:
    """A reload that is confirmed is in the next scrape, each of twenty times."""
    last = 0.0
    for number in range(20):
        paths = PATHS if number % 2 == 0 else PATHS[:1]
        quotas = {"quotas": {"web": number + 1}}
        account = {**polling(*paths), "disk_usage": {"interval": "1h", **quotas}}
        configure(folder, scaleengine.url, account=account)
        reload(program)
        metrics = program.get("/metrics")[1]

        for path in PATHS:
            assert (f'path="{path}"' in metrics) == (path in paths)
        assert (
            f'scaleengine_disk_quota_bytes{{account="main",cpu_user="web"}} {number + 1}' in metrics
        )
        (read_at,) = re.findall(
            r"^scaleengine_exporter_config\S+_timestamp_seconds (\S+)$", metrics, re.MULTILINE
        )
        assert float(read_at) > last
        last = float(read_at)


def test_the_next_scrape_shows_that_a_reload_failed(shared: Program, shared_folder: Path) -> None:
    """The gauge of reloads is 0 as soon as the failure was reported, and 1 again later."""
    successful = "scaleengine_exporter_config_last_reload_successful"
    good = (shared_folder / "config.yaml").read_text()
    for _ in range(5):
        (shared_folder / "config.yaml").write_text("{}")
        assert post(shared)[0] == 500
        assert f"{successful} 0.0\n" in shared.get("/metrics")[1]

        (shared_folder / "config.yaml").write_text(good)
        hang_up(shared)
        assert f"{successful} 1.0\n" in shared.get("/metrics")[1]

        (shared_folder / "config.yaml").write_text("{}")
        hang_up(shared, "configuration not reloaded")
        assert f"{successful} 0.0\n" in shared.get("/metrics")[1]

        (shared_folder / "config.yaml").write_text(good)
        assert post(shared)[0] == 200
        assert f"{successful} 1.0\n" in shared.get("/metrics")[1]


@pytest.mark.parametrize("reload", [hang_up, post])
def test_a_new_path_is_polled_at_once(
    shared: Program,
    configure: WriteConfig,
    shared_folder: Path,
    scaleengine: Simulator,
    reload: Callable[[Program], object],
) -> None:
    """A new path is polled at once; those that stay are not polled for that, and keep numbers."""
    configure(shared_folder, scaleengine.url, account=polling(*PATHS))
    reload(shared)

    line = shared.wait_for(msg="poll", path=PATHS[1])
    assert line["files"] == 10
    shared.wait_for_value(10, "scaleengine_files", path=PATHS[1])
    assert shared.value("scaleengine_files", path=PATHS[0]) == 130
    polls = [
        event for event in shared.events if "result" in event and event.get("path") == PATHS[0]
    ]
    assert len(polls) == 1


def test_a_removed_path_loses_its_series(
    shared: Program, configure: WriteConfig, shared_folder: Path, scaleengine: Simulator
) -> None:
    """A path that is gone from the file is gone from the metrics, its account's counters too."""
    configure(shared_folder, scaleengine.url, account=polling())
    assert post(shared) == (200, "Reloaded.\n")

    series = shared.get("/metrics")[1]
    assert "sestore" not in series
    assert 'collector="files"' not in series
    assert 'scaleengine_polls_total{account="main",collector="disk_usage"} 1.0' in series
    assert 'scaleengine_disk_usage_bytes{account="main",cpu_user="web"} 5e+09' in series


def test_another_interval_keeps_the_numbers(
    program: Program, configure: WriteConfig, folder: Path, scaleengine: Simulator
) -> None:
    """A path at another interval keeps its numbers, and is polled by the new one."""
    configure(folder, scaleengine.url, account=polling(PATHS[0], interval="1s"))
    assert post(program)[0] == 200
    assert program.value("scaleengine_files", path=PATHS[0]) == 130
    program.wait_for(3, path=PATHS[0], result="ok")


def test_another_cdn_of_the_same_name_has_none_of_the_old_numbers(
    shared: Program, configure: WriteConfig, shared_folder: Path, scaleengine: Simulator
) -> None:
    """Numbers of another CDN are not those of the one before, though the name is the same."""
    configure(shared_folder, scaleengine.url, account={**polling(PATHS[0]), "cdn": 159})
    assert post(shared)[0] == 200
    for collector in ("disk_usage", "files"):
        shared.wait_for(msg="poll", collector=collector, reason="auth")

    shared.wait_for_value(0, "scaleengine_up", account="main")
    assert shared.value("scaleengine_files") is None
    assert shared.value("scaleengine_account_info", account="main", cdn="159") == 1
    assert shared.value("scaleengine_account_info", account="main", cdn="158") is None


def test_a_bad_file_changes_nothing(shared: Program, shared_folder: Path) -> None:
    """A bad file changes nothing: it gets 500 with every mistake, and the log and a metric say so.

    A good one afterwards sets that right.
    """
    good = (shared_folder / "config.yaml").read_text()
    assert shared.value("scaleengine_exporter_config_last_reload_successful") == 1
    at_the_start = shared.value("scaleengine_exporter_config_last_reload_success_timestamp_seconds")

    (shared_folder / "config.yaml").write_text(
        good.replace("158", '"many"').replace('"1h"', '"soon"', 1)
    )
    status, text = post(shared)
    assert status == 500
    first, second = text.splitlines()
    assert "accounts[0].cdn: must be a whole number" in first
    assert "interval" in second
    shared.wait_for(2, msg="configuration not reloaded")
    metric = "scaleengine_exporter_config_last_reload_successful"
    assert shared.value(metric) == 0
    assert shared.value("scaleengine_files", path=PATHS[0]) == 130

    (shared_folder / "config.yaml").write_text(good)
    assert post(shared)[0] == 200
    assert shared.value(metric) == 1
    last = shared.value("scaleengine_exporter_config_last_reload_success_timestamp_seconds")
    assert last is not None
    assert at_the_start is not None
    assert at_the_start < last <= time.time()
    assert "canary" not in "\n".join([*shared.lines, text]).lower()


def test_without_the_flag_a_request_does_not_reload(
    start: StartProgram, configure: WriteConfig, scaleengine: Simulator, tmp_path: Path
) -> None:
    """Without --web.enable-lifecycle a request reloads nothing; its response names what does."""
    configure(tmp_path, scaleengine.url, account=polling())
    program = start(tmp_path)
    status, text = post(program)
    assert status == 403
    assert LIFECYCLE in text
    assert "SIGHUP" in text
    assert program.get("/-/reload")[0] == 405
    assert not [event for event in program.events if event.get("msg") == "configuration reloaded"]
    program.close()


def test_the_file_sets_the_log_level(shared: Program, shared_folder: Path) -> None:
    """The file may set the level of the log, also of a running exporter; without, the flag does."""
    written = json.loads((shared_folder / "config.yaml").read_text())
    quiet = {**written, "log": {"level": "error"}, "accounts": [{**written["accounts"][0]}]}
    (shared_folder / "config.yaml").write_text(json.dumps(quiet))
    assert post(shared)[0] == 200
    silent_since = len(shared.lines)

    assert post(shared)[0] == 200
    assert len(shared.lines) == silent_since

    (shared_folder / "config.yaml").write_text(json.dumps(written))
    assert post(shared)[0] == 200
    shared.wait_for(2, msg="configuration reloaded")


def test_a_hundred_reloads_leave_no_thread_and_no_descriptor(
    program: Program, configure: WriteConfig, folder: Path, scaleengine: Simulator
) -> None:
    """Reloads in a row, each adding and removing, leave no thread and no descriptor behind.

    What stayed configured has kept its numbers, and was polled once.
    """
    # Each may begin a few threads for pages, and keep a few connections to the API open. What is
    # left behind by every reload would be a hundred.
    threads = count(program, "task") + 10
    descriptors = count(program, "fd") + 10
    for number in range(100):
        paths = PATHS if number % 2 == 0 else PATHS[:1]
        concurrency = 4 + number % 3
        configure(
            folder, scaleengine.url, account=polling(*paths), api={"concurrency": concurrency}
        )
        assert post(program) == (200, "Reloaded.\n")

    wait_until(lambda: count(program, "task"), lambda found: found <= threads)
    wait_until(lambda: count(program, "fd"), lambda found: found <= descriptors)
    assert program.value("scaleengine_files", path=PATHS[0]) == 130
    polls = [event for event in program.events if "result" in event]
    assert len([event for event in polls if event.get("path") == PATHS[0]]) == 1
    assert program.end() == 0


@pytest.fixture
def hang(folder: Path) -> Iterator[Callable[[], None]]:
    """Replace the configuration by a pipe; give a function that waits until its reader hangs."""
    writers: list[int] = []

    def wait_for_reader() -> None:
        writers.append(open_for_reader(folder / "config.yaml"))

    (folder / "config.yaml").unlink()
    os.mkfifo(folder / "config.yaml")
    yield wait_for_reader
    for writer in writers:
        os.close(writer)


@pytest.mark.parametrize("by_request", [False, True])
def test_a_reload_that_hangs_delays_no_scrape_and_no_stop(
    program: Program, hang: Callable[[], None], *, by_request: bool
) -> None:
    """A file that hangs keeps no scrape waiting, and not the program from ending."""
    with closing(http.client.HTTPConnection(*program.address, timeout=60)) as connection:
        if by_request:
            connection.request("POST", "/-/reload")
        else:
            program.send(signal.SIGHUP)
        hang()
        assert program.get("/metrics?name[]=scaleengine_up")[0] == 200
        assert program.get("/-/healthy")[0] == 200
        assert program.end() == 0


def test_another_api_removes_the_old_numbers(
    program: Program, configure: WriteConfig, folder: Path, scaleengine: Simulator
) -> None:
    """Numbers of the API before are gone, also while the new one does not respond.

    The way back works as well.
    """
    with Simulator([], Behaviour(faults=(FaultRule(Fault.HANG),))) as silent:
        configure(folder, silent.url, account=polling(PATHS[0]))
        assert post(program)[0] == 200
        assert silent.wait_for_requests(1, TIMEOUT)
        scrape = program.scrape()
        for metric in ("scaleengine_up", "scaleengine_api_clock_skew_seconds", "scaleengine_files"):
            assert scrape.value(metric, account="main") is None

        configure(folder, scaleengine.url, account=polling(PATHS[0]))
        assert post(program)[0] == 200
        program.wait_for(2, collector="files", result="ok")
        program.wait_for_value(1, "scaleengine_up", account="main")
        assert program.value("scaleengine_files", path=PATHS[0]) == 130


def test_half_a_file_with_another_api_is_not_used(
    program: Program, configure: WriteConfig, folder: Path, scaleengine: Simulator
) -> None:
    """Given a file that names another API at one look alone, then that gets no request.

    A pipe makes sure which look reads what.
    """
    with Simulator([]) as other:
        configure(folder, other.url, account=polling(PATHS[0]))
        half = (folder / "config.yaml").read_text()
        configure(folder, scaleengine.url, account=polling(*PATHS))
        complete = (folder / "config.yaml").read_text()
        for pipe in ("config.yaml", "next"):
            (folder / pipe).unlink(missing_ok=True)
            os.mkfifo(folder / pipe)
        program.send(signal.SIGHUP)
        first = open_for_reader(folder / "config.yaml")
        (folder / "next").rename(folder / "config.yaml")
        for text, writer in ((half, first), (complete, None)):
            end = writer or open_for_reader(folder / "config.yaml")
            os.write(end, text.encode())
            os.close(end)
        program.wait_for(msg="configuration reloaded")
        program.wait_for(path=PATHS[1], result="ok")
        assert other.requests == ()


def open_for_reader(pipe: Path) -> int:
    """Wait until a process reads a pipe, and return the descriptor of its other end."""

    def open_once() -> int | None:
        with suppress(OSError):  # ENXIO: there is no reader yet
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        return None

    descriptor = wait_until(open_once, lambda opened: opened is not None, "a reader of the pipe")
    assert descriptor is not None
    return descriptor


def test_corrected_credentials_are_tried_at_once(
    start: StartProgram, configure: WriteConfig, scaleengine: Simulator, tmp_path: Path
) -> None:
    """After a reload with other credentials all targets of the account are polled at once."""
    good = polling(*PATHS)
    configure(tmp_path, scaleengine.url, account={**good, "api_secret": "canarywrongsecret"})
    program = start(tmp_path, LIFECYCLE, EVERY_FAILURE)
    program.wait_for(2, msg="poll", collector="files", reason="signature")
    program.wait_for_value(0, "scaleengine_up", account="main")

    configure(tmp_path, scaleengine.url, account=good)
    assert post(program)[0] == 200
    program.wait_for(2, collector="files", result="ok")
    program.wait_for_value(1, "scaleengine_up", account="main")
    program.close()
