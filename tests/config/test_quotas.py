"""Quotas are sizes by CPU user; a mistake has its place, a quota without effect is a warning."""

import pytest

from tests.support.fixtures import LoadText, ReadMistakes
from tests.support.sentences import NO_MAPPING, NO_SIZE

UNITS = f"{NO_SIZE}: units are B kB MB GB TB PB KiB MiB GiB TiB PiB"
TWICE = "duplicate of line 6; remove one"
OFF = "judge nothing while disk_usage.enabled is false"
TOO_SMALL = "must be at least 1 byte"
NOT_ASKED_FOR = "is a quota of a CPU user whose disk usage is not asked for; add it to cpu_users"
WHOLE = (
    "is the quota of the CPU user with an empty name, which is known with every user only; "
    "write cpu_users: []"
)


def with_quotas(account: str, quotas: str, more: str = "") -> str:
    """Return a configuration whose quotas are in line 6, and more of disk_usage after them."""
    return f"{account}    disk_usage:\n      quotas: {quotas}\n{more}"


@pytest.mark.parametrize(
    ("quotas", "sizes"),
    [
        ("{}", {}),
        ('{demo: 2TB, "*": 10TB}', {"demo": 2 * 10**12, "*": 10**13}),
        ('{demo: 1.5TiB, "": 500 GB}', {"demo": 3 * 2**39, "": 5 * 10**11}),
        ('{1: 1000, Demo: "1"}', {"1": 1000, "Demo": 1}),
        ('{demo: "${QUOTA}"}', {"demo": 2 * 10**12}),
    ],
)
def test_quotas_are_read_as_bytes(
    load_text: LoadText, account: str, quotas: str, sizes: dict[str, int]
) -> None:
    """Units are decimal or binary, a number alone is bytes, and users are as they are written."""
    loaded = load_text(with_quotas(account, quotas), {"QUOTA": "2TB"})
    assert loaded.config.accounts[0].disk_usage.quotas == sizes
    assert loaded.warnings == ()


@pytest.mark.parametrize(
    ("quotas", "line"),
    [
        ("{demo: 0}", f"6:22: accounts[0].disk_usage.quotas.demo: {TOO_SMALL}"),
        ("{demo: 0TB}", f"6:22: accounts[0].disk_usage.quotas.demo: {TOO_SMALL}"),
        ("{demo: 0.1B}", f"6:22: accounts[0].disk_usage.quotas.demo: {TOO_SMALL}"),
        ("{demo: -5}", f"6:22: accounts[0].disk_usage.quotas.demo: {TOO_SMALL}"),
        ("{demo: -5TB}", f"6:22: accounts[0].disk_usage.quotas.demo: {NO_SIZE}"),
        ("{demo: 1.5}", f"6:22: accounts[0].disk_usage.quotas.demo: {NO_SIZE}"),
        ("{demo: 1e12}", f"6:22: accounts[0].disk_usage.quotas.demo: {NO_SIZE}"),
        ("{demo: .inf}", f"6:22: accounts[0].disk_usage.quotas.demo: {NO_SIZE}"),
        ("{demo: true}", f"6:22: accounts[0].disk_usage.quotas.demo: {NO_SIZE}"),
        ("{demo: null}", f"6:22: accounts[0].disk_usage.quotas.demo: {NO_SIZE}"),
        ("{demo: {a: 1TB}}", f"6:22: accounts[0].disk_usage.quotas.demo: {NO_SIZE}"),
        ("{demo: 2T}", f"6:22: accounts[0].disk_usage.quotas.demo: {UNITS}"),
        ("{demo: 2tb}", f"6:22: accounts[0].disk_usage.quotas.demo: {UNITS}"),
        (
            "{demo: 1TB, demo: 2TB}",
            f"6:27: accounts[0].disk_usage.quotas.demo: {TWICE}",
        ),
        ("2TB", f"6:15: accounts[0].disk_usage.quotas: {NO_MAPPING}"),
    ],
)
def test_wrong_quotas_are_refused(
    mistakes: ReadMistakes, account: str, quotas: str, line: str
) -> None:
    """Nothing that could be meant in two ways, or that divides by nothing, is taken."""
    assert mistakes(with_quotas(account, quotas)) == [f"config.yaml:{line}"]


@pytest.mark.parametrize(
    ("quotas", "more", "lines"),
    [
        ("{live: 1TB}", "cpu_users: []", []),
        ('{live: 1TB, "*": 2TB}', "cpu_users: [live]", []),
        (
            "{live: 1TB, old: 1TB}",
            "cpu_users: [live]",
            [f"6:32: accounts[0].disk_usage.quotas.old: {NOT_ASKED_FOR}"],
        ),
        ('{"": 1TB}', "cpu_users: [live]", [f'6:20: accounts[0].disk_usage.quotas."": {WHOLE}']),
        (
            "{live: 1TB}",
            "enabled: false\n    files: {paths: [sestore4/jb]}",
            [f"6:15: accounts[0].disk_usage.quotas: {OFF}"],
        ),
    ],
)
def test_a_quota_without_effect_is_a_warning(
    load_text: LoadText, account: str, quotas: str, more: str, lines: list[str]
) -> None:
    """A quota without a disk usage has a warning with what to change."""
    loaded = load_text(with_quotas(account, quotas, f"      {more}\n"))
    assert [str(warning) for warning in loaded.warnings] == [
        f"config.yaml:{line}" for line in lines
    ]
