"""A target of the fuzzer, and how it is run."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")

ROUND: Final = 100
"""Inputs of one round. A round has a seed of its own, which makes the same inputs again."""

MAX_CPU_SECONDS: Final = 120.0
"""CPU seconds of one input; what takes more is taken for a loop without end."""


class EndlessLoopError(BaseException):
    """An input took more than its CPU seconds. No Exception: what is tried must not catch it."""


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


def run_round(
    target: Target[T], seed: int, examples: int = ROUND, cpu_seconds: float = MAX_CPU_SECONDS
) -> Failure | None:
    """Check ``examples`` inputs; return the failure, made as small as possible, if there is one.

    An input that takes more than ``cpu_seconds`` is a failure, too, and stays as it is: to make it
    smaller would take as long again each time.
    """
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
            with _limited_cpu(cpu_seconds):
                target.check(value)
        except (Exception, EndlessLoopError) as error:
            failed[:] = [Failure(value, error)]  # hypothesis tries the smallest last
            raise

    try:
        check()
    except EndlessLoopError:
        return failed[0]
    except Exception as error:
        if not failed:  # the inputs themselves could not be made
            raise
        last = failed[0]
        return Failure(last.smallest, last.error if error.args == last.error.args else error)
    return None


@contextmanager
def _limited_cpu(seconds: float) -> Iterator[None]:
    def give_up(*_: object) -> None:
        raise EndlessLoopError(f"took more than {seconds:g} s of CPU time")

    before = signal.signal(signal.SIGPROF, give_up)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
