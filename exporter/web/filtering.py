"""Build the bodies of requests for some metrics only: ``name[]``."""

from collections.abc import Collection
from functools import partial

from exporter.metrics.exposition import Body, Exposition
from exporter.web.build_queue import BuildQueue


async def build_filtered(
    queue: BuildQueue, exposition: Exposition, names: Collection[str], *, gzip: bool, client: str
) -> Body | None:
    """Return the samples with these names, or None where too many bodies wait to be built.

    Cancel it when the client has left. ``client`` is the address of the client.
    """
    known = exposition.known(names)
    build = exposition.gzip if gzip else exposition.text
    key = (id(exposition), known, gzip)  # what is built keeps the exposition, and so its id
    return await queue.build(key, partial(build, known), client)
