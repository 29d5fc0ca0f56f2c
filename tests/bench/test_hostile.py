"""Attacks on the whole program: each fault of an outcome is found, and the API server is right."""

import http.client
import json
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from bench.hostile.__main__ import Outcome, attack_names
from bench.hostile.api_attacks import API_ATTACKS
from bench.hostile.api_server import HONEST_CDN, HONEST_USERS, ApiRequest, ApiServer, response
from bench.hostile.memory_limit import MemoryLimit
from bench.hostile.program import Memory
from bench.hostile.scraping import Scrapes
from bench.hostile.sending import Finding

MIB = 1024 * 1024


def outcome(
    after: int | None = 100, unanswered: int = 0, log_bytes: int = 0, broken: tuple[str, ...] = ()
) -> Outcome:
    memory = Memory(1, MemoryLimit(256 * MIB, None), peak=200 * MIB)
    scrapes = Scrapes([0.1] * 100, ["TimeoutError"] * unanswered)
    after_bytes = None if after is None else after * MIB
    return Outcome("x", 100 * MIB, memory, after_bytes, scrapes, log_bytes, Finding("", broken))


@pytest.mark.parametrize(
    ("attacked", "faults"),
    [
        (outcome(), []),
        (outcome(after=110, unanswered=1, log_bytes=1000), []),
        (outcome(after=111), ["memory +11%"]),
        (outcome(after=None), ["ended"]),
        (outcome(unanswered=3), ["scrapes without a response: 3 x TimeoutError"]),
        (outcome(log_bytes=MIB), ["1024 KiB of log"]),
        (outcome(broken=("HTTP 500",)), ["HTTP 500"]),
    ],
)
def test_failed_checks_are_in_the_table(attacked: Outcome, faults: list[str]) -> None:
    assert attacked.faults() == faults
    assert ("FAILS" in attacked.row()) == bool(faults)


def test_every_attack_has_its_own_name() -> None:
    assert {f"api-{name}" for name in API_ATTACKS} < attack_names().keys()


def post(url: str, cdn: int, command: str) -> bytes:
    parts = urlsplit(url)
    form = urlencode({"json": json.dumps({"cdn": cdn, "command": command})})
    with closing(http.client.HTTPConnection(parts.netloc, timeout=60)) as connection:
        connection.request("POST", parts.path, form)
        return connection.getresponse().read()


def test_only_the_other_accounts_get_hostile_responses() -> None:
    with ApiServer(folders=3) as api:
        api.respond = lambda request: [response(request.command.encode())]
        assert post(api.url, HONEST_CDN + 1, "disk.usage") == b"disk.usage"
        users = json.loads(post(api.url, HONEST_CDN, "disk.usage"))["usage"]
        assert {row["cpu_user"]: row["bytes_total"] for row in users} == HONEST_USERS
        api.respond = None
        assert json.loads(post(api.url, HONEST_CDN + 1, "files.list"))["status"] == "success"
        assert api.hostile_responses == 1


def test_a_limit_without_a_control_group_is_shown() -> None:
    limit = MemoryLimit(256 * MIB, None)
    assert "RSS exceeds 256 MiB" in limit.describe()
    assert limit.wrap(["true"]) == ["true"]
    assert MemoryLimit(256 * MIB, Path("/x")).wrap(["true"])[-1] == "true"


def test_small_responses_are_complete() -> None:
    """An attack must fail for what it holds, not for a mistake in its framing."""
    for name in ("deep-lists", "long-folder-name"):
        (sent,) = API_ATTACKS[name][1]()(ApiRequest(2, "files.list", 0))
        head, _, body = sent.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
