"""The simulator: starting, stopping, what it records, and concurrent requests."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
import requests

from exporter.simulator import (
    Behaviour,
    FaultRule,
    FileType,
    Folder,
    ReceivedRequest,
    SimulatedAccount,
    Simulator,
    no_usage,
    steady_usage,
    usage_from_days,
)
from exporter.simulator.api import KEPT, ReceivedRequests
from tests.support.faults import Fault
from tests.support.fixtures import PostText, SendCommand, SignCommand


def test_the_simulator_has_an_address_after_the_start(account: SimulatedAccount) -> None:
    """Before the start there is no address, and the error says what to do."""
    simulator = Simulator([account])
    with pytest.raises(RuntimeError, match="start it first"):
        _ = simulator.url

    with simulator:
        assert simulator.url.startswith("http://127.0.0.1:")
        assert simulator.url.endswith("/stable/")


def test_no_thread_and_no_port_are_left_after_the_stop(
    account: SimulatedAccount, session: requests.Session
) -> None:
    """After the stop nothing listens; stopping again does nothing."""
    simulator = Simulator([account])
    simulator.start()
    simulator.stop()
    simulator.stop()

    assert "simulator" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(requests.ConnectionError):
        session.get(simulator.url, timeout=60)


def test_stopping_what_was_never_started_does_nothing(account: SimulatedAccount) -> None:
    """A stop is safe in any order."""
    simulator = Simulator([account])
    simulator.stop()

    assert simulator.request_count == 0


def test_a_taken_port_is_an_error_with_its_cause(simulator: Simulator) -> None:
    """A port that is taken is an error with the system's text."""
    port = int(simulator.url.split(":")[2].partition("/")[0])

    with pytest.raises(OSError, match="Address already in use"):
        Simulator([], port=port).start()


def test_a_request_is_recorded_without_secrets(simulator: Simulator, ask: SendCommand) -> None:
    """The record holds what the request asked, not the key or the secret."""
    ask("files.list", path="sestore4/jb", type="audio", offset=3)
    ask("disk.usage", cpu=["web"], starttime=1415000000)

    assert simulator.requests == (
        ReceivedRequest(
            time=1415700000.0,
            route="/stable/",
            command="files.list",
            cdn=158,
            timestamp=1415700000,
            path="sestore4/jb",
            file_type="audio",
            offset=3,
            has_key=True,
        ),
        ReceivedRequest(
            time=1415700000.0,
            route="/stable/",
            command="disk.usage",
            cdn=158,
            timestamp=1415700001,
            cpu=("web",),
            starttime=1415000000,
            has_key=True,
        ),
    )


def test_an_unreadable_request_is_recorded_with_its_code(
    simulator: Simulator, post: PostText
) -> None:
    """What could not be read is a request with a code, and without a key."""
    post(simulator.url, "nonsense")

    assert simulator.requests == (
        ReceivedRequest(time=1415700000.0, route="/stable/", code="0006"),
    )


def test_other_paths_are_not_the_api(simulator: Simulator, session: requests.Session) -> None:
    """A path next to the API's is not found, and is not recorded."""
    response = session.get(simulator.url.replace("/stable/", "/"), timeout=60)

    assert response.status_code == 404
    assert simulator.request_count == 0


def test_the_newest_requests_are_kept() -> None:
    """The record is bounded, the count is not."""
    log = ReceivedRequests()
    for moment in range(KEPT + 2):
        log.add(ReceivedRequest(time=moment, route="/stable/"))

    assert (len(log.newest), log.newest[0].time, log.total) == (KEPT, 2, KEPT + 2)


def test_waiting_for_requests_ends_at_the_timeout(simulator: Simulator) -> None:
    """A request that never comes ends the wait with False."""
    assert simulator.wait_for_requests(0)
    assert not simulator.wait_for_requests(1, timeout=0.01)


def test_requests_are_served_concurrently(
    simulator: Simulator, post: PostText, signed: SignCommand
) -> None:
    """Calls do not wait for each other, and the most at one time is known."""
    simulator.behave(Behaviour(faults=(FaultRule(Fault.HANG),)))
    texts = [signed("files.list", path="sestore4/jb") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        responses = [pool.submit(post, simulator.url, text, timeout=60.0) for text in texts]
        assert simulator.wait_for_requests(4)
        simulator.stop()

    assert simulator.max_in_flight == 4
    assert {type(response.exception()) for response in responses} == {requests.ConnectionError}


def test_latency_is_waited_before_the_response(simulator: Simulator, ask: SendCommand) -> None:
    """A response takes at least the latency, and its header says so."""
    simulator.behave(Behaviour(latency=0.05))
    begin = time.monotonic()

    assert ask("files.list", path="sestore4/jb")["handle_time"] == "0.0500 seconds"
    assert time.monotonic() - begin >= 0.05


def test_files_that_come_and_go_show_in_the_next_response(
    account: SimulatedAccount, ask: SendCommand
) -> None:
    """The tree may change while the simulator runs."""

    def files() -> object:
        data = ask("files.list", path="sestore4/jb/season 2")["data"]
        assert isinstance(data, dict)
        return data["sestore4/jb/season 2"][0]["__files"]

    assert files() == ["é.mp4"]
    account.storage.add("sestore4/jb/season 2/z.mp4", FileType.VIDEO)
    assert files() == ["z.mp4", "é.mp4"]
    account.storage.remove("sestore4/jb/season 2/é.mp4")
    assert files() == ["z.mp4"]


def test_an_account_can_follow_the_clock(post: PostText, signed: SignCommand) -> None:
    """Before each response the account gets the time, and may change by it."""
    moments: list[float] = []
    key = "APX4GKLM0RKQLSP2FBO1ROPKSSW47DZE"
    secret = "8fc8c48da81e6a2a06a9556379bf798af508dc0792497c678b4c3532ba8b637f"
    account = SimulatedAccount(158, key, secret, refresh=moments.append)
    with Simulator([account], clock=lambda: 1415700000.5) as simulator:
        post(simulator.url, signed("disk.usage", cpu="", starttime=0))
        post(simulator.url, "nonsense")

    assert moments == [1415700000.5]


def test_no_secret_is_in_a_repr(account: SimulatedAccount) -> None:
    """Key and secret show in no representation of an account."""
    shown = repr(account)

    assert account.api_key not in shown
    assert account.api_secret not in shown


def test_usage_can_be_steady_by_day_or_none() -> None:
    """An account's usage is a function of the day; plain mappings make one."""
    day = date(2014, 11, 10)

    assert steady_usage({"web": 5})(day) == {"web": 5}
    assert usage_from_days({day: {"web": 5}})(day) == {"web": 5}
    assert usage_from_days({day: {"web": 5}})(date(2014, 11, 11)) == {}
    assert no_usage(day) == {}
    assert SimulatedAccount(1, "key", "secret").storage.count("video") == 0
    assert Folder().count_folders() == 0
