"""Which connections are open, and which of them has to go when there are too many."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, TypeVar

from exporter.web.fair_queue import find_networks

C = TypeVar("C", bound=Hashable)

_MAX_KNOWN_PEERS: Final = 1024


class Phase(StrEnum):
    """What a connection waits for.

    Each request changes it twice, and the hash of a text takes less time than that of an Enum.
    """

    HANDSHAKE = "TLS handshake"
    REQUEST = "request"
    RESPONSE = "response"


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections may be open, and how many of them in the phases that cost memory.

    ``connections`` is called each time, because the process's limits may change while it runs. Free
    memory is released after a peak of ``release_threshold`` connections.
    """

    connections: Callable[[], int]
    handshakes: int = 128
    responses: int = 128
    release_threshold: int = 64

    def of(self, phase: Phase) -> int | None:
        """Return how many may be in a phase, or None for as many as may be open."""
        match phase:
            case Phase.HANDSHAKE:
                return self.handshakes
            case Phase.RESPONSE:
                return self.responses
            case Phase.REQUEST:
                return None


def find_peer(address: object) -> str:
    """Return what counts as one client, of the address that ``socket.accept`` returns.

    All clients of a socket in the file system count as one.
    """
    return find_networks(address[0])[-1] if isinstance(address, tuple) else ""


class ConnectionTracker(Generic[C]):
    """The open connections, each by its phase, its peer, and since when.

    When there are too many, one has to go for each that comes. It is of the phase that most are
    in. There, it is of the peers that were served before or of the others, whichever hold more
    connections. Of these, it is the oldest of the peer with most connections; of responses, the
    one of which the client has taken nothing for longest. So connections of a peer with many
    displace each other. Where all come from one address, as through a reverse proxy, the oldest
    goes.

    ``clock`` returns seconds that only grow.
    """

    def __init__(self, limits: ConnectionLimits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self._clock = clock
        # For each phase, those of other peers and those of peers that were served before.
        self._groups = {phase: (_Group[C](), _Group[C]()) for phase in Phase}
        self._entries: dict[C, tuple[str, _Group[C]]] = {}
        self._known: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._entries)

    def all(self) -> list[C]:
        """Return all that are open."""
        return list(self._entries)

    def add(self, connection: C, peer: str, phase: Phase) -> list[C]:
        """Add a new one; forget and return those that have to go for it."""
        excess = [*self._pop_excess(phase), *self._pop_above(self.limits.connections() - 1)]
        self._insert(connection, peer, phase)
        return excess

    def move(self, connection: C, phase: Phase) -> list[C]:
        """Note that one is in another phase now; forget and return those that have to go for it."""
        if connection not in self._entries:
            return []
        peer = self._discard(connection)
        excess = list(self._pop_excess(phase))
        self._insert(connection, peer, phase)
        return excess

    def remove(self, connection: C) -> None:
        """Forget one, which may be forgotten already."""
        if connection in self._entries:
            self._discard(connection)

    def record_served(self, connection: C) -> None:
        """Record that the peer of a connection has got its response."""
        if connection in self._entries:
            peer, _ = self._entries[connection]
            self._known[peer] = None
            self._known.move_to_end(peer)
            if len(self._known) > _MAX_KNOWN_PEERS:
                self._known.popitem(last=False)

    def record_progress(self, connection: C) -> None:
        """Note that the client has taken more of its response: another goes before it."""
        if connection in self._entries:
            peer, group = self._entries[connection]
            group.move_to_end(connection, peer)

    def pop_surplus(self) -> list[C]:
        """Forget and return those above the limit of connections, as it is now."""
        return list(self._pop_above(self.limits.connections()))

    def pop_share(self, divisor: int) -> list[C]:
        """Forget and return one in ``divisor``, at least one if any is open."""
        return list(self._pop_above(len(self) - max(1, len(self) // divisor)))

    def pop_overdue(self, seconds: float) -> list[C]:
        """Forget and return those that have been in their phase for longer."""
        began = self._clock() - seconds
        overdue = [
            connection
            for groups in self._groups.values()
            for group in groups
            for connection in group.older(began)
        ]
        for connection in overdue:
            self._discard(connection)
        return overdue

    def _pop_excess(self, phase: Phase) -> Iterator[C]:
        """Forget and give those that are in the way of one more in a phase."""
        limit = self.limits.of(phase)
        while limit is not None and self._count_size(phase) >= limit:
            yield self._take(phase)

    def _pop_above(self, limit: int) -> Iterator[C]:
        while len(self) > max(0, limit):
            yield self._take(
                max((Phase.REQUEST, Phase.HANDSHAKE, Phase.RESPONSE), key=self._count_size)
            )

    def _take(self, phase: Phase) -> C:
        connection = max(self._groups[phase], key=len).first()
        self._discard(connection)
        return connection

    def _count_size(self, phase: Phase) -> int:
        others, known = self._groups[phase]
        return len(others) + len(known)

    def _insert(self, connection: C, peer: str, phase: Phase) -> None:
        group = self._groups[phase][peer in self._known]
        self._entries[connection] = peer, group
        group.add(connection, peer, self._clock())

    def _discard(self, connection: C) -> str:
        peer, group = self._entries.pop(connection)
        group.remove(connection, peer)
        return peer


class _Group(Generic[C]):
    """Connections by peer; finds that of the peer with most without a look at all of them."""

    def __init__(self) -> None:
        self._started: OrderedDict[C, float] = OrderedDict()  # the oldest first, as everywhere here
        self._by_peer: dict[str, OrderedDict[C, None]] = {}
        self._by_count: dict[int, OrderedDict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._started)

    def add(self, connection: C, peer: str, now: float) -> None:
        self._started[connection] = now
        own = self._by_peer.get(peer)
        if own is None:
            own = self._by_peer[peer] = OrderedDict()
        own[connection] = None
        self._update_count(peer, len(own) - 1, len(own))

    def remove(self, connection: C, peer: str) -> None:
        del self._started[connection]
        own = self._by_peer[peer]
        del own[connection]
        self._update_count(peer, len(own) + 1, len(own))
        if not own:
            del self._by_peer[peer]

    def move_to_end(self, connection: C, peer: str) -> None:
        """Let all others of the peer go before one."""
        self._by_peer[peer].move_to_end(connection)

    def first(self) -> C:
        """Return the oldest of the peer with most; of several such peers, of the first."""
        peer = next(iter(self._by_count[max(self._by_count)]))
        return next(iter(self._by_peer[peer]))

    def older(self, began: float) -> list[C]:
        """Return those that came before a time."""
        found = []
        for connection, since in self._started.items():
            if since >= began:
                break
            found.append(connection)
        return found

    def _update_count(self, peer: str, before: int, after: int) -> None:
        if before:
            peers = self._by_count[before]
            del peers[peer]
            if not peers:
                del self._by_count[before]
        if after:
            self._by_count.setdefault(after, OrderedDict())[peer] = None
