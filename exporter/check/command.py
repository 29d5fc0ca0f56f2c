"""The command ``check``."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TextIO

from exporter.check.asking import Asking
from exporter.check.findings import CONFIGURATION, Finding, Outcome, masked
from exporter.check.report import WRITERS
from exporter.check.selection import select
from exporter.check.trials import Trials
from exporter.check.whole_polls import WholePolls
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.redaction import SecretRedactor
from exporter.settings import Settings
from exporter.terminal import Progress


@dataclass(frozen=True, slots=True)
class Options:
    """What to check, and how to print it.

    ``output`` is ``text`` or ``json``. ``full`` polls each target whole. Only these ``accounts``
    and ``paths`` are tried, all where there are none.
    """

    output: str = "text"
    full: bool = False
    accounts: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


def check(
    settings: Settings,
    cautions: Iterable[str],
    secrets: SecretRedactor,
    options: Options,
    shown: tuple[TextIO, Progress],
) -> bool:
    """Check the settings against the API, print the results; return whether nothing failed.

    ``cautions`` are what is to be said of the configuration. ``shown`` is where the findings go,
    and what shows what is being tried. Raises SelectionError for a wrong account or path.
    """
    out, progress = shown
    settings = select(settings, options.accounts, options.paths)
    clock = Clock()
    whole_polls = (
        WholePolls(settings.max_workers, clock, progress.advance) if options.full else None
    )
    asking = Asking(settings, clock, secrets.register, whole_polls)

    def findings() -> Iterator[Finding]:
        yield from (Finding(CONFIGURATION, Outcome.WARN, caution) for caution in cautions)
        trials = Trials(settings, asking, clock, progress.tell, is_part=bool(options.paths))
        for finding in trials.run():
            progress.hide()
            yield masked(finding, secrets.redact)

    try:
        counts = WRITERS[options.output](findings(), out)
    finally:
        progress.hide()
        asking.close()
    return not counts[Outcome.FAIL]
