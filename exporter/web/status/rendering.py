"""The status page as HTML. jinja2 is imported when the first page is requested."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, TypeVar
from urllib.parse import urlencode

from exporter.web.status.building import build_account, build_overview
from exporter.web.status.observation import Observation
from exporter.web.status.status_model import (
    AccountStatus,
    FilesStatus,
    Overview,
    StatusProblem,
    Summary,
    UserStatus,
)

if TYPE_CHECKING:
    from jinja2 import Environment

T = TypeVar("T")

MAX_OPEN_ACCOUNTS: Final = 4
"""With more accounts, the first page has a line for each; its details are a page of their own."""

MAX_PROBLEMS: Final = 12
"""Problems on one page; the line of an account counts the others."""

ACCOUNTS_PER_PAGE: Final = 200
"""Accounts with their numbers on one page; the names of all are on each of these pages."""

ROWS_PER_PAGE: Final = 100
"""CPU users, or paths with their file types, on the page of an account."""

MAX_OPEN_ROWS: Final = 25
"""The same on the first page."""


@dataclass(frozen=True, slots=True)
class View:
    """What is looked at: all accounts or one, and which pages of its long tables."""

    account: str | None = None
    accounts_page: int = 1
    users_page: int = 1
    paths_page: int = 1


@dataclass(frozen=True, slots=True)
class PageLinks:
    """Where the metrics are, relative to the page, and whether the configuration is shown."""

    metrics: str
    config: bool


@dataclass(frozen=True, slots=True)
class TablePage(Generic[T]):
    """The rows of one page of a long table.

    ``first_row`` is the number of the first of them, from 1 on, and ``total_rows`` that of all.
    ``previous``, ``next`` and ``complete`` are links to the other pages; None where there is none.
    """

    rows: Sequence[T]
    first_row: int
    total_rows: int
    previous: str | None = None
    next: str | None = None
    complete: str | None = None

    @property
    def last_row(self) -> int:
        """Return the number of the last row on this page."""
        return self.first_row + len(self.rows) - 1


@dataclass(frozen=True, slots=True)
class ProblemGroup:
    """Problems with the same cause, each of another account."""

    problems: tuple[StatusProblem, ...]

    @property
    def first(self) -> StatusProblem:
        """Return one of them, for what they have in common."""
        return self.problems[0]

    @property
    def accounts(self) -> tuple[str, ...]:
        """Return the names of the accounts; none where it is the exporter's own problem."""
        return tuple(problem.account for problem in self.problems if problem.account is not None)

    @property
    def since(self) -> datetime | None:
        """Return since when there is one, if that is known."""
        return min(
            (problem.since for problem in self.problems if problem.since is not None), default=None
        )

    @property
    def next_attempt(self) -> datetime | None:
        """Return when the first of the targets is polled next, if that is known."""
        attempts = (problem.next_attempt for problem in self.problems)
        return min((moment for moment in attempts if moment is not None), default=None)


def build_content_security_policy() -> str:
    """Return the policy that a browser holds the page to: no script, and nothing from elsewhere.

    The only style sheet that is applied is the page's own (CSP level 3, hash sources).
    """
    digest = base64.b64encode(hashlib.sha256(_read_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def render_page(observation: Observation, view: View, links: PageLinks) -> bytes | None:
    """Return the page in UTF-8, or None where it is about an account that is not known."""
    only = None if view.account is None else observation.accounts.get(view.account)
    if view.account is not None and only is None:
        return None
    overview = build_overview(observation, only)
    problems = _group_problems(overview)
    text = (
        _build_environment()
        .get_template("page.html")
        .render(
            overview=overview,
            now=overview.time,
            state=overview.state,
            problems=problems[:MAX_PROBLEMS],
            other_problems=len(problems[MAX_PROBLEMS:]),
            targets=sum(summary.targets for summary in overview.summaries),
            failing=sum(summary.failing_targets for summary in overview.summaries),
            waiting=sum(summary.waiting_targets for summary in overview.summaries),
            summaries=_paginate_accounts(overview, view),
            account_names=sorted(observation.accounts),
            accounts=_open_accounts(observation, overview),
            users_page=lambda account: _paginate_users(account, view),
            files_page=lambda account: _paginate_files(account, view),
            link=_build_link,
            view=view,
            links=links,
            style=_read_style(),
        )
    )
    return text.encode()


def _open_accounts(observation: Observation, overview: Overview) -> Sequence[AccountStatus]:
    """Return the accounts that are shown with their details."""
    if len(overview.summaries) > MAX_OPEN_ACCOUNTS:
        return ()
    is_one = len(overview.summaries) == 1
    return [
        build_account(observation, observation.accounts[summary.name], with_requests=is_one)
        for summary in overview.summaries
    ]


def _group_problems(overview: Overview) -> list[ProblemGroup]:
    """Return the problems, those alike as one."""
    alike: dict[tuple[str, ...], list[StatusProblem]] = {}
    for problem in overview.problems:
        key = (problem.severity, problem.reason, problem.cause, problem.advice)
        alike.setdefault(key, []).append(problem)
    return [ProblemGroup(tuple(problems)) for problems in alike.values()]


def _paginate_accounts(overview: Overview, view: View) -> TablePage[Summary] | None:
    """Return the lines of accounts, where they are too many to show their details."""
    if view.account is not None or len(overview.summaries) <= MAX_OPEN_ACCOUNTS:
        return None
    return _cut(overview.summaries, view.accounts_page, ACCOUNTS_PER_PAGE, "accounts", None)


def _paginate_users(account: AccountStatus, view: View) -> TablePage[UserStatus] | None:
    if account.disk_usage is None or account.disk_usage.users is None:
        return None
    return _paginate(account, account.disk_usage.users, view, view.users_page, "users")


def _paginate_files(account: AccountStatus, view: View) -> TablePage[FilesStatus]:
    return _paginate(account, account.files, view, view.paths_page, "paths")


def _paginate(
    account: AccountStatus, rows: Sequence[T], view: View, page: int, name: str
) -> TablePage[T]:
    """Return a page of an account's table; on the page of all accounts, its beginning."""
    if view.account is not None:
        return _cut(rows, page, ROWS_PER_PAGE, name, view.account)
    complete = _build_link(account=account.summary.name) if len(rows) > MAX_OPEN_ROWS else None
    return TablePage(rows[:MAX_OPEN_ROWS], 1, len(rows), complete=complete)


def _cut(rows: Sequence[T], page: int, length: int, name: str, account: str | None) -> TablePage[T]:
    """Return a page of rows, the nearest one where there is none of that number."""
    last = max(1, -(-len(rows) // length))
    page = min(max(1, page), last)
    start = (page - 1) * length

    def link(number: int) -> str | None:
        return _build_link(account=account, **{name: number}) if 1 <= number <= last else None

    return TablePage(
        rows[start : start + length], start + 1, len(rows), link(page - 1), link(page + 1)
    )


def _build_link(**fields: str | int | None) -> str:
    """Return a link to another view; relative, since a proxy may put a prefix before the path."""
    return "?" + urlencode({name: value for name, value in fields.items() if value is not None})


@cache
def _read_style() -> str:
    return Path(__file__).with_name("templates").joinpath("style.css").read_text(encoding="utf-8")


@cache
def _build_environment() -> "Environment":
    from exporter.web.status import template_loading  # noqa: PLC0415 - see above

    return template_loading.build_environment(template_loading.find_loader())
