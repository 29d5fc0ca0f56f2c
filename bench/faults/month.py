"""What happens to simulated accounts in the course of days: folders, users and faults come and go.

It is made up at random before it begins, and the same in every process for the same seed: so the
exporter's process knows what was true in the simulator's at any moment.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Final

from bench.faults.catalogue import catalogue
from bench.faults.fast_time import FastTime
from bench.faults.truth import Holdings
from exporter.polling.targets import Target
from exporter.simulator import Behaviour, Checks, FaultRule, SimulatedAccount, Simulator

KEY, SECRET = "SOAKKEY0123456789", "nobodys-secret-0123456789"
PATHS: Final[Mapping[str, tuple[str, ...]]] = {
    "one": ("sestore4/live", "sestore4/archive"),
    "two": ("sestore7/jb",),
}
"""The accounts, each with its paths."""
CDNS: Final[Mapping[str, int]] = {"one": 158, "two": 159}
DAY: Final = 86_400.0
SLOT: Final = 900.0
"""Seconds: a fault lasts for one slot, or there is none in it."""

_SHARE_OF_FAULTS: Final = 0.2
_BETWEEN_CHANGES: Final = (2 * 3600.0, 4 * 3600.0)
"""Seconds: no walk of a tree lasts as long as two changes are apart."""
_MOST_FILES: Final = 150
_MOST_FOLDERS: Final = 12
_CLOCK_OFF: Final = 3 * 3600.0
_WINDOW: Final = 3600.0
"""Seconds that a timestamp may be off: at this pace, an hour passes in a second."""


@dataclass(frozen=True, slots=True)
class Event:
    """A change of what an account holds, at a number of seconds after the beginning."""

    moment: float
    change: Callable[[Holdings], None]


@dataclass(frozen=True, slots=True)
class Slot:
    """What is wrong for a while: responses, the clock of the exporter (seconds), its secret."""

    faults: tuple[FaultRule, ...] = ()
    clock_off: float = 0.0
    secret_gone: bool = False

    @property
    def good(self) -> bool:
        """Return whether nothing is wrong."""
        return self == Slot()


@dataclass(slots=True)
class AccountScript:
    """An account through the days: what it holds, and what will happen to it."""

    name: str
    holdings: Holdings
    events: list[Event]
    happened: int = field(default=0)

    def advance(self, monotonic: float) -> None:
        """Let happen what is due."""
        while self.happened < len(self.events) and self.events[self.happened].moment <= monotonic:
            self._apply(self.events[self.happened])
            self.happened += 1

    def _apply(self, event: Event) -> None:
        self.holdings.change(lambda: event.moment, event.change)


def account_script(name: str, targets: Sequence[Target], seed: str, days: float) -> AccountScript:
    """Return an account as it is at the beginning."""
    rng = random.Random(f"{seed} {name}")  # noqa: S311 - it makes up files, it keeps no secret
    events = list(_events(PATHS[name], rng, days * DAY))
    return AccountScript(name, Holdings(targets), events)


def slots(seed: str, days: float) -> Sequence[Slot]:
    """Return what is wrong in each slot; in the end, nothing is."""
    rng = random.Random(f"{seed} faults")  # noqa: S311 - as above
    faults = [Slot(case.faults) for case in catalogue() if case.faults and not case.waits]
    faults += [Slot(clock_off=_CLOCK_OFF), Slot(clock_off=-_CLOCK_OFF), Slot(secret_gone=True)]
    return [
        rng.choice(faults) if rng.random() < _SHARE_OF_FAULTS else Slot()
        for _ in range(round(days * DAY / SLOT))
    ]


def simulate(address: Connection, time: FastTime, seed: str, days: float) -> None:
    """Send the URL, and serve the accounts until the other side closes."""
    lives = [account_script(name, (), seed, days) for name in PATHS]
    with Simulator([_account(life, time) for life in lives], clock=time.now) as simulator:
        address.send(simulator.url)
        _break(simulator, Slot())
        for number, slot in enumerate(slots(seed, days)):
            if address.poll(max(0.0, number * SLOT - time.monotonic()) / time.speed):
                return
            _break(simulator, slot)
        if not address.poll(max(0.0, days * DAY - time.monotonic()) / time.speed):
            _break(simulator, Slot())
            address.poll(None)


def _break(simulator: Simulator, slot: Slot) -> None:
    simulator.behave(Behaviour(faults=slot.faults, checks=Checks(window=_WINDOW)))


def _account(script: AccountScript, time: FastTime) -> SimulatedAccount:
    return SimulatedAccount(
        cdn=CDNS[script.name],
        api_key=KEY,
        api_secret=SECRET,
        usage=script.holdings.usage,
        storage=script.holdings.storage,
        refresh=lambda now: script.advance(now - time.start),
    )


def _events(paths: Sequence[str], rng: random.Random, until: float) -> Iterator[Event]:
    folders: dict[str, list[str]] = {path: [] for path in paths}
    yield Event(0.0, _begin(paths))
    moment = 0.0
    number = 0
    while moment < until:
        number += 1
        path = rng.choice(paths)
        there = folders[path]
        if rng.random() < _SHARE_OF_FAULTS:
            yield Event(moment, _users(rng.randint(1, 5), number))
        elif len(there) >= _MOST_FOLDERS or (there and rng.random() < 0.3):  # noqa: PLR2004
            gone = there.pop(rng.randrange(len(there)))
            yield Event(moment, _remove(gone))
        else:
            there.append(f"{path}/{rng.choice(('a', 'm', 'z'))} {number}")
            yield Event(moment, _add(there[-1], rng.randint(0, _MOST_FILES)))
        moment += rng.uniform(*_BETWEEN_CHANGES)


def _begin(paths: Sequence[str]) -> Callable[[Holdings], None]:
    def change(holdings: Holdings) -> None:
        for path in paths:
            for number in range(40):
                holdings.storage.add(f"{path}/recording {number:03}.mp4")
        holdings.bytes_by_user = {"": 1024}

    return change


def _users(users: int, number: int) -> Callable[[Holdings], None]:
    def change(holdings: Holdings) -> None:
        holdings.bytes_by_user = {f"user {user}": 4096 * number + user for user in range(users)}

    return change


def _add(folder: str, files: int) -> Callable[[Holdings], None]:
    def change(holdings: Holdings) -> None:
        holdings.storage.make(f"{folder}/below")
        for number in range(files):
            holdings.storage.add(f"{folder}/{'below/' * (number % 2)}recording {number:03}.mp4")

    return change


def _remove(folder: str) -> Callable[[Holdings], None]:
    return lambda holdings: holdings.storage.remove(folder)
