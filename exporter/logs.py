"""How log lines look: logfmt or JSON on standard error, one line for each event."""

import json
import logging
import sys
from collections.abc import Callable
from typing import Final

import structlog
from structlog.typing import EventDict, Processor

from exporter.process.background_writer import BackgroundWriter

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}


_LOSS: Final = "standard error was not read, or could not be written"


def configure_logging(
    level: str,
    format_: str,
    redact: Callable[[str], str],
    stderr: BackgroundWriter | None = None,
) -> None:
    """Write the events of the level (debug, info, warn, error) and above, as logfmt or json.

    The libraries are heard from ``warn`` on only, in the same form: below that they speak of their
    own inside. ``redact`` takes the secrets out of each line: a traceback may hold what was never
    chosen to log. ``stderr`` is what writes ``sys.stderr``; where it drops lines, a line says so.
    """
    common: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("msg"),
        _drop_missing,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if format_ == "json"
        else structlog.processors.LogfmtRenderer(
            key_order=("ts", "level", "msg", "result"), drop_missing=True
        )
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *common,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=common,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                renderer,
                lambda _, __, line: redact(_escape_control(str(line))),
            ],
        )
    )

    def describe_loss(lines: int) -> str:
        event: EventDict = {"event": "log lines dropped", "lines": lines, "cause": _LOSS}
        for process in common:
            process(None, "warning", event)  # in place, all of them
        return str(renderer(None, "warning", event))

    if stderr is not None:
        stderr.describe_loss = describe_loss
    root = logging.getLogger()
    root.handlers = [handler]
    logging.captureWarnings(capture=True)  # as "py.warnings", in one line
    # What it warns of fails a request, with a message of ours, or is of no consequence; it writes
    # a traceback for a header that it finds odd.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    set_log_level(level)


def set_log_level(level: str) -> None:
    """Write the events of the level (debug, info, warn, error) and above from now on."""
    logging.getLogger().setLevel(max(_LEVELS[level], logging.WARNING))
    logging.getLogger("exporter").setLevel(_LEVELS[level])


def _drop_missing(_: object, __: str, event: EventDict) -> EventDict:
    """Remove the fields without a value: ``code=`` would be taken for an empty code."""
    for name in [name for name, value in event.items() if value is None]:
        del event[name]
    return event


def _escape_control(line: str) -> str:
    """Escape control characters and line breaks as JSON does."""
    if line.isprintable():
        return line
    return "".join(sign if sign.isprintable() else json.dumps(sign)[1:-1] for sign in line)
