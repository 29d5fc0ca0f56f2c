"""The running service: polling in threads, serving in the main thread."""

import asyncio
import random
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog

from exporter.metrics.registry import Metrics, build_metrics
from exporter.plan import Plan, PlannedAccount
from exporter.polling.account import Account
from exporter.polling.poller import Poller
from exporter.polling.store import Store
from exporter.polling.walk import Limits
from exporter.scaleengine.client import Client
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.pace import Pace
from exporter.scaleengine.transport import Transport
from exporter.version import described
from exporter.web.addresses import shown
from exporter.web.pages import Served, build_app
from exporter.web.server import serve

log: Final = structlog.get_logger(__name__)

_LAST_POLLS_SECONDS: Final = 2.0


def run(plan: Plan, sockets: Sequence[socket.socket], telemetry_path: str) -> bool:
    """Poll and serve until SIGTERM or SIGINT.

    Return whether every thread has ended; one may hang in the resolver, which nothing interrupts.
    """
    clock = Clock()
    stop = threading.Event()
    store = Store(plan.targets)
    metrics = build_metrics(store, {account.name: account.cdn for account in plan.accounts}, clock)
    poller = Poller(
        [_account(planned, plan, metrics, clock, stop) for planned in plan.accounts],
        store,
        clock,
        stop,
        random.Random(),  # noqa: S311 - it spreads polls, it keeps no secret
        metrics.polls.count,
    )

    def unfinished() -> list[str]:
        return [str(target) for target in store.unfinished()]

    def listening() -> None:
        for each in sockets:
            log.info("listening", address=shown(each), path=telemetry_path)

    app = build_app(Served(metrics.registry, telemetry_path, poller.dead, unfinished))
    log.info("starting", version=described(), targets=len(plan.targets))
    poller.start()
    try:
        asyncio.run(serve(app, sockets, listening))
    finally:
        log.info("stopping")
        ended = poller.stop(_LAST_POLLS_SECONDS)
    return ended


def _account(
    planned: PlannedAccount, plan: Plan, metrics: Metrics, clock: Clock, stop: threading.Event
) -> Account:
    client = Client(
        account=planned.name,
        cdn=planned.cdn,
        transport=Transport(plan.endpoint),
        pace=Pace(plan.requests_per_second, clock, stop.wait),
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
