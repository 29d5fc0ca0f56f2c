"""A failed poll leaves nothing of its responses behind, however large they were."""

import asyncio
import gc
import random
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from exporter.polling.store import Store
from exporter.polling.target_poller import TargetPoller
from exporter.polling.targets import FilesTarget
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.errors import (
    IncompleteError,
    ProtocolError,
    ResponseTooLargeError,
    ScaleEngineError,
)
from exporter.simulator import Behaviour, FaultRule, Folder, SimulatedAccount, Simulator
from tests.support.credentials import KEY, SECRET
from tests.support.faults import Fault
from tests.support.fixtures import OpenAccount

TARGET = FilesTarget("main", 60.0, 180.0, "sestore4", "video")
MIB = 2**20


@pytest.fixture
def failed(open_account: OpenAccount) -> Iterator[Callable[[Fault], ScaleEngineError]]:
    """Return a function that polls once under a fault, and returns why that failed."""
    storage = Folder(folders={"sestore4": Folder()})
    account = SimulatedAccount(cdn=158, api_key=KEY, api_secret=SECRET, storage=storage)
    with Simulator([account]) as simulator, open_account(simulator) as polled:

        def poll(fault: Fault) -> ScaleEngineError:
            simulator.behave(Behaviour(faults=(FaultRule(fault),)))
            poller = TargetPoller(
                TARGET, polled, Store([TARGET]), Clock(), random.Random(1), lambda _, __: None
            )
            failure = asyncio.run(poller.poll())
            assert failure is not None
            return failure

        yield poll


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Switch the collector off, which would find what is left in a circle: it may come late."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_a_failure_does_not_keep_its_response(failed: Callable[[Fault], ScaleEngineError]) -> None:
    """The failure is kept until the next poll; the 32 MiB that it is about are not."""
    failed(Fault.HTML_PAGE)
    tracemalloc.start()
    try:
        failures = [failed(Fault.ENDLESS_BODY) for _ in range(2)]
        held, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert {type(failure) for failure in failures} == {ResponseTooLargeError}
    assert most > 32 * MIB
    assert held < 4 * MIB


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.NOT_ROWS, ProtocolError),
        (Fault.TRUNCATED, ProtocolError),
        (Fault.STUCK_OFFSET, IncompleteError),
    ],
)
def test_a_failure_keeps_no_reference_to_its_poll(
    failed: Callable[[Fault], ScaleEngineError], fault: Fault, kind: type[ScaleEngineError]
) -> None:
    """Neither where it came from nor what caused it is kept: both would hold the response."""
    failure = failed(fault)

    assert type(failure) is kind
    assert failure.__traceback__ is None
    assert failure.__cause__ is None
    assert failure.__context__ is None
