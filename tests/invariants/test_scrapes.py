"""A scrape reads what is known: it sends no request to ScaleEngine, and waits for none."""

from exporter.simulator import Behaviour, FaultRule, Simulator
from tests.support.faults import Fault
from tests.support.fixtures import StartPolling

ACCOUNT = {"cdn": 158, "name": "main", "files": {"paths": ["sestore4/jb"]}}
AT_ONCE = 20.0
"""Seconds that a busy machine may take; a request to ScaleEngine hangs for longer."""


def test_scrapes_make_no_request(start: StartPolling, scaleengine: Simulator) -> None:
    """However often it is scraped, ScaleEngine is asked at the exporter's own interval."""
    program = start(scaleengine, ACCOUNT)
    program.wait_until_ready()
    requests = scaleengine.request_count
    statuses = {program.get("/metrics")[0] for _ in range(50)}

    assert statuses == {200}
    assert scaleengine.request_count == requests > 0


def test_scrapes_are_served_while_scaleengine_hangs(
    start: StartPolling, scaleengine: Simulator
) -> None:
    """From the first moment on it is scraped at once, though no response has ever come.

    There are no numbers, and the page has what it waits for.
    """
    scaleengine.behave(Behaviour(faults=(FaultRule(Fault.HANG),)))
    program = start(scaleengine, ACCOUNT)
    assert scaleengine.wait_for_requests(2)
    status, text = program.get("/metrics", AT_ONCE)

    assert status == 200
    assert 'scaleengine_polls_total{account="main",collector="files"} 0.0' in text
    assert not any(line.startswith("scaleengine_files{") for line in text.splitlines())
    assert program.get("/-/healthy", AT_ONCE)[0] == 200
    assert program.get("/-/ready", AT_ONCE) == (
        503,
        "Waiting for the first poll of:\n  main disk usage\n  main sestore4/jb video\n",
    )
