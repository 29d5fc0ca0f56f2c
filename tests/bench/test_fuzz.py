"""The fuzzer: every target holds for a few inputs, and what fails can be made again."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import cast

import pytest
from hypothesis import strategies as st

from bench.fuzz import __main__ as fuzzer
from bench.fuzz.files import configuration, web_config
from bench.fuzz.http_front import http_front
from bench.fuzz.target import EndlessLoopError, Target, run_round

FEW = 25
SEED = 1
"""The same inputs every time; ``make fuzz`` has new ones."""


@pytest.mark.parametrize("name", fuzzer.TARGETS)
def test_every_law_holds_for_a_few_inputs(name: str) -> None:
    with fuzzer.TARGETS[name]() as target:
        failure = run_round(target, SEED, FEW)
    assert failure is None, failure


@contextmanager
def below_a_hundred() -> Iterator[Target[int]]:
    def check(number: int) -> None:
        if number >= 100:
            raise ValueError("too large")

    yield Target(st.integers(), check)


def test_the_smallest_failure_is_printed_and_made_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fuzzer, "TARGETS", {"numbers": below_a_hundred})
    assert fuzzer.main(["--seconds=0", "--seed=3"]) == 1
    printed = capsys.readouterr().out
    assert "FAIL numbers: ValueError: too large" in printed
    assert "smallest input: 100" in printed
    assert fuzzer.main(["--only=numbers", "--seed=3", "--seconds=0"]) == 1
    assert capsys.readouterr().out == printed


def test_an_input_that_never_ends_is_a_failure_even_where_errors_are_caught() -> None:
    def check(number: int) -> None:
        with contextlib.suppress(Exception):
            while number >= 100:
                pass

    failure = run_round(Target(st.integers(), check), SEED, cpu_seconds=0.1)
    assert failure is not None
    assert cast("int", failure.smallest) >= 100
    assert isinstance(failure.error, EndlessLoopError)


@pytest.mark.parametrize("opened", [configuration, web_config])
def test_a_mistake_without_a_place_is_a_failure(
    opened: Callable[[], AbstractContextManager[Target[bytes]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.yamlfile.problems.Problem.__str__", lambda _: "somewhere")
    with opened() as target, pytest.raises(AssertionError, match="a wrong place"):
        target.check(b"x")


def test_access_without_a_password_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.fuzz.http_front.install_web_config", lambda *_: None)
    with http_front() as target, pytest.raises(AssertionError, match="without a password"):
        target.check([b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n"])
