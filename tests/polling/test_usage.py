"""Of each CPU user the newest number is published, or none where a bad row may hide it."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TypeAlias

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.polling.snapshots import DiskUsageSnapshot
from exporter.polling.usage import find_newest_usage, merge_usage, name_users
from exporter.scaleengine.disk_usage import RowFault, UsageReport, read_usage
from exporter.scaleengine.errors import ProtocolError
from exporter.scaleengine.json_values import Json

Numbers: TypeAlias = dict[str, tuple[date, int]]


OLD = date(2014, 11, 9)
DAY = date(2014, 11, 10)
NEWEST = date(2014, 11, 11)
TOMORROW = date(2014, 11, 12)
FUTURE = date(2014, 11, 14)
NOW = datetime(2014, 11, 11, 10, tzinfo=UTC).timestamp()


def row(day: "date | Json", user: Json, size: Json) -> dict[str, Json]:
    """Return a row as the API writes it."""
    shown = day.isoformat() if isinstance(day, date) else day
    return {"summary_date": shown, "cpu_user": user, "bytes_total": size}


def published(rows: Sequence[Json], *cpu_users: str) -> tuple[Numbers, set[str]]:
    """Return the numbers that rows make, and the users without one because of bad rows."""
    usage = summarized(rows, *cpu_users)
    numbers = {user.cpu_user: (user.day, user.bytes) for user in usage.users}
    return numbers, set(usage.rejected_users)


def summarized(rows: Sequence[Json], *cpu_users: str) -> DiskUsageSnapshot:
    """Return the snapshot of one response."""
    read, rejected = read_usage({"usage": list(rows)}, TOMORROW)
    return merge_usage([find_newest_usage(UsageReport(read, rejected, 0), cpu_users)])


GOOD = [
    row(day, user, size)
    for user, size in (("a", 10), ("b", 20), ("c", 30))
    for day, size in ((OLD, size), (DAY, size + 1), (NEWEST, size + 2))
]
A, B, C = (NEWEST, 12), (NEWEST, 22), (NEWEST, 32)
BAD_BYTES: Sequence[Json] = (None, -1, "1.5", "1 KB", True, [1], 2**63)
BAD_DAYS: Sequence[Json] = (None, "", "2014-02-30", "0000-00-00", "yesterday", 20141111, [])


def test_a_user_keeps_the_bytes_of_thirty_days() -> None:
    """A user keeps the bytes of thirty days: none for a day that lacks, or cannot be read."""
    long_ago = [row(NEWEST - timedelta(days=age), "d", age) for age in (0, 1, 28, 29, 30)]
    bad = [row(DAY, "c", 31), row(DAY, "c", 99)]
    users = {user.cpu_user: user for user in summarized([*GOOD, *long_ago, *bad]).users}
    days = {name: user.days for name, user in users.items()}
    assert {len(days_of_user) for days_of_user in days.values()} == {30}
    assert days["a"][-4:] == (None, 10, 11, 12)
    assert days["c"][-3:] == (30, None, 32)
    assert (days["d"][:3], days["d"][-3:]) == ((29, 28, None), (None, 1, 0))
    assert len(users["a"].packed_days) == 8 * 29


def without(user: str, day: date) -> list[Json]:
    """Return the good rows except one."""
    return [
        entry for entry in GOOD if (entry["cpu_user"], entry["summary_date"]) != (user, str(day))
    ]


@pytest.mark.parametrize("size", BAD_BYTES, ids=str)
def test_unreadable_bytes_of_the_newest_day_remove_the_number(size: Json) -> None:
    """They take a user's number away where they are of its newest day, and else no number."""
    for day, a in ((OLD, {"a": A}), (DAY, {"a": A}), (NEWEST, {}), (TOMORROW, {})):
        bad = row(day, "a", size)
        for rows in ([*without("a", day), bad], [bad, *GOOD], [*GOOD, bad]):
            assert published(rows) == ({**a, "b": B, "c": C}, {"a"} - a.keys())


@pytest.mark.parametrize("day", BAD_DAYS, ids=str)
def test_an_unreadable_day_removes_the_number(day: Json) -> None:
    """It may be the newest: its user has no number, whichever of its rows it was."""
    for rows in (
        [*without("a", OLD), row(day, "a", 10)],
        [*without("a", NEWEST), row(day, "a", 12)],
    ):
        assert published(rows) == ({"b": B, "c": C}, {"a"})


def test_a_day_in_the_future_removes_no_number() -> None:
    """It hides no number of today, also where its row has other faults; tomorrow is a day."""
    for bad in (row(FUTURE, "a", 1), row(FUTURE, "a", None), row(FUTURE, None, 1)):
        assert published([bad, *GOOD]) == ({"a": A, "b": B, "c": C}, set())
    assert published([*GOOD, row(FUTURE, "d", 1)]) == ({"a": A, "b": B, "c": C}, {"d"})
    assert published([*GOOD, row(TOMORROW, "a", 1)])[0]["a"] == (TOMORROW, 1)


