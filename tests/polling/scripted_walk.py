"""A walk whose responses come from a script."""

import asyncio
from collections.abc import Mapping

from exporter.polling.folder_counts import FolderCounts
from exporter.polling.snapshots import FileCounts
from exporter.polling.walk import WalkLimits, walk
from exporter.scaleengine.file_listing import FolderListing, Listing

Script = Mapping[tuple[str, int], FolderListing | Exception]
"""What is responded for a path and offset."""


class ScriptedApi:
    """Responds by a script, and with ``elsewhere`` to all else; remembers what was requested."""

    def __init__(self, script: Script, elsewhere: FolderListing) -> None:
        self.script = script
        self.elsewhere = elsewhere
        self.requested: list[tuple[str, int]] = []

    async def request(self, path: str, offset: int) -> Listing:
        """Respond to a request."""
        self.requested.append((path, offset))
        response = self.script.get((path, offset), self.elsewhere)
        if isinstance(response, Exception):
            raise response
        return Listing(response)


def walk_script(
    script: Script, *, elsewhere: FolderListing, max_requests: int = 50, depth: int | None = 2
) -> tuple[FileCounts, ScriptedApi]:
    """Walk over the path ``s``; return what was counted, and the API that was asked."""
    api, counts = ScriptedApi(script, elsewhere), FolderCounts(depth)
    asyncio.run(
        walk("s", api.request, WalkLimits(max_concurrency=1, max_requests=max_requests), counts)
    )
    return counts.result(max_folders=100), api
