"""A target of the fuzzer, and how it is run."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")

ROUND: Final = 100
"""Inputs of one round. A round has a seed of its own, which makes the same inputs again."""


@dataclass(frozen=True, slots=True)
class Target(Generic[T]):
    """What reads the inputs: ``check`` raises an exception where a law is broken."""

    inputs: SearchStrategy[T]
    check: Callable[[T], None]


OpenTarget = Callable[[], AbstractContextManager[Target[object]]]
"""Makes a target ready, such as by starting a server, until the ``with`` ends."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The smallest input that was found to break a law, and what it raised."""

    smallest: object
    error: BaseException


def run_round(target: Target[T], seed: int, examples: int = ROUND) -> Failure | None:
    """Check ``examples`` inputs; return the failure, made as small as possible, if there is one."""
    failed: list[Failure] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
        verbosity=hypothesis.Verbosity.quiet,
    )
    @hypothesis.given(target.inputs)
    def check(value: T) -> None:
        try:
            target.check(value)
        except Exception as error:
            failed[:] = [Failure(value, error)]  # hypothesis tries the smallest last
            raise

    try:
        check()
    except Exception as error:
        if not failed:  # the inputs themselves could not be made
            raise
        last = failed[0]
        return Failure(last.smallest, last.error if error.args == last.error.args else error)
    return None
