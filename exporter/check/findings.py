"""What a check found, one thing at a time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeAlias

from exporter.polling.targets import Target
from exporter.scaleengine.errors import Reason, ScaleEngineError

_Scalar: TypeAlias = str | int | float | None
Fact: TypeAlias = _Scalar | Sequence[str] | Sequence[Mapping[str, _Scalar]]


class Outcome(StrEnum):
    """How it stands with what was tried."""

    OK = "ok"
    WARN = "warn"
    """It works, and yet it deserves a look."""
    FAIL = "fail"
    NOT_TRIED = "not_tried"
    """It could not work, because something before it failed."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a finding is about: ``title`` for a reader, the rest for a script.

    ``path`` and ``file_type`` are "" for whatever is no path.
    """

    title: str
    what: str
    account: str | None = None
    path: str = ""
    file_type: str = ""


CONFIGURATION = Subject("configuration", "configuration")
PROXY = Subject("proxy", "proxy")
NAME = Subject("name", "name")
CONNECTION = Subject("connection", "connection")
CERTIFICATE = Subject("certificate", "certificate")
CLOCK = Subject("clock", "clock")


def secrets_of(account: str) -> Subject:
    """Return the reading of an account's key and secret."""
    return Subject(f"{account} secrets", "secrets", account)


def key_of(account: str, command: str) -> Subject:
    """Return the right of an account's key to give a command."""
    return Subject(f"{account} key for {command}", "key", account)


def demand_of(account: str) -> Subject:
    """Return the requests that an account needs, against those that it may make."""
    return Subject(f"{account} demand", "demand", account)


def polled(target: Target) -> Subject:
    """Return what is to be polled."""
    return Subject(str(target), target.collector, target.account, target.path, target.file_type)


@dataclass(frozen=True, slots=True)
class RequestRange:
    """How many requests a poll takes, at least and at most; ``high`` is None where unknown."""

    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried: how it stands, and why.

    ``detail`` is for a reader, ``facts`` say the same for a script. ``advice`` is the next step,
    where there is one to take, and ``reason`` the class of a failure. ``requests`` are those of a
    poll of a target, where something is known of them.
    """

    subject: Subject
    outcome: Outcome
    detail: str
    advice: str | None = None
    reason: Reason | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)
    requests: RequestRange | None = None


def failed(
    subject: Subject, error: ScaleEngineError, facts: Mapping[str, Fact] | None = None
) -> Finding:
    """Return the finding that an error makes."""
    return Finding(subject, Outcome.FAIL, error.cause, error.advice, error.reason, facts or {})


def masked(finding: Finding, hide: Callable[[str], str]) -> Finding:
    """Return the finding without the secrets that ScaleEngine may have written into it."""
    facts = {name: _mask_fact(fact, hide) for name, fact in finding.facts.items()}
    return replace(finding, detail=hide(finding.detail), facts=facts)


def _mask_fact(fact: Fact, hide: Callable[[str], str]) -> Fact:
    if fact is None or isinstance(fact, str | int | float):
        return _mask_scalar(fact, hide)
    texts = [hide(item) for item in fact if isinstance(item, str)]
    objects = [
        {name: _mask_scalar(value, hide) for name, value in item.items()}
        for item in fact
        if not isinstance(item, str)
    ]
    return objects or texts


def _mask_scalar(fact: _Scalar, hide: Callable[[str], str]) -> _Scalar:
    return hide(fact) if isinstance(fact, str) else fact
