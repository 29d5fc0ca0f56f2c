"""The outcome of a reload: published first, then logged and returned."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
from structlog.testing import capture_logs

from exporter.reload import ConfigReloader
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.transport import Endpoint
from exporter.settings import Settings
from exporter.yamlfile.problems import ConfigError, Problem
from tests.support.sentences import THREAD_LIMIT

NOTHING = Settings(Endpoint("https://api.invalid/", 1.0, 1), 1, None, 1, (), ())


def good() -> Settings:
    return NOTHING


def bad() -> Settings:
    raise ConfigError((Problem(str(Path("config.yaml")), 1, 1, "accounts", "is missing"),))


class MakeReloader(Protocol):
    """Return a reloader that reads and publishes with these functions."""

    def __call__(
        self, read: Callable[[], Settings], publish: Callable[[ConfigReloader[Settings]], bool]
    ) -> ConfigReloader[Settings]: ...


@pytest.fixture
def reloading() -> MakeReloader:
    """Return a function that makes a reload; ``publish`` is called for it."""

    def make(
        read: Callable[[], Settings], publish: Callable[[ConfigReloader[Settings]], bool]
    ) -> ConfigReloader[Settings]:
        made: list[ConfigReloader[Settings]] = []
        clock = Clock(monotonic=iter(range(100)).__next__)
        made.append(
            ConfigReloader(read, lambda _: {"targets_added": "a"}, lambda: publish(made[0]), clock)
        )
        return made[0]

    return make


@pytest.mark.parametrize("read", [good, bad])
def test_the_outcome_is_published_before_it_is_logged(
    reloading: MakeReloader, read: Callable[[], Settings]
) -> None:
    """A publication shows the outcome, and comes before the log line."""
    published: list[tuple[bool, float]] = []

    def publish(reload: ConfigReloader[Settings]) -> bool:
        assert lines == []
        published.append((reload.last_reload_successful, reload.last_success))
        return True

    with capture_logs() as lines:
        reload = reloading(read, publish)
        problems = reload()
    assert len(lines) == 1
    assert published == [(not problems, reload.last_success)]
    assert reload.last_success == (0 if problems else 1)


def test_a_reload_over_a_limit_names_the_limit(reloading: MakeReloader) -> None:
    """Where a limit ends a reload, the limit is what is reported; it is no defect."""

    def fail() -> Settings:
        raise RuntimeError("can't start new thread")

    with capture_logs() as lines:
        (problem,) = reloading(fail, lambda _: True)()
    assert problem.startswith(f"{THREAD_LIMIT} (limit ")
    (line,) = lines
    assert (line["event"], line["problem"]) == ("configuration not reloaded", problem)


def test_a_reload_that_cannot_be_published_is_no_success(
    reloading: MakeReloader,
) -> None:
    """A good file whose outcome is not on /metrics is in force, and no success is reported."""
    reload = reloading(good, lambda _: False)
    with capture_logs() as lines:
        (problem,) = reload()
    assert "is in force" in problem
    assert [line["event"] for line in lines] == ["configuration reloaded, metrics not published"]
    assert reload.last_reload_successful


@pytest.mark.parametrize(("read", "level"), [(good, "info"), (bad, "error")], ids=["good", "bad"])
def test_reloads_over_http_are_limited_in_the_log(
    reloading: MakeReloader, read: Callable[[], Settings], level: str
) -> None:
    """A repeated outcome is in each response, and logged once a minute; SIGHUP always logs."""
    reload = reloading(read, lambda _: True)
    with capture_logs() as lines:
        outcomes = [reload(over_http=True) for _ in range(3)]
        reload()
    assert outcomes == [outcomes[0]] * 3
    assert [line["log_level"] for line in lines] == [level, "debug", "debug", level]


def test_another_outcome_is_logged_at_once(
    reloading: MakeReloader,
) -> None:
    """A minute is not waited for what has not been logged yet."""
    reads = iter([good, bad, good, bad])

    def read() -> Settings:
        return next(reads)()

    reload = reloading(read, lambda _: True)
    with capture_logs() as lines:
        for _ in range(4):
            reload(over_http=True)
    assert [line["log_level"] for line in lines] == ["info", "error", "debug", "debug"]
