"""Which credentials are blocked follows from what was last seen of them, in any order of events."""

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from exporter.polling.credentials import CredentialBreaker
from exporter.polling.recovery import CONVINCING_REFUSALS
from exporter.scaleengine.client import Credentials
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.errors import AuthError, ScaleEngineError
from tests.support.sentences import REFUSED_KEY

COLLECTORS = ("disk_usage", "files")
CREDENTIALS = (Credentials("key", "secret"), Credentials("key", "other"))

collectors = st.sampled_from(COLLECTORS)
credentials = st.sampled_from(CREDENTIALS)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a request showed of credentials: accepted, or an error that blocks them for a while."""

    credentials: Credentials
    error: ScaleEngineError | None = None
    until: float = 0.0


class BreakerMachine(RuleBasedStateMachine):
    """A breaker, and all that was recorded in it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.seen: dict[str, list[Seen]] = {collector: [] for collector in COLLECTORS}
        self.breaker = CredentialBreaker(Clock(monotonic=lambda: self.now))

    @rule(collector=collectors, used=credentials)
    def accept(self, collector: str, used: Credentials) -> None:
        self.breaker.record_acceptance(collector, used)
        self.seen[collector].append(Seen(used))

    @rule(
        collector=collectors,
        used=credentials,
        seconds=st.sampled_from([60.0, 900.0]),
        times=st.integers(1, CONVINCING_REFUSALS + 1),
    )
    def refuse(self, collector: str, used: Credentials, seconds: float, times: int) -> None:
        for _ in range(times):
            error = AuthError(collector, REFUSED_KEY, "check api_key")
            self.breaker.record_refusal(collector, used, error, seconds)
            self.seen[collector].append(Seen(used, error, self.now + seconds))

    @rule(seconds=st.sampled_from([1.0, 59.0, 60.0, 900.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def blocks_what_is_refused(self) -> None:
        for collector in COLLECTORS:
            for used in CREDENTIALS:
                expected = self._expected(self.seen[collector], used)
                assert self.breaker.find_refusal(collector, used) is expected

    def _expected(self, seen: list[Seen], used: Credentials) -> ScaleEngineError | None:
        """Return the newest refusal, if it is of these credentials, convinces and lasts."""
        own: list[Seen] = []
        for event in reversed(seen):
            if event.credentials != used:
                break
            own.append(event)
        if not own or self.now >= own[0].until:
            return None
        refusals = next((n for n, event in enumerate(own) if event.error is None), None)
        is_convincing = refusals is None or refusals >= CONVINCING_REFUSALS
        return own[0].error if is_convincing else None


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)
