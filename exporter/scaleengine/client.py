"""Make signed calls in the name of one account."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from exporter.scaleengine.clock import Clock
from exporter.scaleengine.envelope import Question, open_envelope
from exporter.scaleengine.errors import ApiError, ProtocolError, Reason, ScaleEngineError
from exporter.scaleengine.json_values import Members, UnexpectedError
from exporter.scaleengine.pace import Pace
from exporter.scaleengine.signing import Value, signed_request
from exporter.scaleengine.stamps import Stamps
from exporter.scaleengine.transport import Transport

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Credentials:
    """The two secrets of an account, as ScaleEngine's panel shows them."""

    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Exchange:
    """How one call ended: what it took in seconds, and the reason if it failed.

    ``accepted`` says that ScaleEngine answered and took the credentials, whatever the answer was.
    """

    account: str
    command: str
    seconds: float
    reason: Reason | None
    accepted: bool


@dataclass(frozen=True, slots=True)
class Client:
    """Speaks for one account; to be used by several threads at once.

    Every call is told to ``observe`` when it has ended.
    """

    account: str
    cdn: int
    transport: Transport
    pace: Pace
    stamps: Stamps
    clock: Clock
    observe: Callable[[Exchange], None]

    def call(
        self,
        credentials: Credentials,
        command: str,
        fields: Mapping[str, Value],
        read: Callable[[Members], T],
    ) -> T:
        """Make one call and return what ``read`` makes of the answer.

        The call is signed at the moment it is sent: a signed text that waited could be refused as
        too old, and one sent twice as a replay. Raises ScaleEngineError.
        """
        self.pace.take_turn()
        stamp = self.stamps.stamp({"command": command, "cdn": self.cdn, **fields})
        request = {
            "command": command,
            "api_key": credentials.api_key,
            "timestamp": stamp,
            "cdn": self.cdn,
            **fields,
        }
        question = Question(
            self.account, command, hidden=(credentials.api_key, credentials.api_secret)
        )
        began = self.clock.elapsed()
        reason: Reason | None = Reason.PROTOCOL  # holds for whatever is not foreseen below
        accepted = False
        try:
            answer = self.transport.send(signed_request(request, credentials.api_secret), question)
            members = open_envelope(answer.status, answer.body, question)
            accepted = True
            result = read(members)
            reason = None
        except UnexpectedError as unexpected:
            raise question.failed(
                ProtocolError,
                f"the answer is not what ScaleEngine documents: {unexpected}",
                "if it lasts, look for a newer release of this exporter",
            ) from None
        except ScaleEngineError as error:
            reason = error.reason
            accepted = isinstance(error, ApiError)
            raise
        finally:
            seconds = self.clock.elapsed() - began
            self.observe(Exchange(self.account, command, seconds, reason, accepted))
        return result

    def close(self) -> None:
        """End the calls that are under way; later ones fail."""
        self.transport.close()
