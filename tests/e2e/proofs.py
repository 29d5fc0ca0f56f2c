"""What was proven, with the value that was seen: printed at the end, and written to a file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_CELL: Final = 100


@dataclass(frozen=True, slots=True)
class PanelValue:
    """An expression of a panel, and what it returned."""

    panel: str
    expression: str
    returned: str


@dataclass(slots=True)
class Proofs:
    """Proofs (server, what, the value seen) and values of panels by server, in their order."""

    proven: list[tuple[str, str, str]] = field(default_factory=list)
    panels: dict[str, list[PanelValue]] = field(default_factory=dict)

    def add(self, server: str, what: str, seen: object) -> None:
        """Remember what was proven, by which server, and the value that was seen."""
        self.proven.append((server, what, str(seen)))

    def add_panel(self, server: str, value: PanelValue) -> None:
        """Remember what an expression of a panel returned."""
        self.panels.setdefault(server, []).append(value)

    def lines(self) -> Iterator[str]:
        """Return the tables as they are printed."""
        counted = [
            (server, "expressions of panels that return data", str(len(values)))
            for server, values in self.panels.items()
        ]
        yield from _aligned(["server", "proven", "seen"], [*self.proven, *counted])
        # The first server represents all; the file has what each returned.
        for server, values in [*self.panels.items()][:1]:
            yield ""
            rows = [(value.panel, value.returned, _one_line(value.expression)) for value in values]
            yield from _aligned([f"panel ({server})", "returned", "expression"], rows)

    def write(self, file: Path) -> None:
        """Write the tables as Markdown, with every expression whole."""
        rows: list[str] = [*_markdown(["server", "proven", "seen"], self.proven)]
        for server, values in self.panels.items():
            cells = [
                (value.panel, f"`{' '.join(value.expression.split())}`", value.returned)
                for value in values
            ]
            rows += ["", *_markdown([f"panel ({server})", "expression", "returned"], cells)]
        file.write_text("\n".join(rows) + "\n")


def _aligned(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    table = [heads, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(heads) - 1)]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join([*cells, row[-1]])


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in (heads, ["---"] * len(heads), *rows):
        yield "| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |"


def _one_line(expression: str) -> str:
    line = " ".join(expression.split())
    return line if len(line) <= _CELL else line[: _CELL - 1] + "…"
