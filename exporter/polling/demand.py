"""Whether polls fit: how many requests an account needs, and whether its polls end in time."""

from collections.abc import Callable, Iterable
from typing import Final

import structlog

from exporter.polling.store import PollResult, Store, TargetState
from exporter.polling.targets import Target, build_log_fields
from exporter.process.log_limit import LogLimit
from exporter.scaleengine.clock import Clock, Seconds

log: Final = structlog.get_logger(__name__)

HOUR: Final = 3600.0
DEMAND_ADVICE: Final = "set longer intervals, a higher api.requests_per_second, or smaller paths"

HIGH_DEMAND_RATIO: Final = 0.9
"""The share of the rate limit from which on polls may be late, as in ``monitoring/alerts.yml``."""

_WARNING_SECONDS: Final = 3600.0


def count_requests_per_hour(known: Iterable[TargetState]) -> float | None:
    """Return the API requests that polls like the last good ones need in an hour.

    It is the sum, over the targets, of the requests of the last good poll, divided by the interval
    in hours. None where a target has had no good poll yet, and where there is no target.
    """
    total = None
    for state in known:
        demand = count_target_requests(state)
        if demand is None:
            return None
        total = demand if total is None else total + demand
    return total


def count_target_requests(known: TargetState) -> float | None:
    """Return the same of one target."""
    good = known.good
    if good is None or good.requests is None:
        return None
    return good.requests * HOUR / known.target.interval


def find_costliest_target(known: Iterable[TargetState]) -> TargetState:
    """Return the target whose polls need most requests; there must be one."""
    return max(known, key=lambda state: count_target_requests(state) or 0.0)


def compute_demand_ratio(
    known: Iterable[TargetState], requests_per_second: float | None
) -> float | None:
    """Return the demand of an account as a share of its rate limit; None without either."""
    demand = count_requests_per_hour(known)
    if demand is None or requests_per_second is None:
        return None
    return demand / (HOUR * requests_per_second)


def measure_overdue(target: Target, result: PollResult) -> float:
    """Return the seconds by which a poll ended after the next one was due; 0 where in time."""
    return max(0.0, result.seconds - target.interval)


class DemandLog:
    """Warns of polls that outlast their interval, and of accounts that need too many requests.

    Each is warned of at most once an hour. ``requests_per_second`` returns the rate limit.
    """

    def __init__(
        self, store: Store, clock: Clock, requests_per_second: Callable[[], float | None]
    ) -> None:
        self._store = store
        self._requests_per_second = requests_per_second
        self._limit = LogLimit(clock.monotonic, max_events=None, period=_WARNING_SECONDS)

    def record(self, target: Target, result: PollResult) -> None:
        """Record a poll that has ended."""
        overdue = measure_overdue(target, result)
        if overdue and self._limit.is_due(target):
            log.warning(
                "poll outlasted its interval",
                **build_log_fields(target),
                duration=Seconds(result.seconds),
                interval=Seconds(target.interval),
                requests=result.requests,
                advice=DEMAND_ADVICE,
            )
        known = self._store.account(target.account)
        ratio = compute_demand_ratio(known, self._requests_per_second())
        if ratio is not None and ratio > HIGH_DEMAND_RATIO and self._limit.is_due(target.account):
            costliest = find_costliest_target(known)
            log.warning(
                "request demand near or above the rate limit",
                account=target.account,
                demand_ratio=round(ratio, 3),
                requests_per_hour=round(count_requests_per_hour(known) or 0.0),
                costliest_target=str(costliest.target),
                costliest_requests_per_hour=round(count_target_requests(costliest) or 0.0),
                advice=DEMAND_ADVICE,
            )

    def set_targets(self, targets: Iterable[Target]) -> None:
        """Keep only the state of these targets and their accounts."""
        kept: set[Target | str] = set()
        for target in targets:
            kept |= {target, target.account}
        self._limit.retain(kept)
