"""The service applies new settings as a whole, and applies them again where that failed."""

import threading
from collections.abc import Callable

import pytest

from exporter.accounts import Dependencies
from exporter.metrics.registry import Metrics, build_metrics
from exporter.polling.poller import Poller
from exporter.polling.store import Store
from exporter.polling.targets import DiskUsageTarget
from exporter.polling.workers import WorkerPool
from exporter.scaleengine.client import Credentials
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.timestamps import TimestampAllocator
from exporter.scaleengine.transport import Endpoint
from exporter.service import _PollingService
from exporter.settings import AccountSettings, Settings


def settings_of(*names: str) -> Settings:
    accounts = (
        AccountSettings(name, number, lambda: Credentials("key", "secret"))
        for number, name in enumerate(names)
    )
    targets = tuple(DiskUsageTarget(name, 300.0, 900.0) for name in names)
    return Settings(
        Endpoint("http://127.0.0.1:9/", 5.0, 4), 4, 100.0, 1000, tuple(accounts), targets
    )


class Service:
    """What the service polls, without its threads."""

    def __init__(self, settings: Settings) -> None:
        clock, workers = Clock(), WorkerPool(settings.max_workers)
        self.store = Store(settings.targets)
        metrics = build_metrics(self.store, {"a": 0}, clock)
        dependencies = Dependencies(
            clock,
            TimestampAllocator(threading.Event().wait),
            observe=lambda _: None,
            register=lambda _, __: None,
            workers=workers,
        )
        self.polling = _PollingService(settings, dependencies, workers, self.store, metrics)


@pytest.mark.parametrize("step", [Poller, Metrics], ids=lambda step: step.__name__)
def test_settings_that_cannot_be_applied_leave_the_earlier_ones(
    monkeypatch: pytest.MonkeyPatch, step: type[Poller] | type[Metrics]
) -> None:
    """Where a step fails, the earlier settings stay in force, and the next reload applies them."""
    service = Service(settings_of("a", "b"))
    before = service.polling.settings

    def fail(*_: object) -> None:
        raise ValueError("a defect")

    with monkeypatch.context() as broken:
        broken.setattr(step, "apply", fail)
        with pytest.raises(ValueError, match="a defect"):
            service.polling.apply(settings_of("a", "c"))
    assert service.polling.settings is before
    after = settings_of("a", "c")
    service.polling.apply(after)
    assert service.polling.settings is after
    assert tuple(service.store.current()) == after.targets


def test_requests_of_replaced_accounts_end_before_their_counters_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else one that ends in between is counted for the account that has the name now."""
    service = Service(settings_of("a"))
    steps: list[str] = []

    def record(step: type[Poller] | type[Metrics]) -> Callable[[object, object, object], None]:
        return lambda *_: steps.append(step.__name__)

    for step in (Poller, Metrics):
        monkeypatch.setattr(step, "apply", record(step))
    service.polling.apply(settings_of("b", "a"))
    assert steps == ["Poller", "Metrics"]
