"""Faults inside an answer: listings that lead astray, content that is none, broken JSON."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from exporter.simulator.faults import AnyFault, Fault
from exporter.simulator.listing import PARTIAL, SKIPPED, Listed
from exporter.simulator.php import Json, encode

_NUMBERS = frozenset({"bytes_total", "__is_loaded", "__offset", "__file_count"})
_NOT_A_NUMBER = "(a number)"
_DEPTH = 100_000
_HTML = "<html><head><title>Service</title></head><body><h1>Service unavailable</h1></body></html>"


def spoil_listing(listed: Listed, offset: int, fault: AnyFault | None) -> Listed:
    """Return the listing under a fault; ``offset`` is the one that was asked for."""
    match fault:
        case Fault.STUCK_OFFSET:
            return replace(listed, loaded=PARTIAL, offset=offset, file_count=offset + 1)
        case Fault.ALWAYS_SKIPPED:
            return Listed(loaded=SKIPPED)
        case Fault.SHRINKING if offset > 0:
            return Listed()
        case _:
            return listed


def spoil_content(content: Mapping[str, Json], fault: AnyFault | None) -> Mapping[str, Json]:
    """Return an answer's content, a mapping of one member, under a fault."""
    name, value = next(iter(content.items()))
    if fault is Fault.OTHER_PATH:
        return {f"{name}-other": value}
    if fault is Fault.NOT_A_FOLDER:
        return {name: "text"}
    if fault in (Fault.NAN, Fault.HUGE_NUMBER):
        return {name: _without_numbers(value)}
    if fault is Fault.NOT_ROWS:
        items: Json = (7, "row", None, [])
        return {name: items if name == "usage" else {"__files": items, "__is_loaded": 1}}
    if fault is Fault.LONE_SURROGATE:
        row: Json = {"summary_date": "2014-11-10", "cpu_user": "\ud800", "bytes_total": 1024}
        folder: Json = {"__files": ["\ud800.mp4"], "__is_loaded": 1, "\ud800": []}
        return {name: [row] if name == "usage" else folder}
    return content


_TEXTS: Mapping[Fault, Callable[[str], str]] = {
    Fault.NAN: lambda text: text.replace(f'"{_NOT_A_NUMBER}"', "NaN"),
    Fault.HUGE_NUMBER: lambda text: text.replace(f'"{_NOT_A_NUMBER}"', "9" * 10_000),
    Fault.HTML_PAGE: lambda _: _HTML,
    Fault.EMPTY_BODY: lambda _: "",
    Fault.TRUNCATED: lambda text: text[: len(text) // 2],
    Fault.NULL: lambda _: "null",
    Fault.A_LIST: lambda text: f"[{text}]",
    Fault.DEEP_NESTING: lambda text: f'{text[:-1]},"extra":{"[" * _DEPTH}{"]" * _DEPTH}}}',
    Fault.BAD_UTF8: lambda text: f'{text[:-1]},"extra":"\udcff\udcfe"}}',
}


def spoil_text(envelope: Mapping[str, Json], fault: AnyFault | None) -> bytes:
    """Return the body of an answer under a fault."""
    text = encode(envelope)
    if fault is Fault.DUPLICATE_KEYS:
        text = f"{text[:-1]},{encode(next(iter(envelope)))}:[]}}"
    elif isinstance(fault, Fault) and fault in _TEXTS:
        text = _TEXTS[fault](text)
    # Bytes that are no UTF-8 are held in a text as Python does it elsewhere, by surrogateescape.
    return text.encode("utf-8", "surrogateescape")


def _without_numbers(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {
            name: _NOT_A_NUMBER if name in _NUMBERS else _without_numbers(member)
            for name, member in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_without_numbers(item) for item in value]
    return value
