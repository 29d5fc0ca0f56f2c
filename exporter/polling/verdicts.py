"""Whether ScaleEngine accepts an account's credentials, as each poll of a target learns it."""

from dataclasses import dataclass

from exporter.polling.targets import Target
from exporter.scaleengine.client import Credentials


@dataclass(frozen=True, slots=True)
class CredentialVerdict:
    """What one attempt to poll a target has shown of the account and its credentials.

    ``credentials`` are those of the attempt, None where they could not be read; ``read_at`` is when
    they were, in seconds of monotonic time. ``accepted`` is None where ScaleEngine said nothing of
    them: it did not respond, or was out of order. ``asked`` is False where no request was made,
    because the credentials could not be read or were refused before.
    """

    target: Target
    credentials: Credentials | None
    read_at: float
    accepted: bool | None
    asked: bool = True


def ignore(_: CredentialVerdict) -> None:
    """Do nothing with a verdict."""
