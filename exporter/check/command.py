"""The command ``check``."""

from collections.abc import Iterable, Iterator
from typing import TextIO

from exporter.check.asking import Asking
from exporter.check.findings import CONFIGURATION, Finding, Outcome, masked
from exporter.check.report import WRITERS
from exporter.check.trials import Trials
from exporter.plan import Plan
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.masking import KnownSecrets
from exporter.terminal import Progress


def check(
    plan: Plan,
    cautions: Iterable[str],
    secrets: KnownSecrets,
    output: str,
    shown: tuple[TextIO, Progress],
) -> bool:
    """Try a plan for real, print what comes of it, and return whether nothing failed.

    ``cautions`` are what is to be said of the configuration; ``output`` is ``text`` or ``json``.
    ``shown`` is where the findings go, and what shows what is being tried.
    """
    out, progress = shown
    clock = Clock()
    asking = Asking(plan, clock, secrets.learn)

    def findings() -> Iterator[Finding]:
        yield from (Finding(CONFIGURATION, Outcome.WARN, caution) for caution in cautions)
        for finding in Trials(plan, asking, clock, progress.tell).run():
            progress.hide()
            yield masked(finding, secrets.hide)

    try:
        counts = WRITERS[output](findings(), out)
    finally:
        progress.hide()
        asking.close()
    return not counts[Outcome.FAIL]
