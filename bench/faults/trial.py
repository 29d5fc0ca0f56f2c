"""Try one fault at one time, and check what the exporter shows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from structlog.typing import EventDict

from bench.faults.catalogue import Case, stale_after
from bench.faults.environment import (
    INTERVAL,
    KEY,
    SECRET,
    SPEED,
    Environment,
    Overrides,
    Way,
    set_up_environment,
)
from bench.faults.exporter import Pace, Running, running
from bench.faults.metrics_observer import Shown
from exporter.polling.targets import Target
from exporter.scaleengine.errors import Reason

_TIMEOUT: Final = 120.0
_PUBLICATIONS: Final = 10.0
LEEWAY: Final = 180.0
"""Seconds (three real ones) that a busy machine may need beyond the schedule."""
_LAST_FAILURES: Final = 2
"""Polls that may fail after the fault: one is not yet published, one has begun before."""
_SKEW_LEEWAY: Final = 60.0
_GOOD: Final = "good"
_LAST_GOOD: Final = "last good"
_ABSENT: Final = "absent"


class When(Enum):
    """When a fault begins."""

    AT_START = "at the start"
    AFTER_GOOD = "after good polls"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one fault at one time.

    ``usage`` and ``files`` are what /metrics had of each during the fault, ``up`` the same of the
    account. ``requests`` came to the simulator meanwhile; ``back`` are the seconds from the end of
    the fault until all was good again. ``problems`` are sentences: where there are none, all is
    well. ``lines`` are those of the log, of all levels.
    """

    case: Case
    when: When
    usage: str = "-"
    files: str = "-"
    up: str = "-"
    requests: int = 0
    back: float | None = None
    log: str = "-"
    publications: int = 0
    wrong: int = 0
    problems: tuple[str, ...] = ()
    skipped: str | None = None
    lines: tuple[EventDict, ...] = ()


def attempt(
    case: Case,
    when: When,
    number: int,
    overrides: Overrides,
    logged: Sequence[EventDict],
    leeway: float = LEEWAY,
) -> Outcome:
    """Try a fault; ``logged`` are the lines of the log, which grow meanwhile.

    ``number`` makes the name of its account, and its random seed. ``leeway`` are the seconds
    that all may take beyond the schedule until it is good again.
    """
    if case.way is Way.BY_TLS and overrides.certificates is None:
        return Outcome(case, when, skipped="openssl is not installed")
    name = f"case-{number}"
    with set_up_environment(name, case.way, case.timeout, stale_after(case), overrides) as set_up:
        if when is When.AT_START:
            case.begin_in(set_up)
        pace = Pace(SPEED, _PUBLICATIONS)
        truths = set_up.holdings.truths
        with running(set_up.settings, truths, set_up.clock, pace, number) as exporter:
            trial = _Trial(case, when, set_up, exporter, leeway)
            problems = [*trial.run()]
    lines = [line for line in logged if _is_of(line, name)]
    problems += _problems_of_log(lines, trial)
    if not exporter.ended:
        problems.append("a thread did not end")
    return trial.outcome(lines, problems)


