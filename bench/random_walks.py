"""Count random trees under random readings of the API's pages, and compare with the truth.

Over real sockets, by the real client and walk. Each walk follows from the seed and its number:
``--seed S --only N`` tries one again. Ends with 1 if a number was wrong without ambiguity.
With ``--changes``, the trees change while they are walked: then it ends with 1 if a number was
further from every truth than by what has moved.
"""

import argparse
import asyncio
import logging
import random
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from statistics import median
from typing import Final

import structlog

from exporter.polling.credentials import CredentialBreaker, CredentialReader
from exporter.polling.folder_counts import ROOT_LABEL
from exporter.polling.limits import FairLimiter, RateLimiter
from exporter.polling.session import PolledAccount, PollSession
from exporter.polling.snapshots import FileCounts
from exporter.polling.target_poller import poll_target
from exporter.polling.targets import FilesTarget
from exporter.polling.walk import WalkLimits
from exporter.polling.workers import WorkerPool
from exporter.scaleengine.client import Client, Credentials
from exporter.scaleengine.errors import ScaleEngineError
from exporter.scaleengine.timestamps import ServerTime, TimestampAllocator
from exporter.scaleengine.transport import Endpoint, Transport
from exporter.simulator import Behaviour, Folder, SimulatedAccount, Simulator
from tests.support.api_variants import ApiVariant, Counted
from tests.support.clocks import LeapingClock
from tests.support.random_trees import (
    ambiguities,
    describe_tree,
    random_tree,
    random_wide_tree,
)
from tests.support.random_variants import describe, random_variant
from tests.support.tree_changes import ChangingFolder, Truth, random_changes

KEY: Final = "BENCH"
SECRET: Final = "nobodys-secret"  # noqa: S105 (of a simulated account)
MAX_REQUESTS: Final = 2000
_TYPES: Final = ("video", "video", "video", "video", "valid", "deleted")
_SHOWN: Final = 600


class Outcome(Enum):
    """What came of a walk."""

    EXACT = "exact"
    ABSENT = "absent"
    WRONG = "wrong"
    CRASHED = "crashed"
    BOUNDED = "never true, but off by no more than what moved"
    AMBIGUOUS = "wrong, but the responses are ambiguous"


_DEFECTS: Final = frozenset({Outcome.WRONG, Outcome.CRASHED})


