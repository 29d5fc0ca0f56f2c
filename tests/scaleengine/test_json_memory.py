"""What parsing a response will take is known before, and it never takes more than that."""

import json
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.scaleengine.disk_usage import ROW_HOOK, UsageRow
from exporter.scaleengine.envelope import RequestContext, open_envelope
from exporter.scaleengine.errors import ProtocolError
from exporter.scaleengine.json_memory import estimate_cost
from exporter.scaleengine.json_values import Json, SchemaError, TooCostlyError, decode
from exporter.scaleengine.message_body import HttpResponse
from exporter.scaleengine.response_memory import MAX_PARSED
from tests.support.sentences import TOO_DEEP

FAR = 10**12


def many(item: bytes, count: int) -> bytes:
    """Return a list that holds an item so often, with its number in place of ``#``."""
    return b"[" + b",".join(item.replace(b"#", b"%x" % number) for number in range(count)) + b"]"


def keys(count: int) -> bytes:
    """Return an object with this number of different keys."""
    return b"{" + b",".join(b'"%x":0' % number for number in range(count)) + b"}"


SHAPES = {
    "empty lists": many(b"[]", 10_000),
    "lists of one": many(b"[1]", 10_000),
    "empty objects": many(b"{}", 10_000),
    "objects of one": many(b'{"":0}', 10_000),
    "objects of five": many(b'{"a":0,"b":0,"c":0,"d":0,"e":0}', 10_000),
    "objects of six": many(b'{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0}', 10_000),
    "rows": many(b'{"summary_date":"2014-11-11","cpu_user":"#","bytes_total":1234}', 5_000),
    "different keys": keys(10_000),
    "different keys, one each": many(b'{"#":0}', 10_000),
    "blanks before colons": many(b'{"#" :0}', 10_000),
    "an escape in each key": many(b'{"\\"#":0}', 10_000),
    "objects of many": b"[" + b",".join([keys(500)] * 40) + b"]",
    "open objects of many": b"".join([keys(500)[:-1] + b',"z":'] * 40) + b"0" + b"}" * 40,
    "texts": many(b'"#"', 10_000),
    "escaped texts": many(b'"\\u20ac#"', 10_000),
    "texts that four bytes need": many(b'"\\ud83d\\ude00aaaaaaaaaaaaaaaaaaaa#"', 5_000),
    "texts in UTF-8": many("é#".encode().join([b'"', b'"']), 10_000),
    "a text in UTF-8": '["😀'.encode() + b"a" * 3_000_000 + b'"]',
    "a text with an escape": b'["' + b"a" * 3_000_000 + b'\\ud83d\\ude00"]',
    "whole numbers": many(b"1#".replace(b"#", b"000000"), 10_000),
    "decimals": many(b"1.25e3", 10_000),
    "nested lists": many(b"[" * 40 + b"]" * 40, 500),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_no_shape_takes_more_than_its_estimate(shape: str) -> None:
    """The estimate is an upper limit for what is allocated in addition to the text of the body."""
    body = SHAPES[shape]
    cost, text = estimate_cost(body, FAR, 10**9), body.decode()
    tracemalloc.start()
    try:
        value = json.loads(text, object_hook=dict, parse_float=Decimal)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    text_size = sys.getsizeof(text) - len(body)
    assert value
    assert peak + text_size <= cost.memory + 10_000


def rows(template: str, users: int) -> bytes:
    """Return thirty rows for each user: ``#`` is the number of the user, ``%`` that of the row."""
    written = (
        template.replace("#", f"{number % users:04}").replace("%", f"{10**11 + number}")
        for number in range(30 * users)
    )
    return f"[{','.join(written)}]".encode()


@pytest.mark.parametrize(
    "name",
    [
        "user-#",
        "user-with-a-name-of-thirty-#",
        "Müller-#",
        "M\\u00fcller-#",
        "клиент-#",
        "\\u043a\\u043b\\u0438-#",
        "😀-#",
        "\\ud83d\\ude00-#",
        '\\"\\\\-#',
    ],
)
def test_ten_thousand_users_for_thirty_days_are_read(name: str) -> None:
    """The largest account that is known of is read, for any names of its users."""
    row = f'{{"summary_date":"2014-11-11","cpu_user":"{name}","bytes_total":"%"}}'
    body = rows(row, 1000)
    tenth, fifth = (
        estimate_cost(part, FAR, 9, ROW_HOOK.replaced).memory for part in (body, body + body)
    )

    assert 10 * len(body) < 32 * 2**20
    assert tenth + 9 * (fifth - tenth) < MAX_PARSED


ROWS = {
    "rows": '{"summary_date":"2014-11-11","cpu_user":"#","bytes_total":%}',
    "numbers as texts": '{"summary_date":"2014-11-11","cpu_user":"#","bytes_total":"%"}',
    "another order": '{"bytes_total": %, "summary_date": "2014-11-11", "cpu_user": "#"}',
    "UTF-8": '{"summary_date":"2014-11-11","cpu_user":"😀#","bytes_total":%}',
    "escapes": '{"summary_date":"2014-11-11","cpu_user":"\\u00e9#","bytes_total":%}',
    "users of one day": '{"summary_date":"2014-11-11","cpu_user":"%","bytes_total":%}',
    "no day": '{"summary_date":"2014-02-30","cpu_user":"#","bytes_total":%}',
    "no number": '{"summary_date":"2014-11-11","cpu_user":"#","bytes_total":"x%"}',
    "no name": '{"summary_date":"2014-11-11","cpu_user":[%],"bytes_total":%}',
    "half of a character": '{"summary_date":"2014-11-11","cpu_user":"\\ud83d%","bytes_total":1}',
    "another member": '{"summary_date":"2014-11-11","cpu_user":"%","bytes_total":1,"a":1}',
}


@pytest.mark.parametrize("shape", ROWS)
def test_no_rows_take_more_than_their_estimate(shape: str) -> None:
    """Rows that are converted while they are read take less, and others do not pass as such."""
    body = rows(ROWS[shape], 100)
    cost = estimate_cost(body, FAR, 10**9, ROW_HOOK.replaced)
    tracemalloc.start()
    try:
        value = decode(body, FAR, ROW_HOOK)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert value
    assert peak - len(body) <= cost.memory + 10_000


@pytest.mark.parametrize("shape", list(ROWS)[:6])
def test_rows_are_recognized(shape: str) -> None:
    """They are in any order and spelling of the members, and count as three keys."""
    body = rows(ROWS[shape], 1000)
    replaced = ROW_HOOK.replaced
    assert replaced is not None

    assert len(replaced.pattern.findall(body)) == 30_000
    assert estimate_cost(body, FAR, 9, replaced).keys == 90_000


@pytest.mark.parametrize("is_ascii", [True, False])
@given(cpu_user=st.text(st.characters()))
def test_a_recognized_row_is_converted(cpu_user: str, is_ascii: bool) -> None:  # noqa: FBT001
    """What matches as a row is never kept as the object that it was."""
    row = {"summary_date": "2014-11-11", "cpu_user": cpu_user, "bytes_total": 1}
    body = json.dumps(row, ensure_ascii=is_ascii).encode(errors="surrogatepass")
    replaced = ROW_HOOK.replaced
    assert replaced is not None

    has_half = not cpu_user.isascii() and cpu_user != cpu_user.encode("utf-16", "replace").decode(
        "utf-16"
    )
    if replaced.pattern.fullmatch(body) and not (has_half and not is_ascii):
        assert isinstance(decode(body, FAR, ROW_HOOK), UsageRow)


def test_a_response_that_takes_too_much_is_not_parsed(context: RequestContext) -> None:
    """Nothing is parsed of it, and the failure says how much is allowed."""
    body = b'{"status":"success","a":' + many(b"[]", 1_100_000) + b"}"
    with pytest.raises(ProtocolError) as caught:
        open_envelope(HttpResponse(200, body), context)

    assert caught.value.cause == (
        "the response is too large: reading it takes more than 140 MB of memory"
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text('"\\[{:,é€😀'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('"\\[{:,é€😀'), inner),
    max_leaves=20,
)


def walk(value: Json, depth: int = 0) -> Iterator[tuple[int, int]]:
    """Return the depth and the number of keys of each list and object."""
    if isinstance(value, list):
        yield depth + 1, 0
        for item in value:
            yield from walk(item, depth + 1)
    elif isinstance(value, dict):
        yield depth + 1, len(value)
        for item in value.values():
            yield from walk(item, depth + 1)


@given(value=JSON, indent=st.none() | st.just(1), is_ascii=st.booleans())
def test_depth_and_keys_are_exact(value: Json, indent: int | None, *, is_ascii: bool) -> None:
    """Brackets, colons, quotes and backslashes inside of strings do not count."""
    body = json.dumps(value, indent=indent, ensure_ascii=is_ascii).encode()
    cost = estimate_cost(body, FAR, 10**9)

    found = [*walk(value)]
    assert cost.depth == max((depth for depth, _ in found), default=0)
    assert cost.keys == sum(keys for _, keys in found)


@pytest.mark.parametrize("shift", [0, 3, 5])
def test_strings_across_slices_are_counted(shift: int) -> None:
    """A string, an escape and an object may lie on the border of two slices of a megabyte."""
    unit = b'{"[\\\\\\"":"\\\\"},'
    body = b"[" + b" " * shift + unit * (3 * 2**20 // len(unit)) + b'{"a":[]}]'
    cost = estimate_cost(body, FAR, 10**9)

    assert (cost.depth, cost.keys) == (3, body.count(b"},") + 1)


@pytest.mark.parametrize(("depth", "is_read"), [(256, True), (258, False), (100_000, False)])
@pytest.mark.parametrize(
    ("opening", "closing"), [(b"[[", b"]]"), (b'{"[":[', b"]}"), (b'{"":{"":', b"}}")]
)
def test_deeper_json_is_refused_before_it_is_parsed(
    opening: bytes, closing: bytes, depth: int, *, is_read: bool
) -> None:
    """What is deeper is refused before it is parsed; the parser is recursive."""
    body = opening * (depth // 2) + b"0" + closing * (depth // 2)
    outcome: list[object] = []

    def read() -> None:
        try:
            outcome.append(decode(body))
        except SchemaError as error:
            outcome.append(str(error))

    before = threading.stack_size(512 * 1024)
    try:
        thread = threading.Thread(target=read)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join(60)

    assert (outcome == [TOO_DEEP]) is not is_read
    assert len(outcome) == 1


def test_a_costly_body_is_not_parsed() -> None:
    """The limit can be chosen, and holds before anything is allocated."""
    body = many(b"[]", 100_000)
    tracemalloc.start()
    try:
        with pytest.raises(TooCostlyError):
            decode(body, 1_000_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6_000_000


@pytest.mark.parametrize("text", [b"[1]", b"[", b"\xff", b"[" * 300, many(b"[]", 10_000)])
def test_a_body_is_emptied(text: bytes) -> None:
    """It may be large, and a failure refers to it until it was logged."""
    body = bytearray(text)
    with suppress(SchemaError):
        decode(body, 1_000_000)
    assert body == b""
