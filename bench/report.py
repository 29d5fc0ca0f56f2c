"""Print the measurements as Markdown, and whether the exporter reaches its targets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.scraping import ENCODINGS, Scrapes

OURS: Final = "this exporter"
LIBRARY: Final = "prometheus_client"
GO: Final = "Pushgateway (Go)"
NGINX: Final = "nginx, static file"

_TIMES_GO: Final = {10_000: 100.0, 100_000: 500.0}
_MS_BEHIND_NGINX: Final = {10_000: 1.5}
_MS_PER_MB: Final = 1.0  # to render a MB takes Python fifty, Go twenty and more
_NO_FIGURES: Final = ("-",) * 7
_TEN, _HUNDRED = 10, 100
_HEAD: Final = """\
| series | encoding | server | KB | scrapes | p50 ms | x | p99 ms | x | CPU ms | x |
| ---: | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a scrape takes: KB of the body as sent, milliseconds of the client, and of the CPU."""

    kilobytes: float
    scrapes: int
    p50: float
    p99: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of each server at a number of series in one encoding.

    ``missing`` has the cause for each server that this machine lacks.
    """

    series: int
    encoding: str
    figures: Mapping[str, Figures]
    missing: Mapping[str, str]


def figures(body: bytes, scrapes: Scrapes) -> Figures:
    """Return what scrapes of a body took."""
    return Figures(
        kilobytes=len(body) / 1e3,
        scrapes=len(scrapes.seconds),
        p50=scrapes.quantile(0.5) * 1e3,
        p99=scrapes.quantile(0.99) * 1e3,
        cpu=scrapes.cpu_each * 1e3,
    )


def table(measured: Sequence[Measured]) -> str:
    """Return a row for each server; each ``x`` is the ratio of a figure to this exporter's."""
    return "\n".join([_HEAD, *(row for measurement in measured for row in _rows(measurement))])


def targets(measured: Sequence[Measured]) -> str:
    """Return a line for each target: what was measured, and whether that is enough."""
    compressed = [measurement for measurement in measured if measurement.encoding == "gzip"]
    lines = [*_beside_go(compressed), *_beside_nginx(compressed), *_growth(measured)]
    return "\n".join(f"- {line}" for line in lines)


def _rows(measured: Measured) -> Iterator[str]:
    start = f"| {measured.series:,} | {measured.encoding} |"
    ours = measured.figures[OURS]
    for name, its in measured.figures.items():
        columns = [name, _short(its.kilobytes), f"{its.scrapes:,}"]
        for figure, own in ((its.p50, ours.p50), (its.p99, ours.p99), (its.cpu, ours.cpu)):
            columns += [_short(figure), _short(figure / own) if own else "-"]
        yield f"{start} {' | '.join(columns)} |"
    for name, why in measured.missing.items():
        yield f"{start} {name} | {' | '.join([why, *_NO_FIGURES])} |"


def _beside_go(measured: Sequence[Measured]) -> Iterator[str]:
    for measurement in measured:
        target, go = _TIMES_GO.get(measurement.series), measurement.figures.get(GO)
        if target is None:
            continue
        what = (
            f"{measurement.series:,} series, gzip: p50 at least {target:.0f} times better than Go's"
        )
        if go is None:
            yield f"{what}: not measured"
            continue
        times = go.p50 / measurement.figures[OURS].p50
        yield f"{what}: {_result(good=times >= target)}, {times:,.0f} times"


def _beside_nginx(measured: Sequence[Measured]) -> Iterator[str]:
    for measurement in measured:
        most, static = _MS_BEHIND_NGINX.get(measurement.series), measurement.figures.get(NGINX)
        if most is None:
            continue
        what = (
            f"{measurement.series:,} series, gzip: p50 at most {most} ms behind nginx's static file"
        )
        if static is None:
            yield f"{what}: not measured"
            continue
        behind = measurement.figures[OURS].p50 - static.p50
        yield f"{what}: {_result(good=behind <= most)}, {behind:.2f} ms"


def _growth(measured: Sequence[Measured]) -> Iterator[str]:
    for encoding in ENCODINGS:
        own = [
            measurement.figures[OURS]
            for measurement in measured
            if measurement.encoding == encoding
        ]
        few, many = own[0], own[-1]
        grown, megabytes = many.cpu - few.cpu, (many.kilobytes - few.kilobytes) / 1e3
        yield (
            f"CPU of a scrape, {encoding}: grows with the bytes sent only, at most {_MS_PER_MB} ms "
            f"for each MB: {_result(good=grown <= _MS_PER_MB * megabytes)}, "
            f"{grown:.2f} ms for {megabytes:.2f} MB"
        )


def _result(*, good: bool) -> str:
    return "met" if good else "MISSED"


def _short(number: float) -> str:
    """Return a number with the digits that count."""
    return f"{number:,.{2 if number < _TEN else 1 if number < _HUNDRED else 0}f}"
