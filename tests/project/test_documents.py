"""What the documents say is what the program does."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.cli import program, serve
from exporter.command_line import Flag
from exporter.config import ApiConfig, LimitsConfig
from exporter.flags import BACKFILL_FLAGS, CONFIG_FILE, SHARD_FLAGS
from exporter.process.start import KEPT
from exporter.scaleengine.disk_usage import MAX_USERS, RowFault
from exporter.scaleengine.envelope import MESSAGE_LENGTH
from exporter.scaleengine.errors import Reason
from exporter.scaleengine.file_listing import MAX_ENTRIES
from exporter.scaleengine.json_values import MAX_DEPTH
from exporter.scaleengine.message_body import BODY_LIMIT
from exporter.scaleengine.response_memory import ARRIVING, MAX_PARSED
from exporter.web import build_scheduler
from exporter.web.acceptor import find_max_connections
from exporter.web.config_file import basic_auth
from exporter.web.connection_tracker import ConnectionLimits
from tests.project.reference import PAGES, render_page

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
FUNCTION = "_scaleengine_exporter_completion"
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
BACKFILL = (ROOT / "docs" / "backfill.md").read_text()
SECURITY = (ROOT / "SECURITY.md").read_text()


def find_section(page: str, heading: str) -> str:
    """Return what a page says below a heading."""
    return page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def rows(page: str, heading: str) -> dict[str, str]:
    """Return the first two cells of each row of the table below a heading of a page."""
    section = find_section((ROOT / "docs" / page).read_text(), heading)
    return dict(re.findall(r"^\| `([^`]+)` \|([^|]*)\|", section, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES)
def test_tables_are_current(page: str) -> None:
    """``make documents`` has nothing to write."""
    text = (ROOT / page).read_text()
    assert render_page(text) == text
    assert "written by make documents" in text


def test_every_flag_of_the_backfill_is_documented() -> None:
    """The page has each flag, with its default."""
    written = dict(re.findall(r"^\| `(--[^`]+)` \|([^|]*)\|", BACKFILL, re.MULTILINE))
    names = {flag.opts[0]: flag for flag in (CONFIG_FILE, *SHARD_FLAGS, *BACKFILL_FLAGS)}
    assert written.keys() == names.keys()
    for name, flag in names.items():
        nothing = "off" if flag.is_switch else "none"
        value = (
            flag.default[0] if isinstance(flag.default, tuple) and flag.default else flag.default
        )
        default = nothing if value in (None, (), "false") else f"`{value}`"
        assert written[name].strip() == default


@pytest.mark.parametrize(
    ("command", "page", "heading"),
    [
        ("check", "operations.md", "Check with ScaleEngine"),
        ("files", "configuration.md", "Commands"),
    ],
)
def test_every_flag_of_a_command_is_documented(command: str, page: str, heading: str) -> None:
    """The section on a command names each flag that only commands take."""
    text = find_section((ROOT / "docs" / page).read_text(), heading)
    flags = {param.opts[0] for param in program.commands[command].params if isinstance(param, Flag)}
    own = flags - set(re.findall(r"^\| `(--[^`]+)` \|", CONFIGURATION, re.MULTILINE))
    assert own <= set(re.findall(r"(?<![\w-])--[a-z.-]+", text))
    assert own


def test_the_flags_of_every_command_are_looked_up() -> None:
    """A command whose flags are not among those of the server has a test of its own above."""
    of_the_server = {*map(id, serve.params)}
    others = [
        name
        for name, command in program.commands.items()
        if any(
            isinstance(param, Flag) and id(param) not in of_the_server for param in command.params
        )
    ]
    assert sorted(others) == ["backfill", "check", "files"]


def find_metric_names() -> set[str]:
    """Return a pattern for each name of a metric in the source."""
    found = set()
    for file in (ROOT / "exporter").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [
                    part.value if isinstance(part, ast.Constant) else r"\w+" for part in node.values
                ]
            else:
                parts = [node.value] if isinstance(node, ast.Constant) else []
            name = "".join(map(str, parts))
            if re.fullmatch(r"scaleengine(_[a-z]+|_\\w\+)+", name):
                found.add(name)
    return found


def test_every_metric_in_the_source_is_documented() -> None:
    """The table has each metric that the source names, also one that is seldom served."""
    page = (ROOT / "docs" / "metrics.md").read_text()
    documented = re.findall(r"^\| `(scaleengine_\w+)` \|", page, re.MULTILINE)
    names = find_metric_names()
    assert [
        name
        for name in names
        if not any(re.fullmatch(f"{name}(_total)?", metric) for metric in documented)
    ] == []
    assert len(names) > 30


def test_every_reason_to_reject_a_row_is_documented() -> None:
    """The page of metrics explains each fault of a row, and no other."""
    assert set(rows("metrics.md", "Rows that cannot be read")) == set(RowFault)


def test_every_reason_is_documented() -> None:
    """Each reason of a failure has a row that says what to do."""
    assert set(rows("operations.md", "Reasons")) == set(Reason)


def test_documented_log_events_exist() -> None:
    """The events that the page of operations lists are in the source, with these words."""
    page = (ROOT / "docs" / "operations.md").read_text()
    section = find_section(page, "Logs")
    events = re.findall(r"^\| `([\w ,]+)` \|", section, re.MULTILINE)
    source = "".join(file.read_text() for file in (ROOT / "exporter").rglob("*.py"))
    assert "poll" in events
    assert [event for event in events if f'"{event}"' not in source] == []


def test_what_a_count_can_miss_is_documented() -> None:
    """Complete means what it says: what remains is said in the README, a page and HELP."""
    page = (ROOT / "docs" / "metrics.md").read_text()
    golden = (ROOT / "tests" / "metrics" / "golden.prom").read_text()
    assert "that are moved meanwhile [may be missed or counted twice](docs/metrics.md#" in README
    assert "**Files that move during a poll** between two folders can be counted twice" in page
    for metric in ("scaleengine_files", "scaleengine_folders"):
        assert re.search(
            rf"^# HELP {metric} .*What moves during a poll may be missed", golden, re.MULTILINE
        )


@pytest.mark.parametrize(
    ("row", "numbers"),
    [
        ("open connections", [512]),
        ("TLS handshakes under way, responses under way", [128]),
        ("requests with `name[]`, or for the status, that wait", [build_scheduler.MAX_WAITING]),
        ("passwords that wait for their check", [basic_auth.MAX_WAITING]),
        ("a request, from the first byte to the last", [ApiConfig().timeout]),
        (
            "requests at once, and a second, for one account",
            [ApiConfig().concurrency, ApiConfig().requests_per_second],
        ),
        ("requests at once, for all accounts", [ApiConfig().max_workers]),
        ("requests of one poll", [ApiConfig().max_requests_per_poll]),
        (
            "CPU users of an account, folders of a path",
            [LimitsConfig().users_per_account, LimitsConfig().folders_per_path],
        ),
        ("characters of a label", [LimitsConfig().label_length]),
        (
            "memory for the values of one response, for bodies that arrive together",
            [MAX_PARSED // 10**6, ARRIVING // 2**20],
        ),
        ("lists and objects inside each other", [MAX_DEPTH]),
        ("files and folders that one response shows", [MAX_ENTRIES]),
        ("CPU users that one response shows", [MAX_USERS]),
        ("the body, as it arrives and after decompression", [BODY_LIMIT // 2**20]),
        ("a message of the API in the log", [MESSAGE_LENGTH]),
    ],
)
def test_limits_are_in_security_md(row: str, numbers: list[float]) -> None:
    """SECURITY.md has the limits that the code has."""
    (cell,) = re.findall(rf"^\| {re.escape(row)} \|([^|]*)\|", SECURITY, re.MULTILINE)
    assert [float(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", cell)][
        : len(numbers)
    ] == numbers


def test_the_room_for_connections_is_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (10_000, 10_000))
    limits = ConnectionLimits(find_max_connections)
    assert (limits.connections(), limits.handshakes, limits.responses) == (512, 128, 128)


def test_every_variable_that_matters_is_documented() -> None:
    """Each variable that is not removed from the environment is named."""
    section = find_section(CONFIGURATION, "Environment")
    named = set(re.findall(r"`([A-Z_]+\*?)`", section))
    said_otherwise = {"LANGUAGE", "SSL_CERT_FILE", "SSL_CERT_DIR"}
    of_systemd = {"LISTEN_PID", "LISTEN_FDS", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"}
    assert named - of_systemd == set(KEPT) - said_otherwise


def blocks(page: str, heading: str, language: str) -> list[str]:
    """Return the code of the blocks in a language below a heading of a page."""
    section = find_section(page, heading)
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def run_script(shell: str, script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in a folder, with the program on its path."""
    program = folder / "bin" / "scaleengine-exporter"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m exporter "$@"\n')
    program.chmod(0o755)
    return subprocess.run(  # noqa: S603 - the commands are the documents'
        [shell, "-ec", script],
        cwd=folder,
        env={"PATH": f"{program.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_newcomer_gets_a_good_configuration(tmp_path: Path) -> None:
    """The commands and the file of the README pass the check as they are."""
    prepare, check = blocks(README, "Configure", "sh")
    (tmp_path / "config.yaml").write_text(blocks(README, "Configure", "yaml")[0])
    checked = run_script("/bin/sh", prepare + check.splitlines()[0], tmp_path)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout == "config.yaml: good\n"


def test_bash_completes_commands_flags_and_values(tmp_path: Path) -> None:
    """With the documented line, bash completes commands, flags and values."""
    bash, zsh, fish = blocks(CONFIGURATION, "Shell completion", "sh")[0].splitlines()
    typed = [["ch"], ["check", "--out"], ["--log.level", "d"], ["--config.check", "de"]]
    script = [bash]
    for words in typed:
        script.append(f"COMP_WORDS=(scaleengine-exporter {' '.join(words)}); COMPREPLY=()")
        script.append(f"COMP_CWORD={len(words)}; {FUNCTION} scaleengine-exporter")
        script.append('echo "${COMPREPLY[*]}"')
    completed = run_script("/bin/bash", "\n".join(script), tmp_path)
    assert (completed.returncode, completed.stderr) == (0, "")
    assert completed.stdout.split() == ["check", "--output", "debug", "demo"]
    sourced = run_script("/bin/sh", fish.partition("|")[0], tmp_path)
    assert "complete --no-files --command scaleengine-exporter" in sourced.stdout
    ask_zsh = zsh.removeprefix('eval "$(').partition(')"')[0]
    assert "#compdef scaleengine-exporter" in run_script("/bin/sh", ask_zsh, tmp_path).stdout


def test_a_newcomer_can_run_the_program() -> None:
    """What is installed is linked to where a shell looks, before it is called by its name."""
    (commands,) = blocks(README, "Install", "sh")
    *before, call = commands.splitlines()
    assert call == "scaleengine-exporter --version"
    folder, program = "/opt/scaleengine-exporter", "bin/scaleengine-exporter"
    assert before[0] == f"python3 -m venv {folder}"
    assert before[-1] == f"ln -s {folder}/{program} /usr/local/bin/"
    wanted = re.search(r"-r (\S+)", commands)
    assert wanted
    assert (ROOT / wanted[1]).exists()
