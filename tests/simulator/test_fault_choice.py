"""A fault affects the chosen requests, and no others."""

from collections.abc import Callable

import pytest
import requests

from exporter.simulator import Behaviour, FaultRule, Simulator
from tests.support.faults import BUSY, FAILING
from tests.support.fixtures import ListFiles

AskUsage = Callable[[], requests.Response]


def codes(list_files: ListFiles, calls: int) -> list[str | None]:
    """Return the codes of some requests in a row."""
    return [list_files().json().get("code") for _ in range(calls)]


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        (FaultRule(BUSY), ["1000"] * 4),
        (FaultRule(BUSY, requests=(3,)), [None, None, "1000", None]),
        (FaultRule(BUSY, requests=range(1, 3)), ["1000", "1000", None, None]),
        (FaultRule(BUSY, command="files.list", requests=(1,)), ["1000", None, None, None]),
        (FaultRule(BUSY, command="disk.usage"), [None] * 4),
        (FaultRule(BUSY, path="sestore4/jb"), ["1000"] * 4),
        (FaultRule(BUSY, path="sestore4"), [None] * 4),
        (FaultRule(BUSY, share=0.0), [None] * 4),
    ],
)
def test_a_fault_affects_the_chosen_requests(
    simulator: Simulator, list_files: ListFiles, faults: FaultRule, expected: list[str | None]
) -> None:
    """All requests, some of them by number, one command, one path, or a share."""
    simulator.behave(Behaviour(faults=(faults,)))

    assert codes(list_files, 4) == expected


def test_other_requests_are_not_counted(
    simulator: Simulator, list_files: ListFiles, usage: AskUsage
) -> None:
    """The second listing is the second, however many other requests were between."""
    simulator.behave(Behaviour(faults=(FaultRule(BUSY, command="files.list", requests=(2,)),)))

    assert codes(list_files, 1) == [None]
    assert usage().json()["status"] == "success"
    assert codes(list_files, 2) == ["1000", None]


def test_of_several_faults_the_first_counts(simulator: Simulator, list_files: ListFiles) -> None:
    """Faults have their own numbers; where two hit one request, the first is seen."""
    simulator.behave(
        Behaviour(faults=(FaultRule(BUSY, requests=(2,)), FaultRule(FAILING, requests=(2, 3))))
    )

    assert codes(list_files, 4) == [None, "1000", "0004", None]


def test_a_new_behaviour_counts_from_one(simulator: Simulator, list_files: ListFiles) -> None:
    """Switching the behaviour starts the numbers again."""
    for _ in range(2):
        simulator.behave(Behaviour(faults=(FaultRule(BUSY, requests=(2,)),)))
        assert codes(list_files, 2) == [None, "1000"]


def test_a_share_of_the_requests_is_affected(simulator: Simulator, list_files: ListFiles) -> None:
    """Chance decides which, by the simulator's own seed."""
    simulator.behave(Behaviour(faults=(FaultRule(BUSY, share=0.5),)))

    assert set(codes(list_files, 20)) == {None, "1000"}
