"""The running service: polling in threads, serving in the main thread."""

import asyncio
import random
import signal
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import structlog

from exporter.metrics.publisher import Publisher
from exporter.metrics.registry import Metrics, add_reload_gauges, build_metrics
from exporter.plan import Plan, PlannedAccount
from exporter.polling.account import Account
from exporter.polling.poller import Poller
from exporter.polling.store import Store
from exporter.polling.walk import Limits
from exporter.scaleengine.client import Client
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.pace import Pace
from exporter.scaleengine.stamps import Stamps
from exporter.scaleengine.transport import Transport
from exporter.version import described
from exporter.web.addresses import shown
from exporter.web.config_file import LiveWebConfig, protect
from exporter.web.pages import Served, build_app
from exporter.web.server import serve

log: Final = structlog.get_logger(__name__)

_LAST_POLLS_SECONDS: Final = 2.0
_LAST_PUBLICATION_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Front:
    """Where and how to serve."""

    sockets: Sequence[socket.socket]
    telemetry_path: str
    web_config: LiveWebConfig | None = None


def run(plan: Plan, front: Front) -> bool:
    """Poll and serve until SIGTERM or SIGINT.

    Return whether every thread has ended; one may hang in the resolver, which nothing interrupts.
    """
    clock = Clock()
    stop = threading.Event()
    stamps = Stamps(clock, stop.wait)
    store = Store(plan.targets)
    metrics = build_metrics(store, {account.name: account.cdn for account in plan.accounts}, clock)
    poller = Poller(
        [_account(planned, plan, metrics, clock, stamps, stop) for planned in plan.accounts],
        store,
        clock,
        stop,
        random.Random(),  # noqa: S311 - it spreads polls, it keeps no secret
        metrics.polls.count,
    )
    publisher = Publisher(metrics, store, clock, stop)

    def dead() -> tuple[str, ...]:
        return (*poller.dead(), *publisher.dead())

    def unfinished() -> list[str]:
        return [str(target) for target in publisher.unfinished()]

    def begin() -> None:
        # Not before signals are taken: threads that run already could not be ended.
        poller.start()
        publisher.start()
        for each in front.sockets:
            log.info("listening", address=shown(each), path=front.telemetry_path)

    app = build_app(Served(publisher.current, front.telemetry_path, dead, unfinished))
    ssl_context = None
    if front.web_config is not None:
        protect(app, front.web_config, clock.elapsed)
        add_reload_gauges(metrics.tail, "web_config", front.web_config)
        ssl_context = front.web_config.ssl_context
    log.info("starting", version=described(), targets=len(plan.targets))
    try:
        asyncio.run(serve(app, front.sockets, begin, ssl_context))
    finally:
        log.info("stopping")
        # A second signal would end the process in the middle of this; two seconds are near enough.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        ended = poller.stop(_LAST_POLLS_SECONDS)
    return ended and publisher.join(_LAST_PUBLICATION_SECONDS)


def _account(
    planned: PlannedAccount,
    plan: Plan,
    metrics: Metrics,
    clock: Clock,
    stamps: Stamps,
    stop: threading.Event,
) -> Account:
    client = Client(
        account=planned.name,
        cdn=planned.cdn,
        transport=Transport(plan.endpoint),
        pace=Pace(plan.requests_per_second, clock, stop.wait),
        stamps=stamps,
        clock=clock,
        observe=metrics.heed_exchange,
    )
    return Account(
        name=planned.name,
        client=client,
        credentials=planned.credentials,
        callers=ThreadPoolExecutor(plan.concurrency, f"call {planned.name}"),
        limits=Limits(at_once=plan.concurrency, in_all=plan.requests_per_poll),
    )
