"""An account while it is polled: what the polls of its targets share."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from exporter.polling.breaker import CredentialBreaker
from exporter.polling.failure_log import FailureLog
from exporter.polling.fair_limiter import FairLimiter
from exporter.polling.verdicts import CredentialVerdict, ignore
from exporter.polling.walk import WalkLimits
from exporter.polling.workers import Workers
from exporter.process.log_limit import LogLimit
from exporter.scaleengine.client import Client, Credentials
from exporter.scaleengine.clock import since_boot
from exporter.scaleengine.errors import AuthError

_SLOT_SECONDS: Final = 1.0
"""Seconds after which a read that hangs keeps no other account from reading."""


class CredentialReader:
    """Reads the credentials of an account at each poll, for a secret may change.

    ``read`` raises AuthError where they cannot be read. Where it reads files, which may hang, it is
    called in a thread of ``workers``. A poll waits ``timeout`` seconds for it; while a read hangs,
    the account begins no other.
    """

    def __init__(
        self,
        read: Callable[[], Credentials],
        workers: Workers | None = None,
        timeout: float = 30.0,
    ) -> None:
        self._read = read
        self._workers = workers
        self._timeout = timeout
        self._reading: asyncio.Task[Credentials] | None = None

    async def read(self) -> Credentials:
        """Return the credentials as they are now; raises AuthError."""
        if self._workers is None:
            return self._read()
        reading = self._find_reading()
        if reading is None:
            async with self._workers.slot():
                reading = self._find_reading()  # another poll may have begun one meanwhile
                if reading is None:
                    reading = asyncio.create_task(self._workers.run(self._read))
                    reading.add_done_callback(_retrieve)
                    self._reading = reading
                await asyncio.wait([reading], timeout=min(self._timeout, _SLOT_SECONDS))
        if not reading.done():
            await asyncio.wait([reading], timeout=self._timeout)
        if reading.done():
            return reading.result()
        raise AuthError(
            "credentials",
            f"a file with a secret was not read within {self._timeout:g} s",
            "check for a pipe without a writer, or a mount whose server does not answer",
        )

    def _find_reading(self) -> "asyncio.Task[Credentials] | None":
        """Return the read that is under way in this event loop."""
        reading = self._reading
        if reading is None or reading.done():
            return None
        return reading if reading.get_loop() is asyncio.get_running_loop() else None


@dataclass(frozen=True, slots=True)
class PolledAccount:
    """What the polls of an account share.

    ``judge`` is called for each attempt with what it shows of the credentials. ``failures`` decides
    which failures are logged as warnings, ``log_limit`` which retries and waits are at info.
    """

    name: str
    client: Client
    credentials: CredentialReader
    limiter: FairLimiter
    breaker: CredentialBreaker
    limits: WalkLimits
    workers: Workers
    judge: Callable[[CredentialVerdict], None] = ignore
    failures: FailureLog = field(default_factory=FailureLog)
    log_limit: LogLimit = field(default_factory=lambda: LogLimit(since_boot, max_events=None))


def _retrieve(task: "asyncio.Task[Credentials]") -> None:
    """Take the error of a read that every poll has given up."""
    if not task.cancelled():
        task.exception()
