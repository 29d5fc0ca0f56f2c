"""Choose whether a walk requests a parent again, or each of its sub-folders separately.

A request for the parent is made where it takes less time, by what the walk has seen so far. What
its offset counts is tried out; the account remembers it for its next walks, which try it first.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import structlog

from exporter.polling.siblings import MIN_SIBLINGS, ParentOffset, SiblingRun

log: Final = structlog.get_logger(__name__)

MAX_COST: Final = 3
"""Useless requests that a walk may make for parents, beyond those that useful ones have saved."""
_MIN_EXPECTED: Final = 1.5
"""Sub-folders that a response for the parent must complete, where a single one completes one."""
_MAX_REPEATED: Final = 2000
"""Skipped sub-folders that a response may repeat for each request that it saves: about 64 KiB."""


@dataclass(slots=True)
class StrategyMemory:
    """What the walks of an account have found out; it is true until a walk finds out otherwise.

    ``offset`` is what the offset of a parent counts, None where no way of counting fits.
    ``is_known`` says whether any walk has found out something. ``postponed`` is a way of counting
    that seemed to fit when a walk had no request left to make sure; the next walk tries it first.
    """

    offset: ParentOffset | None = None
    is_known: bool = False
    postponed: ParentOffset | None = None

    @property
    def strategy(self) -> str | None:
        """Return the name of the strategy that this leads to; None before the first try."""
        if not self.is_known:
            return None
        return "children" if self.offset is None else f"parent_{self.offset}"


@dataclass(slots=True)
class _RequestTimes:
    """The requests of one kind: their number, and the seconds they took in all."""

    requests: int = 0
    seconds: float = 0.0

    @property
    def mean(self) -> float | None:
        return self.seconds / self.requests if self.requests else None


@dataclass(frozen=True, slots=True)
class ParentRequest:
    """A request for the parent of a run, at the offset of the anchor."""

    run: SiblingRun
    counted: ParentOffset
    offset: int


@dataclass(frozen=True, slots=True)
class ChildRequests:
    """Requests for the first sub-folders of a run; ``finds_anchor`` where the only one may be."""

    number: int
    finds_anchor: bool = False


class WalkStrategy:
    """Chooses the requests of one walk.

    ``max_concurrency`` requests are in flight at most, and ``gap`` seconds apart at least.
    ``fields`` name the target in the log.
    """

    def __init__(
        self,
        max_concurrency: int,
        gap: float = 0.0,
        memory: StrategyMemory | None = None,
        fields: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        self.memory = memory if memory is not None else StrategyMemory()
        self._max_concurrency = max_concurrency
        self._gap = gap
        self._fitting: ParentOffset | None = None
        known = self.memory.offset or self.memory.postponed
        self.memory.postponed = None
        self._counted = deque(sorted(ParentOffset, key=lambda counted: counted is not known))
        # Where nothing has fitted so far, one try in each walk shows whether that has changed.
        self._credit = 1 if self.memory.is_known and known is None else MAX_COST
        self._parents, self._children = _RequestTimes(), _RequestTimes()
        self._log = log.bind(**fields)

    @property
    def has_given_up(self) -> bool:
        """Return whether no other request for a parent is made in this walk."""
        return self._credit <= 0

    def choose(
        self, run: SiblingRun, runs: int, count_spare: Callable[[], int]
    ) -> ParentRequest | ChildRequests:
        """Return what is requested next for a run.

        ``runs`` go on at the same time. ``count_spare`` returns how many requests may be made
        beyond those that the walk takes without any for a parent; that is negative where these are
        more than a walk may make.
        """
        against = self._find_against(run, runs, count_spare)
        if against is None:
            request = self._find_request(run)
            if request is None:
                return ChildRequests(1, finds_anchor=True)
            self._log_choice(run, "parent", f"its offset may count {request.counted}")
            return request
        self._log_choice(run, "children", against)
        if self.has_given_up or len(run.queue) < MIN_SIBLINGS:
            return ChildRequests(len(run.queue))
        return ChildRequests(run.double_batch())

    def record_fit(self, request: ParentRequest, completed: int) -> None:
        """Record that a response for a parent has completed that number of sub-folders."""
        if not completed:
            request.run.tried.add(request.offset)
        self._fitting = request.counted
        self._credit = min(MAX_COST, self._credit + completed - 1)
        self.memory.offset, self.memory.is_known = request.counted, True

    def stop_after_misfit(self) -> None:
        """Make no other request for a parent, once the misfit of this one is recorded."""
        self._credit = 1

    @property
    def can_afford_comparison(self) -> bool:
        """Return whether a request may be made to confirm that an offset fits."""
        return self._credit > 1

    def postpone_comparison(self, request: ParentRequest) -> None:
        """Leave it to the next walk to confirm what the offset of this request counts."""
        self.memory.postponed = request.counted

    def record_misfit(self, request: ParentRequest, cost: int = 1) -> None:
        """Record that a response for a parent was of no use.

        ``cost`` is how many requests were of no use.
        """
        request.run.tried.add(request.offset)
        self._credit -= cost
        if self._fitting is not None:
            return
        self._counted.rotate(-1)
        if self.has_given_up:
            self.memory.offset, self.memory.is_known = None, True

    def record_time(self, seconds: float, *, is_parent: bool) -> None:
        """Record how long a request took, with the wait for its turn."""
        times = self._parents if is_parent else self._children
        times.requests += 1
        times.seconds += seconds

    def _find_request(self, run: SiblingRun) -> ParentRequest | None:
        for counted in self._counted if self._fitting is None else [self._fitting]:
            offset = run.offset(counted)
            if offset is not None and offset not in run.tried:
                return ParentRequest(run, counted, offset)
        return None

    def _find_against(
        self, run: SiblingRun, runs: int, count_spare: Callable[[], int]
    ) -> str | None:
        """Return why sub-folders are requested separately; None where the parent is better."""
        is_proven = self._fitting is not None
        expected = min(run.expected, len(run.queue))
        checks = {
            "no offset of a parent fits": self.has_given_up,
            "few sub-folders are left": len(run.queue) < MIN_SIBLINGS - is_proven,
            "the sub-folders are large": expected < _MIN_EXPECTED,
            "responses would repeat too many sub-folders": (
                len(run.queue) > _MAX_REPEATED * (expected - 1)
            ),
            "requests at the same time are faster": self._is_slower(runs, expected),
            "a try could exceed the requests of a poll": (not is_proven and count_spare() == 0),
        }
        return next((against for against, holds in checks.items() if holds), None)

    def _is_slower(self, runs: int, expected: float) -> bool:
        """Return whether requests for parents, in turn, take longer than those they replace.

        ``expected`` is how many sub-folders a response for the parent completes.
        """
        child_seconds = self._children.mean or self._parents.mean or 0.0
        parent_seconds = self._parents.mean or child_seconds
        seconds_per_child = max(child_seconds / self._max_concurrency, self._gap)
        seconds_per_parent = max(parent_seconds / min(runs, self._max_concurrency), self._gap)
        return seconds_per_parent > seconds_per_child * expected

    def _log_choice(self, run: SiblingRun, choice: str, explanation: str) -> None:
        if (choice, explanation) == run.choice:
            return
        run.choice = (choice, explanation)
        self._log.debug(
            "walk strategy chosen",
            strategy=choice,
            explanation=explanation,
            request_path=run.parent.path,
            folders=len(run.queue),
            files_per_folder=round(run.mean_files),
        )
