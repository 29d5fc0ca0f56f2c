"""Check everything that the settings name: the connection to the API, accounts, targets."""

import os
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Final

import structlog

from exporter.check.account_demand import describe_demand
from exporter.check.asking import Asking
from exporter.check.findings import (
    CLOCK,
    Finding,
    Outcome,
    RequestRange,
    failed,
    key_of,
    polled,
    secrets_of,
)
from exporter.check.reach import reach
from exporter.polling.recovery import refuses_credentials, untried_scope
from exporter.polling.targets import FilesTarget, Target
from exporter.process.resource_limits import find_resource_limit
from exporter.scaleengine import disk_usage, file_listing
from exporter.scaleengine.client import Credentials
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.errors import (
    AuthError,
    FailureScope,
    ResourceLimitError,
    ScaleEngineError,
    exporter_defect,
)
from exporter.scaleengine.route import find_route
from exporter.settings import Settings

log: Final = structlog.get_logger(__name__)

_COMMANDS: Final = (disk_usage.COMMAND, file_listing.COMMAND)
_WORTH_SAYING: Final = 10
"""Seconds: what a clock may be off by, together with the time that a slow response takes."""

_NO_API: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE})
"""What a web server says that has no API at the path of ``api.url``."""


class Trials:
    """Checks the settings, one thing after the other; a failure stops only what depends on it.

    A key that is refused is not tried again with the same command, and an account that ScaleEngine
    wants to rest is left alone. Where nothing answers, nobody is asked any more. ``tell`` is told
    what is being tried. ``is_part`` says that the accounts have more targets than the settings.
    """

    def __init__(
        self,
        settings: Settings,
        asking: Asking,
        clock: Clock,
        tell: Callable[[str], None],
        *,
        is_part: bool = False,
    ) -> None:
        self._settings = settings
        self._asking = asking
        self._clock = clock
        self._tell = tell
        self._is_part = is_part
        endpoint = settings.endpoint
        self._route = find_route(endpoint.url, endpoint.ca_file, os.environ)
        self._cut_off = False
        self._clock_seen = False
        self._accepted: set[tuple[str, str]] = set()
        self._given_up: set[tuple[str, str]] = set()

    def run(self) -> Iterator[Finding]:
        """Try everything, and return each finding as soon as it is made."""
        self._tell(self._route.host)
        for finding in self._reach():
            self._cut_off = finding.outcome is Outcome.FAIL
            yield finding
        for account in self._settings.accounts:
            targets = [each for each in self._settings.targets if each.account == account.name]
            yield from self._try_account(account.name, targets)

    def _reach(self) -> Iterator[Finding]:
        return reach(self._route, self._settings.endpoint.timeout, self._clock)

    def _try_account(self, account: str, targets: list[Target]) -> Iterator[Finding]:
        try:
            credentials = self._asking.credentials(account)
        except (AuthError, ResourceLimitError) as error:
            yield failed(secrets_of(account), error)
            yield from map(_not_tried, targets)
            return
        yield Finding(secrets_of(account), Outcome.OK, "readable")
        needed: dict[Target, RequestRange | None] = {}
        for number, target in enumerate(targets, start=1):
            needed[target] = None
            if self._cut_off or (account, _command(target)) in self._given_up:
                yield _not_tried(target)
                continue
            self._tell(f"{target} ({number} of {len(targets)})")
            for finding in self._try(target, credentials):
                needed[target] = finding.requests or needed[target]
                yield finding
        demand = describe_demand(
            account, needed, self._settings.requests_per_second, is_part=self._is_part
        )
        if demand is not None:
            yield demand

    def _try(self, target: Target, credentials: Credentials) -> Iterator[Finding]:
        outcome = self._outcome(target, credentials)
        yield from self._on_the_side(target)
        if isinstance(outcome, Finding):
            yield outcome
            return
        self._give_up_after(outcome, target)
        if refuses_credentials(outcome):
            command = _command(target)
            yield failed(key_of(target.account, command), outcome, {"command": command})
            yield _not_tried(target)
        else:
            yield failed(polled(target), outcome)

    def _outcome(self, target: Target, credentials: Credentials) -> Finding | ScaleEngineError:
        try:
            return self._asking.ask(target, credentials)
        except ScaleEngineError as error:
            return error
        except Exception as error:
            limit = find_resource_limit(error)
            if limit is not None:
                return ResourceLimitError(_command(target), limit.cause, limit.advice)
            log.exception("a defect of this exporter ended a trial; please report it")
            return exporter_defect(_command(target))

    def _on_the_side(self, target: Target) -> Iterator[Finding]:
        """Return what responses tell whatever they say: the time, and that the key is accepted."""
        skew = self._asking.skew
        if skew is not None and not self._clock_seen:
            self._clock_seen = True
            yield _clock(skew)
        right = (target.account, _command(target))
        if self._asking.is_accepted and right not in self._accepted:
            self._accepted.add(right)
            yield Finding(key_of(*right), Outcome.OK, "accepted", facts={"command": right[1]})

    def _is_wrong_address(self) -> bool:
        """Return whether there is no API at ``api.url``, so that every request would fail alike."""
        exchange = self._asking.newest
        return exchange is not None and exchange.status in _NO_API and not self._accepted

    def _give_up_after(self, error: ScaleEngineError, target: Target) -> None:
        """Note what need not be tried any more."""
        account = target.account
        if self._is_wrong_address():
            self._cut_off = True
            return
        match untried_scope(error):
            case FailureScope.COMMAND:
                self._given_up.add((account, _command(target)))
            case FailureScope.CREDENTIALS | FailureScope.ACCOUNT:
                self._given_up.update((account, command) for command in _COMMANDS)
            case FailureScope.API:
                self._cut_off = not self._asking.answered or any(
                    finding.outcome is Outcome.FAIL for finding in self._reach()
                )


def _command(target: Target) -> str:
    return file_listing.COMMAND if isinstance(target, FilesTarget) else disk_usage.COMMAND


def _not_tried(target: Target) -> Finding:
    return Finding(polled(target), Outcome.NOT_TRIED, "what it needs has failed")


def _clock(skew: float) -> Finding:
    seconds = round(abs(skew))
    facts = {"skew_seconds": round(skew, 1)}
    if seconds <= _WORTH_SAYING:
        detail = f"within {max(1, seconds)} s of ScaleEngine's"
        return Finding(CLOCK, Outcome.OK, detail, facts=facts)
    detail = f"{seconds} s {'ahead of' if skew > 0 else 'behind'} ScaleEngine's"
    advice = "set it, best by NTP; requests go by ScaleEngine's time where ours is refused"
    return Finding(CLOCK, Outcome.WARN, detail, advice, facts=facts)
