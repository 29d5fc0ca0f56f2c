"""Build the bodies of requests for some metrics only: ``name[]``.

A body that is ready costs nothing; these are made when they are requested. So each is built once
for all who request the same, one at a time, and not at all when its clients have left before.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from exporter.metrics.exposition import Body, Exposition
from exporter.web.fair_queue import FairQueue, Keys, find_networks

MAX_WAITING: Final = 64
"""Bodies that wait to be built. Where there are more, one of the network with most makes way."""

_Key: TypeAlias = tuple[int, frozenset[str], bool]


@dataclass(slots=True, eq=False)
class _Job:
    """A body to build, for ``clients`` of them; the outcome is None when it made way for others."""

    key: _Key
    networks: Keys
    build: Callable[[], Body]
    outcome: asyncio.Future[Body | None]
    clients: int = 0


class FilteredBodies:
    """Builds bodies in a thread, in turns for those who request them; to be used in one loop."""

    def __init__(self) -> None:
        self._queue: FairQueue[_Job] = FairQueue(MAX_WAITING)
        self._jobs: dict[_Key, _Job] = {}
        self._worker: asyncio.Task[None] | None = None

    async def build(
        self, exposition: Exposition, names: Collection[str], *, gzip: bool, client: str
    ) -> Body | None:
        """Return the samples with these names, or None where too many bodies wait to be built.

        Cancel it when the client has left. ``client`` is the address of the client.
        """
        known = exposition.known(names)
        key = (id(exposition), known, gzip)  # its job keeps the exposition, and so its id
        job = self._jobs.get(key)
        if job is None:
            body = exposition.gzip if gzip else exposition.text
            outcome = asyncio.get_running_loop().create_future()
            job = _Job(key, find_networks(client), partial(body, known), outcome)
            self._enqueue(job)
        job.clients += 1
        try:
            return await asyncio.shield(job.outcome)
        finally:
            job.clients -= 1

    def _enqueue(self, job: _Job) -> None:
        self._jobs[job.key] = job
        dropped = self._queue.add(job, job.networks)
        if dropped is not None:
            del self._jobs[dropped.key]
            dropped.outcome.set_result(None)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while self._queue:
            job = self._queue.next()
            try:
                if job.clients:
                    self._queue.charge(job.networks)
                    body = await asyncio.to_thread(job.build)
                    job.outcome.set_result(body)
            except Exception as error:  # noqa: BLE001 - whoever waits gets it
                if job.clients:
                    job.outcome.set_exception(error)
            finally:
                del self._jobs[job.key]