class _Trial:
    """A fault from its beginning until all is good again."""

    def __init__(
        self, case: Case, when: When, set_up: Environment, exporter: Running, leeway: float
    ) -> None:
        self.case = case
        self.leeway = leeway
        self.when = when
        self.environment = set_up
        self.exporter = exporter
        self.observer = exporter.observer
        self.usage, self.files = set_up.settings.targets
        self.expected: dict[Target, Reason | None] = {
            self.usage: case.spoiled.usage,
            self.files: case.spoiled.files,
        }
        self.before = Shown({})
        self.during = Shown({})
        self.requests = 0
        self.back: float | None = None

    def run(self) -> tuple[str, ...]:
        """Go through it all; return what was not as it must be."""
        requests_before = 0
        if self.when is When.AFTER_GOOD:
            good = self.observer.wait_for(self.is_good, _TIMEOUT)
            if good is None:
                return ("it was not good before the fault",)
            self.before = good
            requests_before = self.environment.simulator.request_count
            # In this order: what a poll has read before the fault is what was known before.
            self.case.begin_in(self.environment)
            self.environment.move_on()
        during = self.observer.wait_for(self.has_struck, _TIMEOUT)
        self.requests = self.environment.simulator.request_count - requests_before
        if during is None:
            return ("the polls did not end",)
        self.during = during
        problems = tuple(self.problems_during(during))
        self.environment.move_on()
        self.environment.restore()
        restored = self.environment.time.monotonic()
        failed_before = self.failed(self.observer.newest)
        spoiled = [target for target, reason in self.expected.items() if reason is not None]
        if spoiled:
            self.observer.wait_for(lambda shown: self.is_good(shown, spoiled), _TIMEOUT)
        self.back = self.environment.time.monotonic() - restored
        after = self.observer.wait_for(self.is_good, _TIMEOUT)
        if after is None:
            return (*problems, "the good numbers did not come back")
        return (*problems, *self.problems_after(after, failed_before))

    def has_struck(self, shown: Shown) -> bool:
        """Return whether each target has finished a poll of the fault, or is stale."""
        if self.case.until_stale:
            return all(
                not shown.numbers(target) and self.has_failed(shown, target)
                for target in self.expected
            )
        return all(self.was_polled(shown, target) for target in self.expected)

    def was_polled(self, shown: Shown, target: Target) -> bool:
        """Return whether a poll that began after the fault has ended.

        A poll that began before the fault succeeds, and finds what was there before.
        """
        if _polls(shown, target) <= _polls(self.before, target):
            return False
        finds_new = shown.numbers(target) != self.before.numbers(target)
        return self.has_failed(shown, target) or (self.expected[target] is None and finds_new)

    def is_good(self, shown: Shown, targets: Iterable[Target] = ()) -> bool:
        """Return whether all, or those targets, are good: they have what the account holds now."""
        return all(
            shown.of_poll("scaleengine_poll_success", target) == 1
            and shown.numbers(target) == self.environment.holdings.numbers(target)
            for target in targets or self.expected
        )

    def has_failed(self, shown: Shown, target: Target) -> bool:
        """Return whether a poll of a target has failed since the fault began."""
        return any(self.failures(shown, target, reason) > 0 for reason in Reason)

    def failed(self, shown: Shown) -> Mapping[Target, float]:
        """Return how many polls of each target have failed, for any reason."""
        return {
            target: shown.total(
                "scaleengine_poll_failures_total",
                account=target.account,
                collector=target.collector,
            )
            for target in self.expected
        }

    def problems_during(self, shown: Shown) -> Iterator[str]:
        """Yield what /metrics should not have while the fault lasts."""
        if self.up(shown) != str(int(self.case.spoiled.up)):
            yield f"scaleengine_up is {self.up(shown)} during the fault"
        skew = shown.value("scaleengine_api_clock_skew_seconds", account=self.environment.name)
        if self.case.skew and abs((skew or 0.0) - self.case.skew) > _SKEW_LEEWAY:
            yield f"scaleengine_api_clock_skew_seconds is {skew}"
        for target, reason in self.expected.items():
            expected = _GOOD if reason is None else self.left_over
            found = self.state(shown, target)
            if found != expected:
                yield f"{target.collector}: numbers are {found}, not {expected}"
            success = shown.of_poll("scaleengine_poll_success", target)
            if success != int(reason is None):
                yield f"{target.collector}: poll_success is {success}"
            for candidate in Reason:
                failed = self.failures(shown, target, candidate) > 0
                if failed != (candidate is reason):
                    shown_failures = "some" if failed else "none"
                    yield f"{target.collector}: failures for {candidate}: {shown_failures}"
            made = shown.of_poll("scaleengine_poll_requests", target)
            if reason is not None and (made or 0) > self.case.spoiled.requests:
                yield f"{target.collector}: a poll made {made:g} requests"

    def problems_after(self, shown: Shown, failed_before: Mapping[Target, float]) -> Iterator[str]:
        """Yield what /metrics should not have after the fault, and what took too long.

        The first poll of a target that begins after the fault is good: only a poll that has
        begun before may fail, and be published after.
        """
        for target, failed in self.failed(shown).items():
            if failed - failed_before[target] > _LAST_FAILURES:
                more = failed - failed_before[target]
                yield f"{target.collector}: {more:g} polls failed after the fault"
        if self.up(shown) != "1":
            yield f"scaleengine_up is {self.up(shown)} after the fault"
        if self.back is not None and self.back > INTERVAL + self.case.asked + self.leeway:
            yield f"it took {self.back:.0f} s until all was good"
        if self.exporter.list_dead_threads():
            yield f"threads have ended: {', '.join(self.exporter.list_dead_threads())}"

    @property
    def left_over(self) -> str:
        """Return what is left of the numbers while polls fail."""
        stays = self.when is When.AFTER_GOOD and not self.case.until_stale
        return _LAST_GOOD if stays else _ABSENT

    def state(self, shown: Shown, target: Target) -> str:
        """Return in a word what the numbers of a target are."""
        numbers = shown.numbers(target)
        if not numbers:
            return _ABSENT
        return _LAST_GOOD if numbers == self.before.numbers(target) else _GOOD

    def failures(self, shown: Shown, target: Target, reason: Reason) -> float:
        """Return how many polls have failed for a reason since the fault began."""
        labels = {"account": target.account, "collector": target.collector, "reason": reason}
        name = "scaleengine_poll_failures_total"
        return (shown.value(name, **labels) or 0) - (self.before.value(name, **labels) or 0)

    def up(self, shown: Shown) -> str:
        """Return the value of scaleengine_up."""
        value = shown.value("scaleengine_up", account=self.environment.name)
        return "-" if value is None else f"{value:g}"

    def cell(self, target: Target) -> str:
        """Return what the table shows of a target: numbers, and why the poll failed."""
        reason = self.expected[target]
        failed = [
            candidate for candidate in Reason if self.failures(self.during, target, candidate)
        ]
        shown = ", ".join([self.state(self.during, target), *failed])
        return shown if failed or reason is None else f"{shown}, no failure"

    def outcome(self, lines: Sequence[EventDict], problems: Sequence[str]) -> Outcome:
        """Return what came of it."""
        causes = [
            str(line["cause"]) for line in lines if line["event"] == "poll" and "cause" in line
        ]
        return Outcome(
            case=self.case,
            when=self.when,
            usage=self.cell(self.usage),
            files=self.cell(self.files),
            up=self.up(self.during),
            requests=self.requests,
            back=self.back,
            log=causes[0] if causes else "-",
            publications=self.observer.publications,
            wrong=self.observer.wrong_count,
            problems=(*self.observer.wrong, *problems),
            lines=tuple(lines),
        )


def _polls(shown: Shown, target: Target) -> float:
    labels = {"account": target.account, "collector": target.collector}
    return shown.value("scaleengine_polls_total", **labels) or 0


def _is_of(line: EventDict, account: str) -> bool:
    return line.get("account") == account or f" {account} " in str(line.get("thread"))


def _problems_of_log(lines: Sequence[EventDict], trial: _Trial) -> Iterator[str]:
    """Yield what the log should not have: each failed poll is one line, with cause and advice."""
    for line in lines:
        if line["log_level"] not in ("debug", "info", "warning"):
            yield f"the log has a defect: {line['event']}"
        if KEY in str(line) or SECRET in str(line):
            yield "a line of the log shows a secret"
    failed = [line for line in lines if line.get("result") == "failed"]
    counted = trial.observer.newest.total(
        "scaleengine_poll_failures_total", account=trial.environment.name
    )
    if len(failed) < counted:
        yield f"{counted:g} polls failed, and the log has {len(failed)} lines of it"
    if not all(line["cause"] and line["advice"] for line in failed):
        yield "a line of the log lacks its cause or its advice"
