"""Attack the whole program under a memory limit, and print what each attack cost.

An attack holds if the exporter runs, serves the scrapes meanwhile, writes little to its log, and
has its memory back afterwards; and if what the attack itself looks at is as it should be.
"""

import argparse
import http.client
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from bench.hostile import connection_attacks as connections
from bench.hostile import request_attacks as requests
from bench.hostile.api_attacks import API_ATTACKS, MUST_BE_READ
from bench.hostile.api_server import ApiServer, Respond
from bench.hostile.memory_limit import limited_memory
from bench.hostile.program import AttackedProgram, Memory, Setup, Victim, running_program
from bench.hostile.scraping import Scrapes, read_samples, scrape, scraping
from bench.hostile.sending import Finding, show_counts

_MIB: Final = 1024 * 1024
_LIMIT_MIB: Final = 256
_BETWEEN_SCRAPES: Final = 0.2
_REST_SECONDS: Final = 3.0
_SLOW_SCRAPES: Final = 5.0
_READY_SECONDS: Final = 60.0
_MAX_UNANSWERED: Final = 0.01
_MAX_MEDIAN_MS: Final = 1000.0
_MAX_LOG: Final = 256 * 1024
_MAX_GROWTH: Final = 1.10
_USER_BYTES: Final = 512
"""What a CPU user that is shown takes: its thirty days, two samples as text and compressed."""
_MAX_ATTACK_SECONDS: Final = 240.0

ClientAttack = Callable[[Victim, float], Finding]

_TLS: Final = Setup(tls=True)
_MUTUAL: Final = Setup(tls=True, client_certificates=True)
_PASSWORD: Final = Setup(password=True)
_MANY_SERIES: Final = Setup(folders=10_000)
_NAMES: Final = tuple(f"user{number}" for number in range(400))

