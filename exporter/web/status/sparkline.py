"""A month of bytes as a small line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

WIDTH: Final = 132
HEIGHT: Final = 30
_MARGIN: Final = 3.0


@dataclass(frozen=True, slots=True)
class Sparkline:
    """The paths of an SVG of ``WIDTH`` to ``HEIGHT``, and where the newest day is in it.

    ``line`` has a gap for each missing day, and ``area`` is what is below it. ``lowest`` and
    ``highest`` are in bytes.
    """

    line: str
    area: str
    x: float
    y: float
    lowest: int
    highest: int


def build_sparkline(days: Sequence[int | None]) -> Sparkline | None:
    """Return the line of the days, the newest last; None where fewer than two have a number."""
    known = [size for size in days if size is not None]
    if len(known) < 2:  # noqa: PLR2004 - a line needs two points
        return None
    lowest, highest = min(known), max(known)
    step = (WIDTH - 2 * _MARGIN) / (len(days) - 1)
    room = HEIGHT - 2 * _MARGIN

    def height(size: int) -> float:
        if lowest == highest:
            return HEIGHT / 2
        return HEIGHT - _MARGIN - room * ((size - lowest) / (highest - lowest))

    points = [
        None if size is None else (_MARGIN + number * step, height(size))
        for number, size in enumerate(days)
    ]
    pieces = list(_split_into_runs(points))
    x, y = pieces[-1][-1]
    return Sparkline(
        line="".join(_draw_line(piece) for piece in pieces),
        area="".join(_draw_area(piece) for piece in pieces),
        x=round(x, 1),
        y=round(y, 1),
        lowest=lowest,
        highest=highest,
    )


_Point = tuple[float, float]


def _split_into_runs(points: Sequence[_Point | None]) -> Iterator[list[_Point]]:
    """Return runs of consecutive points."""
    for is_missing, group in groupby(points, key=lambda point: point is None):
        if not is_missing:
            yield [point for point in group if point is not None]


def _draw_line(piece: Sequence[_Point]) -> str:
    if len(piece) == 1:
        return f"M{piece[0][0]:.1f} {piece[0][1]:.1f}h.1"
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in piece)


def _draw_area(piece: Sequence[_Point]) -> str:
    first, last = piece[0][0], piece[-1][0]
    return (
        f"M{first:.1f} {HEIGHT}L{_draw_line(piece)[1:]}L{last:.1f} {HEIGHT}Z"
        if last > first
        else ""
    )
