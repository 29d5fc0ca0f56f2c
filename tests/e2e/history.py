"""Nine days of history, so that what looks back a day or a week sees something."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Final

from tests.e2e.accounts import Polled, Series, stored
from tests.e2e.programs import run

DAYS: Final = 9
_STEP: Final = timedelta(minutes=30)


def fill(promtool: str, folder: Path, polled: Sequence[Polled], instance: str) -> None:
    """Write blocks of samples, as the exporter at ``instance`` would have served them.

    They go into the data folder of a Prometheus that does not run.
    """
    text = folder / "history.om"
    text.write_text("".join(_lines(polled, instance)))
    # One block a day: promtool's own of two hours take four times as long to write.
    blocks = ("tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=24h")
    run([promtool, *blocks, text, folder / "data"])


def _lines(polled: Sequence[Polled], instance: str) -> Iterator[str]:
    for (name, labels), samples in groupby(sorted(_samples(polled)), lambda sample: sample[0]):
        ours = (*labels, ("instance", instance), ("job", "scaleengine"))
        shown = ",".join(f'{label}="{value}"' for label, value in ours)
        for _, at, value in samples:
            yield f"{name}{{{shown}}} {value} {at}\n"
    yield "# EOF\n"


def _samples(polled: Sequence[Polled]) -> Iterator[tuple[Series, int, float]]:
    """Give series, unix time and value, at every full and half hour until now."""
    now = datetime.now(UTC)
    newest = now.replace(minute=now.minute // 30 * 30, second=0, microsecond=0)
    for step in range(int(timedelta(days=DAYS) / _STEP)):
        at = newest - step * _STEP
        for account in polled:
            for series, value in stored(account, at.date()).items():
                yield series, int(at.timestamp()), value