@dataclass(frozen=True, slots=True)
class Trial:
    """A tree, how its API is read, and how the walk is made."""

    number: int
    variant: ApiVariant
    tree: Folder
    file_type: str
    changing: ChangingFolder
    max_concurrency: int
    description: str

    @property
    def path(self) -> str:
        """The path that is walked: one of its own, so that no two walks send the same request."""
        return f"sestore4/walk{self.number}"

    def least_requests(self) -> int:
        """Return the fewest requests that can list the tree as it is."""
        files = self.tree.count(self.file_type)
        counted = {
            Counted.FILES: files,
            Counted.ENTRIES: files + self.tree.count_folders(),
            Counted.SCANNED: self.tree.count(None),
        }[self.variant.limit_counts]
        return max(1, -(-counted // self.variant.files_per_answer))


@dataclass(frozen=True, slots=True)
class Result:
    """How a walk ended: the published number or the cause why there is none; its distance.

    ``waited`` are seconds: a request that repeats another waits for a second of its own.
    """

    trial: Trial
    outcome: Outcome
    requests: int
    least_requests: int
    published: Truth | None = None
    cause: str = ""
    distance: Truth | None = None
    waited: float = 0.0

    def line(self) -> str:
        """Return what happened in a line that is printed next to the tree."""
        changing = self.trial.changing
        truths = changing.truths
        truth = f"{truths[0].files}/{truths[0].folders}"
        if len(truths) > 1:
            truth += f" to {truths[-1].files}/{truths[-1].folders} in {len(truths) - 1} changes"
            truth += f" that moved {changing.moved_files}/{changing.moved_folders}"
        got = f"{self.published.files}/{self.published.folders}" if self.published else ""
        got = " ".join(filter(None, (got, self.cause)))
        off = f", off by {self.distance.files}/{self.distance.folders}" if self.distance else ""
        return (
            f"{self.outcome.value} #{self.trial.number}: {got}; truth {truth}{off} "
            f"({self.trial.file_type}); {self.requests} requests, least {self.least_requests}\n"
            f"    {describe(self.trial.variant)}\n    {self.trial.description}"
        )


def make_trial(seed: str, number: int, change_share: float) -> Trial:
    """Return a trial: the same for the same seed and number."""
    rng = random.Random(f"{seed}:{number}")  # noqa: S311 (it makes up a tree, it keeps no secret)
    variant = random_variant(rng)
    grow = rng.choice([random_tree, random_wide_tree])
    tree = grow(rng, variant.files_per_answer)
    file_type = "video" if change_share else rng.choice(_TYPES)
    # With several requests at once, which of them meets a change is not in the seed.
    changing = ChangingFolder(tree, file_type, random_changes(rng, change_share))
    max_concurrency = 1 if change_share else rng.choice([1, 4])
    description = describe_tree(tree, file_type)[:_SHOWN]
    return Trial(number, variant, tree, file_type, changing, max_concurrency, description)


class Walker:
    """Walks the trees of one simulated account, one after the other."""

    def __init__(self, simulator: Simulator, storage: Folder, leaping: LeapingClock) -> None:
        self._simulator = simulator
        self._storage = storage
        self._clock = leaping.clock
        self._workers = WorkerPool()
        self._stop = leaping
        self._client = Client(
            account="main",
            cdn=158,
            transport=Transport(Endpoint(simulator.url, 30.0, 4)),
            timestamps=TimestampAllocator(self._stop.wait),
            clock=self._clock,
            time=ServerTime(self._clock),
            observe=lambda _: None,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._workers.close()

    def walk(self, trial: Trial) -> Result:
        """Poll the tree once, by the real walk."""
        name = trial.path.rpartition("/")[2]
        above = self._storage.make("sestore4")
        above.place(name, trial.tree)
        self._simulator.behave(Behaviour(variant=trial.variant))
        target = FilesTarget("main", 3600.0, 3600.0, trial.path, trial.file_type, 1)
        session = PollSession(self._account(trial.max_concurrency), target, random.Random(0))  # noqa: S311
        least = trial.least_requests()
        leapt = self._stop.leapt
        outcome, cause = Outcome.EXACT, ""
        counts = None
        try:
            counts = asyncio.run(poll_target(target, session))
        except ScaleEngineError as error:
            outcome, cause = Outcome.ABSENT, error.cause
        except Exception:  # noqa: BLE001 (a defect of the walk must not hide the other walks)
            outcome, cause = Outcome.CRASHED, traceback.format_exc(limit=-3)
        finally:
            above.take(name)
        waited = self._stop.leapt - leapt
        if not isinstance(counts, FileCounts):
            return Result(trial, outcome, session.requests, least, cause=cause, waited=waited)
        published = Truth(counts.files, counts.folders)
        distance = trial.changing.distance(counts.files, counts.folders)
        outcome = classify(trial, distance)
        if outcome is Outcome.EXACT and not is_right_by_folder(trial, counts):
            outcome, cause = Outcome.WRONG, "by folder"
        return Result(trial, outcome, session.requests, least, published, cause, distance, waited)

    def _account(self, max_concurrency: int) -> PolledAccount:
        return PolledAccount(
            name="main",
            client=self._client,
            credentials=CredentialReader(lambda: Credentials(KEY, SECRET)),
            limiter=FairLimiter(
                max_concurrency, RateLimiter(None, self._clock), self._clock, self._workers
            ),
            breaker=CredentialBreaker(self._clock),
            limits=WalkLimits(max_concurrency, MAX_REQUESTS),
            workers=self._workers,
        )


def classify(trial: Trial, distance: Truth) -> Outcome:
    """Classify a published number by its distance from the truth of every moment."""
    if distance == Truth(0, 0):
        return Outcome.EXACT
    if any(ambiguities(trial.tree, trial.variant)):
        return Outcome.AMBIGUOUS
    changing = trial.changing
    is_bounded = (
        distance.files <= changing.moved_files and distance.folders <= changing.moved_folders
    )
    return Outcome.BOUNDED if is_bounded else Outcome.WRONG


def is_right_by_folder(trial: Trial, counts: FileCounts) -> bool:
    """Return whether each top folder has its files, or, after changes, whether they add up."""
    by_folder = {part.folder: part.files for part in counts.by_folder or ()}
    if len(trial.changing.truths) > 1:
        return sum(by_folder.values()) == counts.files
    below = {name: folder.count(trial.file_type) for name, folder in trial.tree.folders()}
    return by_folder == {ROOT_LABEL: len(trial.tree.names(trial.file_type)), **below}


class _Hook:
    """What the account calls before each response: the tree that is being walked changes."""

    changing: ChangingFolder | None = None

    def refresh(self, now: float) -> None:
        """Let the tree change."""
        if self.changing is not None:
            self.changing.refresh(now)


@contextmanager
def walking(seed: str, change_share: float = 0.0) -> Iterator[Callable[[int], Result]]:
    """Return a function that makes the walk of a number."""
    hook = _Hook()
    storage = Folder()
    account = SimulatedAccount(158, KEY, SECRET, storage=storage, refresh=hook.refresh)
    leaping = LeapingClock()
    with Simulator([account], clock=leaping.clock.now) as simulator:
        walker = Walker(simulator, storage, leaping)

        def walk(number: int) -> Result:
            trial = make_trial(seed, number, change_share)
            hook.changing = trial.changing
            return walker.walk(trial)

        try:
            yield walk
        finally:
            walker.close()


def walk_all(numbers: Iterable[int], seed: str, share: float, seconds: float) -> list[Result]:
    """Make the walks of these numbers, as many as there is time for; print what is wrong."""
    results: list[Result] = []
    end = time.monotonic() + seconds
    with walking(seed, share) as walk:
        for number in numbers:
            if time.monotonic() > end:
                print(f"stopped after {seconds:.0f} s")
                break
            results.append(walk(number))
            if results[-1].outcome in _DEFECTS:
                print(results[-1].line(), flush=True)
    return results


def summary(results: Sequence[Result], shown_absent: int) -> Iterator[str]:
    """Return what came of the walks, line by line."""
    outcomes = Counter(result.outcome for result in results)
    yield f"{len(results)} walks: " + ", ".join(
        f"{outcomes[outcome]} {outcome.value}" for outcome in Outcome
    )
    yield from _requests(results)
    by_cause: dict[str, list[Result]] = {}
    for result in results:
        if result.outcome is Outcome.ABSENT:
            by_cause.setdefault(_without_details(result.cause), []).append(result)
    for cause, absent in sorted(by_cause.items(), key=lambda item: -len(item[1])):
        yield f"{len(absent):6} absent: {cause}"
        yield from (result.line() for result in absent[:shown_absent])
    never_true = [result for result in results if result.outcome is Outcome.BOUNDED]
    if never_true:
        off = [result.distance.files for result in never_true if result.distance]
        yield f"never true: files off by {median(off):.0f} (median), {max(off)} (most)"
        yield from (result.line() for result in never_true[:shown_absent])
    yield from _by_switch(results)


def _requests(results: Sequence[Result]) -> Iterator[str]:
    """Return the requests of the walks that were finished, against the fewest possible."""
    done = [result for result in results if result.published]
    if not done:
        return
    made, least = (sum(r.requests for r in done), sum(r.least_requests for r in done))
    more = sorted(done, key=lambda r: r.requests - r.least_requests)
    ratios = sorted(result.requests / result.least_requests for result in done)
    yield (
        f"requests of the walks that were finished: {made}, least {least}; "
        f"times the least: {ratios[len(ratios) // 2]:.1f} (median), "
        f"{ratios[len(ratios) * 95 // 100]:.1f} (95 %), {ratios[-1]:.1f} (most)"
    )
    waiting = [result.waited for result in results if result.waited]
    if waiting:
        yield (
            f"    {len(waiting)} walks repeat a request, and would wait "
            f"{median(waiting):.0f} s for that (median), {max(waiting):.0f} s (most)"
        )
    worst = more[-1]
    yield (
        f"    most above the least: {worst.requests} for {worst.least_requests} "
        f"by #{worst.trial.number} {describe(worst.trial.variant)}"
    )


def _by_switch(results: Sequence[Result]) -> Iterator[str]:
    """Return the outcomes of the readings with each unusual switch."""
    walks: Counter[str] = Counter()
    bad: Counter[tuple[str, Outcome]] = Counter()
    for result in results:
        for word in re.findall(r"\S+=\S+", describe(result.trial.variant)):
            switch = re.sub("overlap=.*", "overlap", word)
            walks[switch] += 1
            bad[switch, result.outcome] += 1
    yield "walks  wrong  absent  with"
    order = sorted(walks, key=lambda s: (-bad[s, Outcome.WRONG], -bad[s, Outcome.ABSENT], s))
    for switch in order:
        wrong, absent = bad[switch, Outcome.WRONG], bad[switch, Outcome.ABSENT]
        yield f"{walks[switch]:5}  {wrong:5}  {absent:6}  {switch}"


def _without_details(cause: str) -> str:
    """Return a cause without what differs from walk to walk."""
    cause = re.sub(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", "…", cause)
    return re.sub(r"\d+", "N", cause)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, walk, and print the results."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.random_walks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--walks", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=900.0, help="begin no walk after these")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--only", type=int, help="the number of the one walk to make")
    parser.add_argument(
        "--changes",
        type=float,
        nargs="?",
        const=0.2,
        default=0.0,
        metavar="SHARE",
        help="change the tree before this share of the requests; 0.2 without a number",
    )
    parser.add_argument("--show", type=int, default=1, help="walks to show of each cause")
    given = parser.parse_args(arguments)
    numbers = range(1, given.walks + 1) if given.only is None else [given.only]
    print(f"seed {given.seed}")
    results = walk_all(numbers, given.seed, given.changes, given.seconds)
    for line in summary(results, given.show):
        print(line)
    if given.only is not None:
        print(*(result.line() for result in results))
    return exit_status(results)


def exit_status(results: Iterable[Result]) -> int:
    """Return 1 if a number was wrong or a walk crashed, else 0."""
    return int(any(result.outcome in _DEFECTS for result in results))


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    sys.exit(main())
