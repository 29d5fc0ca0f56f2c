"""The command ``backfill``: from settings and options to a file or to blocks of a TSDB."""

import fcntl
import os
import random
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import structlog

from exporter.accounts import AccountPool, Dependencies, build_accounts
from exporter.backfill.collecting import CollectionResult, Collector
from exporter.backfill.openmetrics import Output, SampleTimes, Series, WriteResult, write_history
from exporter.backfill.options import BackfillOptions, Destination, describe_moment, find_problems
from exporter.backfill.progress import BackfillProgress
from exporter.backfill.rows import RowStore, is_damaged, report_gaps
from exporter.backfill.scope import BackfillScope, build_scope, decode_scope, encode_scope
from exporter.backfill.tsdb import (
    PromtoolError,
    find_promtool,
    make_blocks,
    move_blocks,
    remove_blocks,
)
from exporter.backfill.windows import EARLIEST_DAY, find_last_day_before, list_windows_before
from exporter.backfill.work_folder import (
    OutputError,
    WorkFolder,
    build_unwritable_error,
    check_file,
    follow_link,
    lock_work_folder,
    place_file,
)
from exporter.polling.targets import DiskUsageTarget
from exporter.polling.threads import StopRequestedError, build_stoppable_clock
from exporter.process.ending import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_OK
from exporter.process.streams import STDOUT
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.redaction import SecretRedactor
from exporter.scaleengine.timestamps import TimestampAllocator
from exporter.settings import Settings

log: Final = structlog.get_logger(__name__)

_BUFFER_BYTES: Final = 1024 * 1024


class BackfillError(Exception):
    """A backfill cannot be made; the text says why, and the next step."""


class BackfillUsageError(BackfillError):
    """The options cannot be carried out; no request was sent."""


@dataclass(frozen=True, slots=True)
class Host:
    """What a backfill needs of its process.

    ``on_stop`` takes the function to call when the process should stop.
    """

    on_stop: Callable[[Callable[[], object]], None]
    progress: BackfillProgress
    secrets: SecretRedactor
    clock: Clock


def backfill(settings: Settings, options: BackfillOptions, host: Host) -> int:
    """Collect the history and write it; return the exit status.

    Raises BackfillError where that cannot be done.
    """
    targets = _choose_targets(settings, options, host.clock.now())
    destination = follow_link(options.destination)
    try:
        check_file(destination)
        if destination.stream:
            _check_stdout()
        promtool = find_promtool(destination.promtool) if destination.tsdb else None
    except (OutputError, PromtoolError) as error:
        raise BackfillUsageError(str(error)) from None
    stop = threading.Event()
    host.on_stop(stop.set)
    options = replace(options, destination=destination)
    try:
        with _open_folder(destination) as folder, closing(_open_rows(folder, options)) as store:
            return _Run(settings, options, host, stop, store, folder).run(targets, promtool)
    except (OutputError, PromtoolError) as error:
        raise BackfillError(str(error)) from None
    except sqlite3.Error as error:
        if is_damaged(error):
            raise BackfillError(
                f"the rows of the run to resume are damaged ({error}): leave out --resume"
            ) from None
        raise BackfillError(
            f"the rows cannot be kept ({error}): make room, then run again with --resume"
        ) from None


@contextmanager
def _open_folder(destination: Destination) -> Iterator[WorkFolder | None]:
    """Return the folder of a run, without results; a run for standard output has none."""
    if destination.stream:
        yield None
        return
    with lock_work_folder(destination) as folder:
        folder.remove_results()
        try:
            yield folder
        finally:
            folder.remove_results()


def _open_rows(folder: WorkFolder | None, options: BackfillOptions) -> RowStore:
    """Open the rows of the run to resume; without --resume there are none."""
    if folder is None:
        return RowStore(None)
    if folder.rows.exists():
        resume = options.destination.resume
        _take_back_blocks(folder.rows, ignore_damage=not resume)
        if not resume:
            log.info("starting over", left_out="an incomplete run, which --resume continues")
            folder.remove_rows()
    return RowStore(folder.rows)


def _take_back_blocks(rows: Path, *, ignore_damage: bool) -> None:
    """Remove the blocks of an earlier run that ended while it moved them: they are made again.

    Raises OutputError, and sqlite3.Error where the rows cannot be read.
    """
    try:
        with closing(RowStore(rows)) as store:
            if blocks := store.read_moves():
                log.info("removing the blocks of an incomplete run", blocks=len(blocks))
                remove_blocks(blocks)
                store.write_moves(())
    except sqlite3.Error as error:
        if not (ignore_damage and is_damaged(error)):
            raise


