"""An account while it is polled, and the calls of one poll."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import cached_property
from typing import Concatenate, ParamSpec, TypeVar

from exporter.polling.walk import Limits
from exporter.scaleengine.client import Client, Credentials
from exporter.scaleengine.disk_usage import UsageRow, disk_usage
from exporter.scaleengine.file_listing import Listing, list_files

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Account:
    """What the polls of an account share.

    All its calls are made by ``callers``, so that their number bounds how many are under way.
    ``credentials`` is asked at the start of every poll, for a secret may change; it raises
    AuthError where they cannot be read.
    """

    name: str
    client: Client
    credentials: Callable[[], Credentials]
    callers: Executor
    limits: Limits


class Calls:
    """The calls of one poll, all made with the same credentials.

    ``made`` counts those that have begun: one that still waits when a walk fails is not made.
    """

    def __init__(self, account: Account) -> None:
        self.account = account
        self.made = 0
        self._lock = threading.Lock()

    @cached_property
    def credentials(self) -> Credentials:
        """Return the credentials as they were at the first call of this poll."""
        return self.account.credentials()

    def disk_usage(self, cpu_users: Sequence[str]) -> Sequence[UsageRow]:
        """Ask for the disk usage and wait for the answer."""
        return self._make(disk_usage, cpu_users).result()

    def list_files(self, path: str, file_type: str, offset: int) -> "Future[Listing]":
        """Ask for one answer for a path, without waiting for it."""
        return self._make(list_files, path, file_type, offset)

    def _make(
        self,
        call: Callable[Concatenate[Client, Credentials, P], T],
        *args: P.args,
        **more: P.kwargs,
    ) -> "Future[T]":
        credentials = self.credentials

        def begin() -> T:
            with self._lock:
                self.made += 1
            return call(self.account.client, credentials, *args, **more)

        return self.account.callers.submit(begin)
