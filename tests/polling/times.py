"""One poll of one target, for tests."""

import asyncio
import random

from exporter.polling.session import PolledAccount, PollSession
from exporter.polling.snapshots import Snapshot
from exporter.polling.target_poller import poll_target
from exporter.polling.targets import Target


def make_session(account: PolledAccount, target: Target) -> PollSession:
    """Return the requests of a poll."""
    return PollSession(account, target, random.Random(0))


def run_poll(session: PollSession, target: Target) -> Snapshot:
    """Poll once; raises ScaleEngineError."""
    return asyncio.run(poll_target(target, session))
