"""A change of the configuration's files is found, settled, and reloaded once."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from exporter.config import Fingerprint, list_named_files, load, take_fingerprint
from exporter.config_watch import ConfigWatch, ConfigWatcher
from exporter.simulator import Simulator
from exporter.timed_read import SETTLE_SECONDS
from exporter.yamlfile.problems import ConfigError, Problem
from tests.support.fixtures import StartProgram

if TYPE_CHECKING:
    from collections.abc import Callable


INTERVAL = 30.0
A, B, C = (Fingerprint(letter, b"") for letter in (b"a", b"b", b"c"))
HANGS = "config.yaml: was not read within 20 s"

Looks = Sequence[Fingerprint | str]


class ScriptedFiles:
    """Files whose contents are what each look finds, and the signal to stop after the last look.

    A configuration is one of ``bad``, or it is in force when it was reloaded.
    """

    def __init__(self, looks: Looks, bad: Sequence[Fingerprint | str] = ()) -> None:
        self._looks: Iterator[Fingerprint | str] = iter(looks)
        self._left = len(looks)
        self._bad = bad
        self._now: Fingerprint | str = A
        self._is_successful = True
        self.in_force = A
        self.mistake = "a mistake"
        self.waits: list[float] = []
        self.seen: list[Fingerprint | str] = []
        self.reloaded: list[Fingerprint | str] = []
        watch = ConfigWatch(
            INTERVAL, self.look, lambda: self.in_force, lambda read: read, self.find_problems
        )
        self.watcher = ConfigWatcher[Fingerprint](
            watch, self.request, lambda: self._is_successful, self
        )

    def run(self) -> "ScriptedFiles":
        self.watcher.run()
        return self

    def is_set(self) -> bool:
        return self._left == 0

    def wait(self, timeout: float) -> bool:
        self.waits.append(timeout)
        return self.is_set()

    def look(self) -> Fingerprint:
        self._left -= 1
        self._now = next(self._looks)
        self.seen.append(self._now)
        if isinstance(self._now, str):
            name, _, sentence = self._now.partition(": ")
            raise ConfigError((Problem(name, None, None, "", sentence),))
        return self._now

    def find_problems(self) -> Sequence[str]:
        return [self.mistake] if self._now in self._bad else []

    def request(self) -> "Future[Sequence[str]]":
        self.reloaded.append(self._now)
        problems = self.find_problems()
        self._is_successful = not problems
        if not problems and isinstance(self._now, Fingerprint):
            self.in_force = self._now
        outcome: Future[Sequence[str]] = Future()
        outcome.set_result(problems)
        return outcome


@pytest.mark.parametrize(
    ("looks", "bad", "reloaded"),
    [
        ([A, A], [], []),
        ([B, B], [], [B]),
        ([A, B, B, B, B], [], [B]),
        ([B, C, C], [], [C]),
        ([B, B, C, C], [], [B, C]),
        ([B, A, A], [], []),
        ([B, B, B, B], [B], [B]),
        ([B, B, A, A, A], [B], [B, A]),
        ([B, B, A, A, B, B], [B], [B, A, B]),
        ([HANGS, HANGS, HANGS], [HANGS], [HANGS]),
        ([HANGS, HANGS, B, B], [HANGS], [HANGS, B]),
    ],
)
def test_a_change_that_is_found_twice_reloads(looks: Looks, bad: Looks, reloaded: Looks) -> None:
    """It is when two looks find the same change; what was refused is left until it changes."""
    assert ScriptedFiles(looks, bad).run().reloaded == reloaded


def test_files_are_looked_at_again_a_second_after_a_change() -> None:
    """At the interval, and a second later where there was a change."""
    assert ScriptedFiles([A, A, B, B, B]).run().waits == [
        *[INTERVAL] * 3,
        SETTLE_SECONDS,
        *[INTERVAL] * 2,
    ]


def test_a_refused_file_is_read_again_when_its_secret_appears() -> None:
    """A file is read again when what is wrong with it changes: a secret may come after it."""
    files = ScriptedFiles([B, B, B, B, B], bad=[B])
    mistakes = iter(["no secret", "no secret", "another", "another", "another"])
    files.find_problems = lambda: [next(mistakes)]  # type: ignore[method-assign]
    assert files.run().reloaded == [B, B]


def test_files_that_keep_changing_are_not_read() -> None:
    """They are not read, and the log says why."""
    with capture_logs() as lines:
        assert ScriptedFiles([B, C] * 3).run().reloaded == []
    assert [line["event"] for line in lines] == ["configuration keeps changing, not reloaded"]


@given(looks=st.lists(st.sampled_from([A, B, C]), max_size=30))
def test_only_contents_that_were_found_twice_are_applied(looks: Looks) -> None:
    """For any changes of the files: one look alone decides nothing, and what stays is in force."""
    files = ScriptedFiles([*looks, *[B] * 8]).run()
    pairs = list(zip(files.seen, files.seen[1:], strict=False))
    assert all((found, found) in pairs for found in files.reloaded)
    assert files.in_force == B


def test_a_reload_by_signal_needs_settled_files() -> None:
    """What a signal or a request has read must have been found twice, or read twice."""
    files = ScriptedFiles([B, B]).run()
    assert [files.watcher.is_settled(found) for found in (A, B, C)] == [False, True, False]
    files = ScriptedFiles([]).run()
    assert [files.watcher.is_settled(found) for found in (A, B, C)] == [True, False, False]


ACCOUNT = "accounts: [{cdn: 158, api_key_file: key, api_secret: s}]"


@pytest.mark.parametrize(
    ("change", "is_found"),
    [
        ((lambda folder: folder.stat()), False),
        ((lambda folder: (folder / "a.yaml").touch()), False),
        ((lambda folder: (folder / "notes").write_text("x")), False),
        ((lambda folder: (folder / "a.yaml").write_text(ACCOUNT + "\n")), True),
        ((lambda folder: (folder / "b.yaml").write_text("log: {level: info}")), True),
        ((lambda folder: (folder / "a.yaml").unlink()), True),
        ((lambda folder: (folder / "key").write_text("rotated")), True),
        ((lambda folder: (folder / "key").unlink()), True),
    ],
)
def test_only_changed_contents_are_a_change(
    tmp_path: Path, change: "Callable[[Path], object]", *, is_found: bool
) -> None:
    """It is one of the contents: of the files, of which there are, and of secrets they name."""
    (tmp_path / "a.yaml").write_text(ACCOUNT)
    (tmp_path / "key").write_text("k")
    loaded = load(tmp_path, {})
    change(tmp_path)
    seen = take_fingerprint([tmp_path], list_named_files(loaded.config))
    assert (seen != loaded.fingerprint) == is_found


def test_a_replaced_config_map_is_reloaded(
    start: StartProgram, scaleengine: Simulator, tmp_path: Path
) -> None:
    """Without any request, the program follows the links of a mounted ConfigMap."""
    text = "{{api: {{url: '{}'}}, accounts: [{{name: {}, cdn: 158, api_key: key, api_secret: s}}]}}"
    mounted = tmp_path / "mounted"
    for version in ("old", "new", "bad"):
        folder = mounted / f"..{version}"
        folder.mkdir(parents=True)
        content = text.format(scaleengine.url, version) if version != "bad" else "accounts: []"
        (folder / "config.yaml").write_text(content)
    (mounted / "config.yaml").symlink_to("..data/config.yaml")

    def swap(version: str) -> None:
        (mounted / "..tmp").symlink_to(f"..{version}")
        (mounted / "..tmp").replace(mounted / "..data")

    swap("old")
    program = start(tmp_path, "--config.file=mounted", "--config.auto-reload-interval=1s")
    program.wait_for(msg="listening")
    assert 'scaleengine_account_info{account="old",cdn="158"}' in program.get("/metrics")[1]
    swap("new")
    program.wait_for(msg="configuration reloaded")
    metrics = program.get("/metrics")[1]
    assert 'scaleengine_account_info{account="new",cdn="158"}' in metrics
    assert 'account="old"' not in metrics
    swap("bad")
    refused = program.wait_for(msg="configuration not reloaded")
    assert str(refused["problem"]).startswith("mounted/config.yaml:1:11: accounts: ")
    assert 'scaleengine_account_info{account="new",cdn="158"}' in program.get("/metrics")[1]
    swap("new")
    program.wait_for(2, msg="configuration reloaded")
    assert sum(event.get("msg") == "configuration not reloaded" for event in program.events) == 1
    program.end()