@pytest.mark.parametrize(("day", "a"), [(OLD, {"a": A}), (NEWEST, {})])
def test_different_bytes_of_one_day_make_it_unknown(day: date, a: Numbers) -> None:
    """The same bytes are no harm; different ones make the day unknown."""
    (size,) = (
        entry["bytes_total"] for entry in GOOD if entry == row(day, "a", entry["bytes_total"])
    )
    for repeated in (size, f"{size}", f"{size}.00"):
        assert published([row(day, "a", repeated), *GOOD]) == ({"a": A, "b": B, "c": C}, set())
    for other in (0, 99):
        for rows in ([row(day, "a", other), *GOOD], [*GOOD, row(day, "a", other)]):
            assert published(rows) == ({**a, "b": B, "c": C}, {"a"} - a.keys())


def test_numbers_as_text_and_days_with_a_time_are_accepted() -> None:
    """Whole numbers as text and days with a time are no bad rows."""
    rows = [row("2014-11-11 00:00:00", "a", "12.00"), row("2014-11-10T13:00:00Z", "a", "11")]
    assert published(rows) == ({"a": A}, set())


NAMELESS: Sequence[Json] = (None, True, ["a"], "\ud800")


@pytest.mark.parametrize("user", NAMELESS, ids=repr)
def test_a_row_without_a_readable_user_may_be_of_any(user: Json) -> None:
    """Its row may be of any user without a row of its day or a newer one, and of no other."""
    for day in (OLD, DAY, NEWEST):
        assert published([*GOOD, row(day, user, 1)]) == ({"a": A, "b": B, "c": C}, set())
        assert published([*without("a", day), row(day, user, 1)])[0] == {
            "b": B,
            "c": C,
            **({} if day == NEWEST else {"a": A}),
        }
    removed = [row(OLD, "removed", 5)]
    assert published([*GOOD, *removed, row(OLD, user, 1)])[1] == set()
    assert published([*GOOD, *removed, row(DAY, user, 1)])[1] == {"removed"}


JUNK: Sequence[Json] = (None, False, 7, "row", [], ["a"], {}, {"cpu_user": None}, row("x", None, 1))


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_a_row_without_user_and_day_may_be_of_any(junk: Json) -> None:
    """It may be of any user without the newest day of the response, and of no other."""
    everything = {"a": A, "b": B, "c": C}
    assert published([*GOOD, junk]) == (everything, set())
    assert published([junk, *without("a", OLD)]) == (everything, set())
    assert published([*without("a", NEWEST), junk]) == ({"b": B, "c": C}, {"a"})
    assert published([row(NEWEST, "a", 12), junk]) == ({"a": A}, set())


def test_bad_rows_of_other_users_remove_no_number() -> None:
    """They take no number away."""
    for bad in (row(NEWEST, "d", None), row(None, "d", 1), row(OLD, "d", -1)):
        assert published([*GOOD, bad], "a", "b") == ({"a": A, "b": B}, set())


def test_user_names_match_exactly() -> None:
    """A row of a name that is written in another way is not the row of the user asked for."""
    rows = [row(NEWEST, name, 1) for name in ("A", "a ", "á", 7)]
    assert published(rows, "a", "7", "07") == ({"7": (NEWEST, 1)}, set())


def test_requested_users_without_a_row_are_not_rejected() -> None:
    """They are no rejected users, but where a row without a user may be theirs."""
    assert published(GOOD, "a", "d") == ({"a": A}, set())
    assert published([*GOOD, row(OLD, None, 1)], "a", "d") == ({"a": A}, {"d"})


def test_rejected_rows_are_counted_with_a_few_examples() -> None:
    """The number by fault, a few examples, those first that take a number away, and their users."""
    bad = [row(date(2014, 10, day), "b", None) for day in range(1, 11)]
    (kept,) = summarized([*bad, *GOOD, row(TOMORROW, "a", None)]).rejected

    assert (kept.fault, kept.count, kept.cpu_users) == (RowFault.INVALID_BYTES, 11, ("a",))
    assert len(kept.examples) == 5
    assert [example.cpu_user for example in kept.examples] == ["a", *"bbbb"]


@pytest.mark.parametrize(
    ("rows", "cause"),
    [
        ([None, None, row(NEWEST, "a", None)], "none of the 3 rows can be read ("),
        ([row(FUTURE, "a", 1)], "its only row cannot be read ('a', 2014-11-14: "),
        (
            [row(DAY, "a", 1), row(DAY, "b", 1), row(NEWEST, None, 1)],
            "rows without a readable user may be of any user (no readable user, 2014-11-11: ",
        ),
    ],
)
def test_a_response_without_a_usable_row_fails_the_poll(rows: list[Json], cause: str) -> None:
    """The poll fails, so that the last good numbers stand; the cause names rows."""
    with pytest.raises(ProtocolError) as caught:
        summarized(rows)
    assert caught.value.cause.startswith(cause)


