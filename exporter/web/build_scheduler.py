"""Build bodies that are not ready when they are requested.

Each is built once for all who request the same, one at a time, and not at all when its clients have
left before.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar, cast

from exporter.metrics.exposition import Body, Exposition
from exporter.web.fair_queue import FairQueue, Keys, find_networks

T = TypeVar("T")

MAX_WAITING: Final = 64
"""Bodies that wait to be built. Where there are more, one of the network with most makes way."""


_MAX_REST_SECONDS: Final = 2.0


@dataclass(slots=True, eq=False)
class _Job:
    """A body to build, for ``clients`` of them; the outcome is None when it made way for others."""

    key: Hashable
    networks: Keys
    build: Callable[[], object]
    outcome: asyncio.Future[object]
    clients: int = 0


class BuildScheduler:
    """Builds in a thread, in turns for those who request; to be used in one loop.

    After each build it rests, ``rest`` seconds for each second that the build took: requests
    without end take no more than one in ``1 + rest`` of a processor, and scrapes go on between.
    ``sleep`` pauses for that long.
    """

    def __init__(
        self, rest: float = 0.0, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._rest = rest
        self._sleep = sleep
        self._queue: FairQueue[_Job] = FairQueue(MAX_WAITING)
        self._jobs: dict[Hashable, _Job] = {}
        self._worker: asyncio.Task[None] | None = None

    async def build(self, key: Hashable, build: Callable[[], T], client: str) -> T | None:
        """Return what ``build`` returns, or None where too many wait; raises what ``build`` raises.

        Those who request the same ``key`` while it is built, or waits, share it. Cancel it when the
        client has left. ``client`` is the address of the client.
        """
        job = self._jobs.get(key)
        if job is None:
            outcome = asyncio.get_running_loop().create_future()
            job = _Job(key, find_networks(client), build, outcome)
            self._enqueue(job)
        job.clients += 1
        try:
            return cast("T | None", await asyncio.shield(job.outcome))
        finally:
            job.clients -= 1

    def _enqueue(self, job: _Job) -> None:
        self._jobs[job.key] = job
        dropped = self._queue.add(job, job.networks)
        if dropped is not None:
            del self._jobs[dropped.key]
            dropped.outcome.set_result(None)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._run_jobs())

    async def _run_jobs(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            job, took = self._queue.next(), 0.0
            try:
                if job.clients:
                    self._queue.charge(job.networks)
                    began = loop.time()
                    body = await asyncio.to_thread(job.build)
                    took = loop.time() - began
                    job.outcome.set_result(body)
            except Exception as error:  # noqa: BLE001 - it is raised in the callers that wait
                if job.clients:
                    job.outcome.set_exception(error)
            finally:
                del self._jobs[job.key]
            await self._sleep(min(self._rest * took, _MAX_REST_SECONDS))


async def build_filtered(
    scheduler: BuildScheduler,
    exposition: Exposition,
    names: Collection[str],
    *,
    gzip: bool,
    client: str,
) -> Body | None:
    """Return the samples with these names, or None where too many bodies wait to be built.

    Cancel it when the client has left. ``client`` is the address of the client.
    """
    known = exposition.known(names)
    build = exposition.gzip if gzip else exposition.text
    key = (id(exposition), known, gzip)  # what is built keeps the exposition, and so its id
    return await scheduler.build(key, partial(build, known), client)
