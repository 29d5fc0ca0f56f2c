"""The command ``check``."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TextIO

from exporter.check.full_polls import FullPoller
from exporter.check.prober import Prober
from exporter.check.report import WRITERS
from exporter.check.results import CONFIGURATION, CheckResult, Outcome, redact_result
from exporter.check.runner import CheckRunner
from exporter.check.selection import select
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.redaction import SecretRedactor
from exporter.settings import Settings
from exporter.terminal import Progress


@dataclass(frozen=True, slots=True)
class Options:
    """What to check, and how to print it.

    ``output`` is ``text`` or ``json``. ``full`` polls each target completely. Only these
    ``accounts`` and ``paths`` are checked; all if there are none.
    """

    output: str = "text"
    full: bool = False
    accounts: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


def check(
    settings: Settings,
    warnings: Iterable[str],
    secrets: SecretRedactor,
    options: Options,
    shown: tuple[TextIO, Progress],
) -> bool:
    """Check the settings against the API, print the results; return whether nothing failed.

    ``warnings`` are those of the configuration. ``shown`` is the stream for the results, and the
    progress line. Raises SelectionError for a wrong account or path.
    """
    out, progress = shown
    settings = select(settings, options.accounts, options.paths)
    clock = Clock()
    full_poller = (
        FullPoller(settings.max_workers, clock, progress.advance) if options.full else None
    )
    prober = Prober(settings, clock, secrets.register, full_poller)

    def findings() -> Iterator[CheckResult]:
        yield from (CheckResult(CONFIGURATION, Outcome.WARN, warning) for warning in warnings)
        trials = CheckRunner(settings, prober, clock, progress.show, is_part=bool(options.paths))
        for result in trials.run():
            progress.hide()
            yield redact_result(result, secrets.redact)

    try:
        counts = WRITERS[options.output](findings(), out)
    finally:
        progress.hide()
        prober.close()
    return not counts[Outcome.FAIL]
