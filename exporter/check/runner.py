"""Check the API, the accounts and the targets of the settings, or those that are selected."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from http import HTTPStatus
from typing import Final, TextIO

import structlog

from exporter.check.connectivity import check_connectivity
from exporter.check.full_polls import FullPoller
from exporter.check.prober import Prober
from exporter.check.report import WRITERS
from exporter.check.results import (
    CLOCK,
    CONFIGURATION,
    CheckResult,
    Outcome,
    RequestRange,
    build_demand_result,
    build_failure_result,
    build_key_subject,
    build_secrets_subject,
    build_target_subject,
    redact_result,
)
from exporter.polling.recovery import find_scope_to_give_up, refuses_credentials
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
    build_defect_error,
)
from exporter.scaleengine.redaction import SecretRedactor
from exporter.scaleengine.route import find_route
from exporter.settings import Settings
from exporter.terminal import Progress

_NAMED: Final = 5


class SelectionError(Exception):
    """A selected account or path is not polled; the message says which are."""


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What to check, and how to print it.

    ``output`` is ``text`` or ``json``. ``full`` polls each target completely. Only these
    ``accounts`` and ``paths`` are checked; all if there are none.
    """

    output: str = "text"
    full: bool = False
    accounts: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


def check(
    settings: Settings,
    warnings: Iterable[str],
    secrets: SecretRedactor,
    options: CheckOptions,
    display: tuple[TextIO, Progress],
) -> bool:
    """Check the settings against the API, print the results; return whether nothing failed.

    ``warnings`` are those of the configuration. ``display`` is the stream for the results, and the
    progress line. Raises SelectionError for a wrong account or path.
    """
    out, progress = display
    settings = select(settings, options.accounts, options.paths)
    clock = Clock()
    full_poller = (
        FullPoller(settings.max_workers, clock, progress.advance) if options.full else None
    )
    prober = Prober(settings, clock, secrets.register, full_poller)

    def findings() -> Iterator[CheckResult]:
        yield from (CheckResult(CONFIGURATION, Outcome.WARN, warning) for warning in warnings)
        trials = CheckRunner(settings, prober, clock, progress.show, is_part=bool(options.paths))
        for result in trials.run():
            progress.hide()
            yield redact_result(result, secrets.redact)

    try:
        counts = WRITERS[options.output](findings(), out)
    finally:
        progress.hide()
        prober.close()
    return not counts[Outcome.FAIL]


log: Final = structlog.get_logger(__name__)

_COMMANDS: Final = (disk_usage.COMMAND, file_listing.COMMAND)
_TOLERATED_SKEW_SECONDS: Final = 10
"""Clock skew that needs no warning; it includes the time of a slow response."""

_NO_API: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE})
"""What a web server says that has no API at the path of ``api.url``."""


class CheckRunner:
    """Checks the settings, one thing after the other; a failure stops only what depends on it.

    A key that is refused is not used again for the same command. No request is sent to an account
    that is rate limited, and none at all if the API is unreachable. ``show`` is called with what is
    being checked. ``is_part`` says that the accounts have more targets than the settings.
    """

    def __init__(
        self,
        settings: Settings,
        prober: Prober,
        clock: Clock,
        show: Callable[[str], None],
        *,
        is_part: bool = False,
    ) -> None:
        self._settings = settings
        self._prober = prober
        self._clock = clock
        self._show = show
        self._is_part = is_part
        endpoint = settings.endpoint
        self._route = find_route(endpoint.url, endpoint.ca_file, os.environ)
        self._cut_off = False
        self._clock_seen = False
        self._accepted: set[tuple[str, str]] = set()
        self._given_up: set[tuple[str, str]] = set()

    def run(self) -> Iterator[CheckResult]:
        """Check everything, and yield each result at once."""
        self._show(self._route.host)
        for result in self._check_connectivity():
            self._cut_off = result.outcome is Outcome.FAIL
            yield result
        for account in self._settings.accounts:
            targets = [
                target for target in self._settings.targets if target.account == account.name
            ]
            yield from self._try_account(account.name, targets)

    def _check_connectivity(self) -> Iterator[CheckResult]:
        return check_connectivity(self._route, self._settings.endpoint.timeout, self._clock)

    def _try_account(self, account: str, targets: list[Target]) -> Iterator[CheckResult]:
        try:
            credentials = self._prober.credentials(account)
        except (AuthError, ResourceLimitError) as error:
            yield build_failure_result(build_secrets_subject(account), error)
            yield from map(_build_skipped_result, targets)
            return
        yield CheckResult(build_secrets_subject(account), Outcome.OK, "readable")
        needed: dict[Target, RequestRange | None] = {}
        for number, target in enumerate(targets, start=1):
            needed[target] = None
            if self._cut_off or (account, _find_command(target)) in self._given_up:
                yield _build_skipped_result(target)
                continue
            self._show(f"{target} ({number} of {len(targets)})")
            for result in self._try(target, credentials):
                needed[target] = result.requests or needed[target]
                yield result
        demand = build_demand_result(
            account, needed, self._settings.requests_per_second, is_part=self._is_part
        )
        if demand is not None:
            yield demand

    def _try(self, target: Target, credentials: Credentials) -> Iterator[CheckResult]:
        outcome = self._probe(target, credentials)
        yield from self._build_side_results(target)
        if isinstance(outcome, CheckResult):
            yield outcome
            return
        self._give_up_after(outcome, target)
        if refuses_credentials(outcome):
            command = _find_command(target)
            yield build_failure_result(
                build_key_subject(target.account, command), outcome, {"command": command}
            )
            yield _build_skipped_result(target)
        else:
            yield build_failure_result(build_target_subject(target), outcome)

    def _probe(self, target: Target, credentials: Credentials) -> CheckResult | ScaleEngineError:
        try:
            return self._prober.probe(target, credentials)
        except ScaleEngineError as error:
            return error
        except Exception as error:
            limit = find_resource_limit(error)
            if limit is not None:
                return ResourceLimitError(_find_command(target), limit.cause, limit.advice)
            log.exception("check crashed; please report it")
            return build_defect_error(_find_command(target))

    def _build_side_results(self, target: Target) -> Iterator[CheckResult]:
        """Yield what any response shows: the clock skew, and that the key is accepted."""
        skew = self._prober.skew
        if skew is not None and not self._clock_seen:
            self._clock_seen = True
            yield _check_clock(skew)
        right = (target.account, _find_command(target))
        if self._prober.is_accepted and right not in self._accepted:
            self._accepted.add(right)
            yield CheckResult(
                build_key_subject(*right), Outcome.OK, "accepted", facts={"command": right[1]}
            )

    def _is_wrong_address(self) -> bool:
        """Return whether there is no API at ``api.url``, so that every request would fail."""
        exchange = self._prober.newest
        return exchange is not None and exchange.status in _NO_API and not self._accepted

    def _give_up_after(self, error: ScaleEngineError, target: Target) -> None:
        """Record what need not be checked any more."""
        account = target.account
        if self._is_wrong_address():
            self._cut_off = True
            return
        match find_scope_to_give_up(error):
            case FailureScope.COMMAND:
                self._given_up.add((account, _find_command(target)))
            case FailureScope.CREDENTIALS | FailureScope.ACCOUNT:
                self._given_up.update((account, command) for command in _COMMANDS)
            case FailureScope.API:
                self._cut_off = not self._prober.got_response or any(
                    result.outcome is Outcome.FAIL for result in self._check_connectivity()
                )