CLIENT_ATTACKS: Final[dict[str, tuple[str, Setup, ClientAttack]]] = {
    "early-flood": (
        "requests that are refused before or by authentication",
        _PASSWORD,
        requests.flood_before_authentication,
    ),
    "half-open-tls": ("900 TLS handshakes that stop half-way", _TLS, connections.stop_in_handshake),
    "half-open-mutual-tls": (
        "the same where client certificates are required, from many addresses",
        _MUTUAL,
        partial(connections.stop_in_handshake, many=True),
    ),
    "truncated-web-config": (
        "the web config file truncated and rewritten in place",
        _PASSWORD,
        requests.truncate_web_config,
    ),
    "leaving-filters": (
        "2,000 requests for one family whose clients leave; 45,000 series",
        Setup(folders=45_000),
        requests.leave_filters,
    ),
    "reload-flood": (
        "3,000 reloads by POST of a configuration with 200 accounts",
        Setup(lifecycle=True, idle_accounts=200),
        requests.flood_reloads,
    ),
    "cross-site-reload": (
        "a reload that a web page elsewhere asks for",
        Setup(lifecycle=True),
        requests.send_cross_site_reloads,
    ),
    "password-flood": (
        "800 wrong passwords a second from many addresses",
        Setup(password=True, users=_NAMES),
        requests.guess_passwords,
    ),
    "stalled-readers": (
        "3,000 readers of 10,000 series that take nothing, from one address",
        _MANY_SERIES,
        connections.stop_reading,
    ),
    "stalled-readers-many": (
        "the same from many addresses",
        _MANY_SERIES,
        partial(connections.stop_reading, many=True),
    ),
    "stalled-tls-readers-many": (
        "plain requests that stand still at a TLS port, from many addresses",
        Setup(tls=True, folders=10_000),
        partial(connections.stop_reading, many=True),
    ),
    "few-descriptors": ("512 descriptors, cut while it runs", Setup(), connections.cut_descriptors),
    "connection-flood": ("1,300 connections a second, one address", Setup(), connections.open_many),
    "connection-flood-many": (
        "the same from many addresses",
        Setup(),
        partial(connections.open_many, many=True),
    ),
    "spent-rate-limit": (
        "200 requests a second without a password, where 20 are allowed",
        Setup(password=True, web_config="rate_limit: {interval: 50ms, burst: 20}\n"),
        requests.spend_rate_limit,
    ),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attack cost; memory in bytes, ``after`` None where the exporter has ended."""

    name: str
    rest: int
    memory: Memory
    after: int | None
    scrapes: Scrapes
    log_bytes: int
    finding: Finding

    def faults(self) -> Sequence[str]:
        """Return the promises that were broken."""
        faults = list(self.finding.broken)
        if self.after is None:
            faults.insert(0, "ended" if not self.memory.exceeded else "above the limit")
        elif self.after > self.rest * _MAX_GROWTH + self.finding.kept:
            faults.append(f"memory {self.after / self.rest - 1:+.0%}")
        if len(self.scrapes.failures) > _MAX_UNANSWERED * self.scrapes.sent:
            reasons = Counter(self.scrapes.failures)
            faults.append(f"scrapes without a response: {show_counts(reasons)}")
        if self.scrapes.milliseconds(0.5) > _MAX_MEDIAN_MS:
            faults.append("slow scrapes")
        if self.log_bytes > _MAX_LOG:
            faults.append(f"{self.log_bytes // 1024} KiB of log")
        return faults

    def row(self) -> str:
        """Return a row of the table."""
        faults, scrapes = self.faults(), self.scrapes
        cells = [
            self.name,
            f"{self.rest / _MIB:.0f}",
            f"{self.memory.peak / _MIB:.0f}",
            f"{self.memory.kernel_peak / _MIB:.0f}",
            "-" if self.after is None else f"{self.after / _MIB:.0f}",
            f"{len(scrapes.seconds)}/{scrapes.sent}",
            f"{scrapes.milliseconds(0.5):.0f}",
            f"{scrapes.milliseconds(0.99):.0f}",
            f"{self.log_bytes / 1024:.0f}",
            "no" if self.after is None else "yes",
            "FAILS: " + "; ".join(faults) if faults else "holds",
            self.finding.text,
        ]
        return f"| {' | '.join(cells)} |"


HEAD: Final = (
    "| attack | rest MiB | peak | kernel peak | after | scrapes | p50 ms | p99 ms | log KiB "
    "| alive | result | seen |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---|---|---|"
)


def attack_names() -> dict[str, str]:
    """Return the attacks, each with what it does."""
    names = {name: about for name, (about, _, _) in CLIENT_ATTACKS.items()}
    return names | {f"api-{name}": about for name, (about, _) in API_ATTACKS.items()}


def run_attack(name: str, limit_bytes: int, seconds: float, wait: float) -> Outcome:
    """Run one attack for ``seconds``, and look at the memory ``wait`` seconds later."""
    if name in CLIENT_ATTACKS:
        _, setup, attack = CLIENT_ATTACKS[name]
        return _run(name, setup, _by_client(attack, seconds), limit_bytes, wait)
    name = name.removeprefix("api-")
    _, make = API_ATTACKS[name]
    setup = Setup(folders=100, accounts=True)
    by_api = _by_api(make(), seconds, must_be_read=name in MUST_BE_READ)
    return _run(f"api-{name}", setup, by_api, limit_bytes, wait)


_Attack = Callable[[AttackedProgram, ApiServer], Finding]


def _by_client(attack: ClientAttack, seconds: float) -> _Attack:
    def run(program: AttackedProgram, _: ApiServer) -> Finding:
        # In a process of its own, so that it does not slow down the scrapes that are measured.
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            future: Future[Finding] = pool.submit(attack, program.victim, seconds)
            return future.result(_MAX_ATTACK_SECONDS)

    return run


def _by_api(respond: Respond, seconds: float, *, must_be_read: bool) -> _Attack:
    def run(program: AttackedProgram, api: ApiServer) -> Finding:
        api.respond = respond
        time.sleep(seconds)
        seen, failures, users = _reasons(program.victim)
        api.respond = None
        broken = ("not read",) if must_be_read and failures else ()
        kept = users * _USER_BYTES if must_be_read else 0
        return Finding(f"{api.hostile_responses} responses; {seen}", broken, kept)

    return run


def _reasons(victim: Victim) -> tuple[str, int, int]:
    """Return why polls failed and how many users there are: as a text, and both numbers."""
    names = ("scaleengine_poll_failures_total", "scaleengine_disk_usage_bytes")
    try:
        samples = read_samples(victim, names)
    except (OSError, http.client.HTTPException) as error:
        return f"not known: {type(error).__name__}", 0, 0
    failures: dict[str, float] = {}
    for sample in samples:
        labels, _, value = sample.rpartition(" ")
        if "reason=" in labels and float(value):
            reason = labels.partition('reason="')[2].partition('"')[0]
            failures[reason] = failures.get(reason, 0) + float(value)
    users = sum("scaleengine_disk_usage_bytes" in sample for sample in samples)
    counts = ", ".join(f"{number:.0f} x {reason}" for reason, number in failures.items())
    text = f"{counts or 'no failure'}; {users} CPU users"
    return text, int(sum(failures.values())), users


def _run(name: str, setup: Setup, attack: _Attack, limit_bytes: int, wait: float) -> Outcome:
    with (
        tempfile.TemporaryDirectory() as folder,
        limited_memory(limit_bytes) as limit,
        ApiServer(setup.folders) as api,
        running_program(setup, api.url, limit, Path(folder)) as program,
    ):
        victim = program.victim
        _wait_until_ready(program)
        memory = Memory(victim.process, limit)
        with scraping(victim, _BETWEEN_SCRAPES):
            time.sleep(_REST_SECONDS)
        rest, logged = memory.resident(), program.log_bytes()
        with memory.watch():
            with scraping(victim, _BETWEEN_SCRAPES) as scrapes:
                finding = _finding(attack, program, api)
            with scraping(victim, _SLOW_SCRAPES):
                _wait_while_alive(program, wait)
        logged = program.log_bytes() - logged
        after = memory.resident() if program.is_alive() else None
        if after is not None:
            scrape(victim, scrapes)  # the last check: it still responds
        return Outcome(name, rest, memory, after, scrapes, logged, finding)


def _finding(attack: _Attack, program: AttackedProgram, api: ApiServer) -> Finding:
    try:
        return attack(program, api)
    except (OSError, http.client.HTTPException, TimeoutError) as error:
        return Finding(f"the attack ended with {type(error).__name__}")


def _wait_until_ready(program: AttackedProgram) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and program.is_alive():
        if any("scaleengine_files{" in line for line in _samples(program.victim)):
            return
        time.sleep(0.2)
    raise SystemExit(f"the exporter has no numbers:\n{program.log.read_text()[-2000:]}")


def _samples(victim: Victim) -> Sequence[str]:
    try:
        return read_samples(victim, ["scaleengine_files"])
    except (OSError, http.client.HTTPException):
        return ()


def _wait_while_alive(program: AttackedProgram, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while program.is_alive() and time.monotonic() < deadline:
        time.sleep(0.2)


def main() -> None:
    """Read the command line, attack, print a table; end with 1 if an attack does not hold."""
    names = attack_names()
    parser = argparse.ArgumentParser(prog="python -m bench.hostile", description=__doc__)
    parser.add_argument("--only", action="append", choices=names, metavar="ATTACK")
    parser.add_argument("--list", action="store_true", help="print the attacks and end")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each attack")
    parser.add_argument("--wait", type=float, default=60.0, help="seconds until memory is measured")
    parser.add_argument("--limit", type=int, default=_LIMIT_MIB, help="MiB that the exporter has")
    given = parser.parse_args()
    if given.list:
        print("\n".join(f"{name}: {about}" for name, about in names.items()))
        return
    limit_bytes = given.limit * _MIB
    with limited_memory(limit_bytes) as limit:
        print(f"The exporter runs {limit.describe()}.\n\n{HEAD}", flush=True)
    failed = 0
    for name in given.only or names:
        outcome = run_attack(name, limit_bytes, given.seconds, given.wait)
        failed += bool(outcome.faults())
        print(outcome.row(), flush=True)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
