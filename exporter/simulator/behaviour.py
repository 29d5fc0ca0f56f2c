"""How a simulator behaves: slow or fast, by which reading, and what is broken."""

from dataclasses import dataclass, field
from enum import Enum, auto

from exporter.simulator.injection import Broken
from exporter.simulator.readings import Readings


class SignatureCheck(Enum):
    """How the server checks a signature; the API page names both ways, the real one is unknown."""

    BOTH = auto()
    RECEIVED_TEXT = auto()
    """The text as it came, with the signature cut off its end."""
    ENCODED_AGAIN = auto()
    """Decoded, the signature dropped, encoded again by PHP."""


@dataclass(frozen=True, slots=True)
class Checks:
    """What a request must pass. ``window`` is how many seconds a timestamp may be off.

    With ``replay`` a signature is accepted once only, as long as its timestamp is valid.
    """

    window: float = 300
    signature: SignatureCheck = SignatureCheck.BOTH
    replay: bool = True


@dataclass(frozen=True, slots=True)
class Behaviour:
    """All that can be switched while a simulator runs.

    ``latency`` is the wait before an answer in seconds, ``drip`` the wait between two bytes of a
    slow answer in seconds. Of several faults that hit one call the first counts.
    """

    latency: float = 0.0
    readings: Readings = field(default_factory=Readings)
    checks: Checks = field(default_factory=Checks)
    broken: tuple[Broken, ...] = ()
    drip: float = 0.05
