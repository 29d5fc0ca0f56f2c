"""The whole program, started as an operator starts it, against a ScaleEngine that works."""

from pathlib import Path

import pytest

from exporter import __version__
from exporter.simulator import Simulator
from tests.support.fixtures import StartProgram, WriteConfig
from tests.support.program import Program

MAIN = {"account": "main"}
FILES = {"account": "main", "path": "sestore4/jb", "file_type": "video"}


@pytest.fixture(scope="module")
def program(
    start: StartProgram,
    configure: WriteConfig,
    scaleengine: Simulator,
    tmp_path_factory: pytest.TempPathFactory,
) -> Program:
    """Start the program, and wait until it has polled both targets and shows that."""
    folder = tmp_path_factory.mktemp("program")
    configure(folder, scaleengine.url)
    running = start(folder)
    for collector in ("disk_usage", "files"):
        running.wait_for(msg="poll", collector=collector)
    running.wait_until_ready()
    return running


@pytest.mark.parametrize(
    ("metric", "labels", "value"),
    [
        ("scaleengine_disk_usage_bytes", {**MAIN, "cpu_user": ""}, 1024),
        ("scaleengine_disk_usage_bytes", {**MAIN, "cpu_user": "web"}, 5_000_000_000),
        ("scaleengine_files", FILES, 130),
        ("scaleengine_folders", FILES, 2),
        ("scaleengine_folder_files", {**FILES, "folder": "."}, 120),
        ("scaleengine_folder_files", {**FILES, "folder": "séries"}, 10),
        ("scaleengine_folder_files", {**FILES, "folder": "empty"}, 0),
        ("scaleengine_up", MAIN, 1),
        ("scaleengine_account_info", {**MAIN, "cdn": "158"}, 1),
        ("scaleengine_poll_success", {**MAIN, "collector": "disk_usage", "path": ""}, 1),
        ("scaleengine_poll_success", {**FILES, "collector": "files"}, 1),
        ("scaleengine_poll_interval_seconds", {**FILES, "collector": "files"}, 1),
        ("scaleengine_poll_failures_total", {**MAIN, "collector": "files", "reason": "auth"}, 0),
        ("scaleengine_exporter_build_info", {"version": __version__}, 1),
    ],
)
def test_metrics_have_the_numbers_of_scaleengine(
    program: Program, metric: str, labels: dict[str, str], value: float
) -> None:
    """/metrics has what is at ScaleEngine, to the file and to the byte."""
    assert program.value(metric, **labels) == value


def test_each_target_is_polled_again(program: Program) -> None:
    """Each target is polled again and again, and each poll counts."""
    program.wait_for(2, msg="poll", collector="files")
    polls = program.value("scaleengine_polls_total", account="main", collector="files")
    assert polls is not None
    assert polls >= 2


def test_it_is_healthy_and_ready_after_the_first_polls(program: Program) -> None:
    """After the first polls it is ready, and it is healthy."""
    assert program.get("/-/ready") == (200, "Ready.\n")
    assert program.get("/-/healthy") == (200, "Healthy.\n")
    assert program.get("/elsewhere")[0] == 404


def test_the_log_has_start_address_and_polls(program: Program) -> None:
    """The log has the start, the address, and the result of each poll."""
    starting, listening = program.events[:2]
    assert (starting["msg"], starting["level"], starting["targets"]) == ("starting", "info", 2)
    assert str(starting["version"]).startswith(f"scaleengine-exporter {__version__} ")
    host, port = program.address
    assert listening["address"] == f"{host}:{port}"
    assert listening["path"] == "/metrics"

    files = program.wait_for(msg="poll", collector="files")
    assert files.items() >= {**FILES, "level": "info", "result": "ok"}.items()
    assert (files["files"], files["folders"]) == (130, 2)
    usage = program.wait_for(msg="poll", collector="disk_usage")
    assert usage.items() >= {**MAIN, "result": "ok", "requests": 1, "cpu_users": 2}.items()


def test_flags_win_and_variables_set_the_rest(
    start: StartProgram, configure: WriteConfig, scaleengine: Simulator, tmp_path: Path
) -> None:
    """Another file and several addresses by flags, which win, another path by the environment."""
    configure(tmp_path, scaleengine.url)
    (tmp_path / "config.yaml").rename(tmp_path / "other.yaml")
    file = tmp_path / "x.sock"
    program = start(
        tmp_path,
        "--config.file=other.yaml",
        "--web.listen-address",
        "127.0.0.1:0",
        f"--web.listen-address=unix:{file}",
        SCALEENGINE_EXPORTER_WEB_LISTEN_ADDRESS="not to be read",
        SCALEENGINE_EXPORTER_WEB_TELEMETRY_PATH="/prom",
    )
    program.wait_for(msg="listening", address=f"unix:{file}", path="/prom")
    assert program.get("/prom")[0] == 200
    assert program.get("/metrics")[0] == 404
    assert file.is_socket()
    assert program.end() == 0
    assert not file.exists()