def test_no_rows_are_no_failure() -> None:
    """An account without usage, and one whose only user has a bad newest row, are polled well."""
    assert published([]) == ({}, set())
    assert published([row(DAY, "a", 1), row(NEWEST, "a", None)]) == ({}, {"a"})


def test_names_in_messages_are_bounded() -> None:
    """A few users are named, the others counted; a long name is replaced, not cut."""
    assert name_users(["a", "x" * 5000]) == "'a', a user with a name of 5000 characters"
    assert name_users(["a"] * 1000).endswith("'a' and 995 more")


DAYS = [OLD - timedelta(days=ago) for ago in range(3)] + [DAY, NEWEST, TOMORROW]


@dataclass(frozen=True)
class Fact:
    """The truth of one user and day, and how the response shows it."""

    user: str
    day: date
    size: int
    shown: str


SHAPES: dict[str, Callable[[Fact], list[Json]]] = {
    "good": lambda fact: [row(fact.day, fact.user, fact.size)],
    "text": lambda fact: [row(f"{fact.day} 00:00:00", fact.user, f"{fact.size}.00")],
    "twice": lambda fact: [row(fact.day, fact.user, fact.size)] * 2,
    "no bytes": lambda fact: [row(fact.day, fact.user, None)],
    "below zero": lambda fact: [row(fact.day, fact.user, -1 - fact.size)],
    "contradiction": lambda fact: [
        row(fact.day, fact.user, fact.size),
        row(fact.day, fact.user, fact.size + 1),
    ],
    "good and bad": lambda fact: [
        row(fact.day, fact.user, fact.size),
        row(fact.day, fact.user, None),
    ],
    "no day": lambda fact: [row(None, fact.user, fact.size)],
    "no user": lambda fact: [row(fact.day, None, fact.size)],
    "nothing": lambda _: [None],
}
HARMLESS = {"good", "text", "twice"}
EXTRA: Sequence[Json] = (None, {}, row(FUTURE, "a", 1), row(FUTURE, None, 1), row(OLD, None, 1))

facts = st.lists(
    st.builds(
        Fact,
        st.sampled_from(["", "a", "b", "c"]),
        st.sampled_from(DAYS),
        st.integers(0, 5),
        st.sampled_from(["good"] * 10 + list(SHAPES)),
    ),
    min_size=1,
    max_size=20,
    unique_by=lambda fact: (fact.user, fact.day),
)


@given(truth=facts, extra=st.lists(st.sampled_from(EXTRA), max_size=2), rng=st.randoms())
@example([Fact("a", NEWEST, 1, "no user"), Fact("b", DAY, 1, "good")], [], random.Random(1))
@example([Fact("a", NEWEST, 1, "nothing"), Fact("b", NEWEST, 1, "good")], [], random.Random(1))
def test_good_rows_count_in_any_mix_with_bad_ones(
    truth: list[Fact], extra: list[Json], rng: random.Random
) -> None:
    """Each number is the one of its user's newest day; users without bad rows have theirs.

    Rows that name neither user nor day are the one limit: where nothing else is as new, the
    numbers are those of the newest day that the response names.
    """
    rows = [shown for fact in truth for shown in SHAPES[fact.shown](fact)] + extra
    rng.shuffle(rows)
    try:
        numbers, _ = published(rows)
    except ProtocolError:
        numbers = {}
    newest = {fact.user: fact for fact in sorted(truth, key=lambda fact: fact.day)}
    named = [fact.day for fact in truth if fact.shown not in {"no day", "nothing"}]
    nameless = [OLD for entry in extra if entry == row(OLD, None, 1)]
    named += nameless
    last_named = max(named, default=date.min)

    for user, (day, size) in numbers.items():
        lost = [
            fact
            for fact in truth
            if (fact.user, fact.shown) == (user, "nothing") and fact.day > last_named
        ]
        limit = {(fact.day, fact.size) for fact in truth if fact.user == user and day == last_named}
        assert (day, size) in ({(newest[user].day, newest[user].size)} | (limit if lost else set()))

    nameless += [fact.day for fact in truth if fact.shown == "no user"]
    says_nothing = any(fact.shown == "nothing" for fact in truth) or None in extra or {} in extra
    nameless += [last_named] if says_nothing else []
    for user, fact in newest.items():
        own = {entry.shown for entry in truth if entry.user == user}
        if own <= HARMLESS and fact.day >= max(nameless, default=date.min):
            assert numbers[user] == (fact.day, fact.size)
