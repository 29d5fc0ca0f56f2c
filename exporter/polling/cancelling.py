"""End tasks, and wait for their end."""

import asyncio
from collections.abc import Collection
from typing import TypeVar

T = TypeVar("T")


async def cancel_all(tasks: "Collection[asyncio.Task[T]]", max_wait: float | None = None) -> None:
    """Cancel tasks and wait until they have ended, at most ``max_wait`` seconds.

    Their errors are dropped: nobody asks for them any more.
    """
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=max_wait)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()