def _choose_targets(
    settings: Settings, options: BackfillOptions, now: float
) -> list[DiskUsageTarget]:
    """Return the disk usage target of each chosen account; raises BackfillUsageError."""
    known = {
        target.account: target for target in settings.targets if isinstance(target, DiskUsageTarget)
    }
    problems = list(find_problems(options, known.keys(), now))
    if not known:
        problems.append("no account has disk_usage enabled: there is nothing to fill in")
    if problems:
        raise BackfillUsageError("; ".join(problems))
    return [known[name] for name in dict.fromkeys(options.accounts or known)]


class _Run:
    """One run, from what an earlier one has left to what is written."""

    def __init__(
        self,
        settings: Settings,
        options: BackfillOptions,
        host: Host,
        stop: threading.Event,
        store: RowStore,
        folder: WorkFolder | None,
    ) -> None:
        self._settings = settings
        self._options = options
        self._host = host
        self._stop = stop
        self._store = store
        self._folder = folder

    def run(self, targets: Sequence[DiskUsageTarget], promtool: str | None) -> int:
        """Collect, report and write; return the exit status."""
        scope = self._begin(
            build_scope(self._settings, targets, self._options, self._host.clock.now())
        )
        scope, collected = self._collect(scope, targets)
        incomplete = [account for account in collected if not account.is_complete]
        if incomplete:
            return self._report_incomplete(incomplete)
        self._report_gaps(scope, targets)
        try:
            written = self._write(scope, promtool)
        except StopRequestedError:
            self._log_nothing_written()
            return EXIT_INTERRUPTED
        self._report_written(written, sum(account.requests for account in collected))
        if self._folder is not None:
            self._folder.remove()
        return EXIT_OK

    def _begin(self, scope: BackfillScope) -> BackfillScope:
        """Return the scope of the run: the earlier one if it is resumed; raises BackfillError."""
        left = self._store.read_scope()
        if left is None:
            if self._options.destination.resume:
                log.info("nothing to resume, starting")
            self._store.write_scope(encode_scope(scope))
            return scope
        before = decode_scope(left)
        if before is None:
            raise BackfillUsageError("the run to resume is of another version: leave out --resume")
        if differences := before.find_differences(self._options, scope):
            raise BackfillUsageError(
                f"the run to resume was for other {' and '.join(differences)}: ask for the "
                "same, or leave out --resume"
            )
        return before

    def _collect(
        self, scope: BackfillScope, targets: Sequence[DiskUsageTarget]
    ) -> tuple[BackfillScope, list[CollectionResult]]:
        """Collect all accounts; return what each came to."""
        host = self._host
        dependencies = Dependencies(
            build_stoppable_clock(host.clock, self._stop),
            TimestampAllocator(self._stop.wait),
            lambda _: None,
            host.secrets.register,
        )
        accounts = build_accounts(self._settings, dependencies)
        self._on_stop(accounts)
        collector = Collector(
            self._store,
            self._stop,
            random.Random(),  # noqa: S311 - it spreads attempts, it keeps no secret
            host.progress.show_window,
            host.progress.warn,
        )
        windows = sum(1 for _ in list_windows_before(scope.end, scope.first_day))
        steps = None if scope.first_day is None else windows * len(targets)
        collected = []
        try:
            with host.progress.stage("collecting", steps):
                for target in targets:
                    account = accounts.accounts[target.account]
                    done = collector.collect(account, target, scope.end, scope.first_day)
                    collected.append(done)
                    scope = replace(scope, cutoff=scope.limit(account.client.time.earliest()))
                    self._store.write_scope(encode_scope(scope))
        finally:
            accounts.close()
        return scope, collected

    def _on_stop(self, accounts: AccountPool) -> None:
        """End requests in flight when it is time to stop."""

        def stop() -> None:
            self._stop.set()
            accounts.close()

        self._host.on_stop(stop)

    def _report_incomplete(self, incomplete: Sequence[CollectionResult]) -> int:
        """Log how far each account was collected, and how to go on."""
        for account in incomplete:
            fields: dict[str, object] = {"account": account.account}
            if account.oldest is not None:
                fields["complete_from"] = str(account.oldest.first)
            if account.error is not None:
                log.error(
                    "account not collected",
                    **fields,
                    reason=str(account.error.reason),
                    cause=account.error.cause,
                    advice=account.error.advice,
                )
            else:
                log.warning("account not collected", **fields, cause="interrupted")
        self._log_nothing_written()
        interrupted = any(account.stopped for account in incomplete)
        return EXIT_INTERRUPTED if interrupted else EXIT_FAILURE

    def _log_nothing_written(self) -> None:
        """Log how to go on, and leave nothing behind where nothing is worth it."""
        is_kept = self._folder is not None and not self._store.is_empty()
        if self._folder is not None and not is_kept:
            self._folder.remove()
        log.error("nothing written", advice="run again with --resume" if is_kept else "run again")

    def _report_gaps(self, scope: BackfillScope, targets: Sequence[DiskUsageTarget]) -> None:
        """Log what is missing, and what does not fit the live series."""
        if scope.cutoff < scope.end:
            self._host.progress.warn(
                "ScaleEngine's clock is behind, history ends early",
                {"end": describe_moment(scope.cutoff), "advice": "check the clock of this machine"},
            )
        last_day = find_last_day_before(scope.cutoff)
        for target in targets:
            reports = report_gaps(
                self._store, target.account, target.cpu_users, scope.first_day, last_day
            )
            for event, fields in reports:
                log.warning(event, **fields)
        names = {name for name, _ in self._options.labels}
        missing = sorted({"job", "instance"} - names)
        if missing:
            log.warning(
                "series lack labels",
                missing=",".join(missing),
                advice="set --label=job=... and --label=instance=... as Prometheus shows them",
            )

    def _write(self, scope: BackfillScope, promtool: str | None) -> WriteResult:
        """Write everything to its destination; raises StopRequestedError."""
        destination, folder = self._options.destination, self._folder
        if folder is None:
            with _open_stdout() as output:
                return self._write_text(scope, output)
        try:
            with folder.text.open("wb", buffering=_BUFFER_BYTES) as file:
                written = self._write_text(scope, file)
        except OSError as error:
            raise build_unwritable_error(folder.text, error) from None
        blocks = None
        if promtool is not None and destination.tsdb is not None and written.samples:
            with self._host.progress.stage("making blocks", None):
                made = make_blocks(promtool, folder.text, folder.blocks, written, self._stop)
                move_blocks(made, destination.tsdb, self._store.write_moves)
            blocks = len(made)
        if destination.file is not None:
            try:
                place_file(folder.text, destination, destination.file)
            except OutputError:
                remove_blocks(self._store.read_moves())
                raise
        if blocks is not None:
            log.info("blocks made", folder=str(destination.tsdb), blocks=blocks)
        return written

    def _write_text(self, scope: BackfillScope, output: Output) -> WriteResult:
        first_day, last_day = scope.first_day or EARLIEST_DAY, find_last_day_before(scope.cutoff)
        users = self._store.list_users(first_day, last_day)

        quotas = {account.name: account.quotas for account in self._settings.accounts}
        families = 3 if any(quotas.values()) else 2

        def advance(steps: int) -> None:
            if self._stop.is_set():
                raise StopRequestedError
            self._host.progress.advance(steps)

        with self._host.progress.stage("writing", len(users) * families):
            return write_history(
                users,
                lambda: self._store.read_users(first_day, last_day),
                Series(
                    dict(self._options.labels),
                    quotas,
                    self._host.secrets.redact,
                ),
                SampleTimes(self._options.step, scope.cutoff),
                output,
                advance,
            )

    def _report_written(self, written: WriteResult, requests: int) -> None:
        destination = self._options.destination
        place = destination.file or destination.tsdb or "standard output"
        fields: dict[str, object] = {"to": str(place), "series": written.series}
        if written.first is not None and written.last is not None:
            fields["first"] = describe_moment(written.first)
            fields["last"] = describe_moment(written.last)
        log.info("history written", **fields, samples=written.samples, requests=requests)


def _check_stdout() -> None:
    """Raise OutputError where standard output is closed or cannot be written to."""
    if fcntl.fcntl(STDOUT, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OutputError("standard output is closed: open it, or name a file with --output")


@contextmanager
def _open_stdout() -> Iterator[Output]:
    """Return standard output as bytes; unlike ``sys.stdout``, it fails where it cannot be written.

    Raises OutputError.
    """
    try:
        with os.fdopen(os.dup(STDOUT), "wb", buffering=_BUFFER_BYTES) as output:
            yield output
    except OSError as error:
        raise OutputError(
            f"standard output cannot be written ({error.strerror or error}): "
            "see why its reader has ended, or make room where it goes"
        ) from None
