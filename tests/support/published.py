"""What a scrape gets from a publisher."""

from exporter.metrics.exposition import Exposition
from exporter.metrics.publisher import Publisher


def published(publisher: Publisher) -> Exposition:
    """Return what was published last; before that, publish."""
    if publisher.latest() is None:
        assert publisher.publish()
    exposition = publisher.latest()
    assert exposition is not None
    return exposition