def _find_command(target: Target) -> str:
    return file_listing.COMMAND if isinstance(target, FilesTarget) else disk_usage.COMMAND


def _build_skipped_result(target: Target) -> CheckResult:
    return CheckResult(build_target_subject(target), Outcome.NOT_TRIED, "what it needs has failed")


def _check_clock(skew: float) -> CheckResult:
    seconds = round(abs(skew))
    facts = {"skew_seconds": round(skew, 1)}
    if seconds <= _TOLERATED_SKEW_SECONDS:
        detail = f"within {max(1, seconds)} s of ScaleEngine's"
        return CheckResult(CLOCK, Outcome.OK, detail, facts=facts)
    detail = f"{seconds} s {'ahead of' if skew > 0 else 'behind'} ScaleEngine's"
    advice = "set it, best by NTP; requests go by ScaleEngine's time where ours is refused"
    return CheckResult(CLOCK, Outcome.WARN, detail, advice, facts=facts)


def select(settings: Settings, accounts: Sequence[str], paths: Sequence[str]) -> Settings:
    """Return the settings with only these accounts and paths, all where none are named.

    A path is that of every selected account that polls it; with a path, no disk usage is selected.
    Raises SelectionError.
    """
    names = [account.name for account in settings.accounts]
    for name in accounts:
        if name not in names:
            raise SelectionError(
                f"no account {name!r} is polled: {_suggest(name, names)} (an account that is not "
                "enabled, or belongs to another shard, is not polled)"
            )
    selected = frozenset(accounts or names)
    targets = [target for target in settings.targets if target.account in selected]
    if paths:
        wanted = [path.rstrip("/") for path in paths]
        _check_paths(wanted, accounts, targets, settings.targets)
        targets = [target for target in targets if target.path in wanted]
        selected = frozenset(target.account for target in targets)
    return replace(
        settings,
        accounts=tuple(account for account in settings.accounts if account.name in selected),
        targets=tuple(targets),
    )


def _check_paths(
    paths: Sequence[str],
    accounts: Sequence[str],
    targets: Sequence[Target],
    all_targets: Sequence[Target],
) -> None:
    known = {target.path for target in targets if isinstance(target, FilesTarget)}
    for path in paths:
        if path in known:
            continue
        others = {target.account for target in all_targets if target.path == path}
        who = "no account polls" if not accounts else f"{_list(accounts)} does not poll"
        if others:
            raise SelectionError(f"{who} {path!r}, but {_list(sorted(others))} does")
        raise SelectionError(f"{who} {path!r}: {_suggest(path, known)}")


def _suggest(wrong: str, known: Collection[str]) -> str:
    close = get_close_matches(wrong, known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"there is {_list(sorted(known))}" if known else "there is none"


def _list(names: Sequence[str]) -> str:
    listed = ", ".join(map(repr, names[:_NAMED]))
    more = len(names) - _NAMED
    return f"{listed} and {more} more" if more > 0 else listed
