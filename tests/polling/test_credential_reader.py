"""Files with secrets are read in threads: one that hangs fails the polls of its account alone."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from exporter.polling.credentials import (
    MAX_HANGING_IN_ALL,
    MAX_HANGING_READS,
    MAX_HANGING_WITH_TURNS,
    CredentialReader,
    FileReads,
)
from exporter.polling.workers import WorkerPool
from exporter.scaleengine.client import Credentials
from exporter.scaleengine.errors import AuthError
from tests.polling.simulated import monotonic, run_simulated

T = TypeVar("T")

CREDENTIALS = Credentials("key", "secret")


class HangingFiles:
    """Workers whose work hangs until ``may_end`` is set."""

    def __init__(self, pool: WorkerPool) -> None:
        self.slot = pool.slot
        self.may_end = asyncio.Event()
        self.reads = 0

    async def run(self, work: Callable[[], T]) -> T:
        self.reads += 1
        await self.may_end.wait()
        return work()


def test_a_read_that_hangs_fails_the_poll_at_the_deadline() -> None:
    """The poll fails at the deadline, and names it; no other read begins until this one ends."""

    async def run() -> None:
        pool = WorkerPool(1)
        files = HangingFiles(pool)
        reader = CredentialReader(lambda: CREDENTIALS, files, timeout=30.0)
        for _ in range(3):
            began = monotonic()
            with pytest.raises(AuthError, match="was not read within 30 s"):
                await reader.read()
            assert 30.0 <= monotonic() - began <= 31.0
        assert (files.reads, pool.taken) == (1, 0)
        files.may_end.set()
        await asyncio.sleep(0.0)
        assert await reader.read() == CREDENTIALS
        assert await reader.read() == CREDENTIALS
        assert files.reads == 2 + 1

    run_simulated(run())


def test_a_read_of_a_closed_loop_blocks_no_other() -> None:
    """A read that was under way in a loop that is closed keeps no other from beginning."""
    files = HangingFiles(WorkerPool(1))
    reader = CredentialReader(lambda: CREDENTIALS, files, timeout=30.0)
    loop = asyncio.new_event_loop()
    lost = loop.create_task(reader.read())
    while not files.reads:
        loop.run_until_complete(asyncio.sleep(0.0))
    loop.close()

    async def run() -> None:
        files.may_end = asyncio.Event()
        files.may_end.set()
        assert await reader.read() == CREDENTIALS

    run_simulated(run())
    assert not lost.done()


def test_polls_share_a_slow_read() -> None:
    """Polls that come meanwhile wait for the same read."""

    async def run() -> None:
        files = HangingFiles(WorkerPool(1))
        reader = CredentialReader(lambda: CREDENTIALS, files, timeout=30.0)
        asyncio.get_running_loop().call_later(29.0, files.may_end.set)
        polls = [asyncio.create_task(reader.read()) for _ in range(3)]
        assert await asyncio.gather(*polls) == [CREDENTIALS] * 3
        assert (monotonic(), files.reads) == (29.0, 1)

    run_simulated(run())


def test_reads_that_hang_leave_other_accounts_alone() -> None:
    """Each holds back the others for a second, once."""

    async def run() -> None:
        pool = WorkerPool(1)
        files = HangingFiles(pool)
        hanging = [CredentialReader(lambda: CREDENTIALS, files, 30.0) for _ in range(5)]
        polls = [asyncio.create_task(reader.read()) for reader in hanging]
        await asyncio.sleep(0.0)
        healthy = HangingFiles(pool)
        healthy.may_end.set()
        assert await CredentialReader(lambda: CREDENTIALS, healthy, 30.0).read() == CREDENTIALS
        assert monotonic() == 5.0
        outcomes = await asyncio.gather(*polls, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {AuthError}

    run_simulated(run())


def test_a_folder_that_hangs_takes_few_threads() -> None:
    """However many accounts have secrets there; those of other folders are read meanwhile."""

    async def run() -> None:
        files, reads = HangingFiles(WorkerPool(8)), FileReads()
        hanging = [
            CredentialReader(lambda: CREDENTIALS, files, 30.0, [Path("hangs")], reads)
            for _ in range(100)
        ]
        polls = [asyncio.create_task(reader.read()) for reader in hanging]
        await asyncio.sleep(5.0)
        assert files.reads == MAX_HANGING_READS
        healthy = HangingFiles(WorkerPool(8))
        healthy.may_end.set()
        reader = CredentialReader(lambda: CREDENTIALS, healthy, 30.0, [Path("other")], reads)
        assert await reader.read() == CREDENTIALS
        outcomes = await asyncio.gather(*polls, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {AuthError}
        assert (monotonic() <= 32.0, files.reads) == (True, MAX_HANGING_READS)

        polls = [asyncio.create_task(reader.read()) for reader in hanging]
        await asyncio.sleep(1.0)
        files.may_end.set()
        assert await asyncio.gather(*polls) == [CREDENTIALS] * 100

    run_simulated(run())


def make_hanging(files: HangingFiles, reads: FileReads, folders: int) -> list[CredentialReader]:
    """Return a reader for each folder, where reads hang until ``files.may_end`` is set."""
    return [
        CredentialReader(lambda: CREDENTIALS, files, 30.0, [Path(f"mount/{number}")], reads)
        for number in range(folders)
    ]


def test_folders_that_hang_take_few_threads_together() -> None:
    """Given a folder for each account, then a mount that hangs takes no thread for each of them."""

    async def run() -> None:
        files, reads = HangingFiles(WorkerPool(64)), FileReads()
        hanging = make_hanging(files, reads, 200)
        polls = [asyncio.create_task(reader.read()) for reader in hanging]
        await asyncio.sleep(0.99)
        assert files.reads == MAX_HANGING_IN_ALL
        outcomes = await asyncio.gather(*polls, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {AuthError}
        assert files.reads == MAX_HANGING_WITH_TURNS
        causes = Counter(outcome.cause for outcome in outcomes if isinstance(outcome, AuthError))
        assert causes == {
            "a file with a secret was not read within 30 s": MAX_HANGING_WITH_TURNS,
            "no file with a secret was opened within 30 s, because too many reads of such files "
            "hang": 200 - MAX_HANGING_WITH_TURNS,
        }

        files.may_end.set()
        polls = [asyncio.create_task(reader.read()) for reader in hanging]
        assert await asyncio.gather(*polls) == [CREDENTIALS] * 200

    run_simulated(run())


def test_folders_that_hang_leave_other_folders_alone() -> None:
    """However many reads hang, accounts with files in a good folder are read, one by one."""

    async def run() -> None:
        files, reads = HangingFiles(WorkerPool(64)), FileReads()
        hanging = make_hanging(files, reads, MAX_HANGING_IN_ALL + 10)
        polls = [asyncio.create_task(reader.read()) for reader in hanging]
        await asyncio.sleep(0.0)
        healthy = HangingFiles(WorkerPool(8))
        healthy.may_end.set()
        good = [
            CredentialReader(lambda: CREDENTIALS, healthy, 30.0, [Path("good")], reads)
            for _ in range(100)
        ]
        for _ in range(2):
            assert [await reader.read() for reader in good] == [CREDENTIALS] * 100
            every = [asyncio.create_task(reader.read()) for reader in good]
            assert await asyncio.gather(*every) == [CREDENTIALS] * 100
            assert monotonic() <= 3.0
        outcomes = await asyncio.gather(*polls, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {AuthError}
        assert files.reads == MAX_HANGING_IN_ALL + 10

        late = CredentialReader(lambda: CREDENTIALS, files, 30.0, [Path("mount/1")], reads)
        with pytest.raises(AuthError, match="because too many reads of such files hang"):
            await late.read()
        assert files.reads == MAX_HANGING_IN_ALL + 10

    run_simulated(run())


def test_an_error_of_a_read_is_raised_in_each_poll() -> None:
    """It is raised in each poll that waits for the read, and the next poll reads again."""

    async def run() -> None:
        def fail() -> Credentials:
            raise AuthError("credentials", "the file is missing", "put it there")

        files = HangingFiles(WorkerPool(1))
        files.may_end.set()
        reader = CredentialReader(fail, files, timeout=30.0)
        for reads in (1, 2):
            with pytest.raises(AuthError, match="missing"):
                await reader.read()
            assert files.reads == reads

    run_simulated(run())
