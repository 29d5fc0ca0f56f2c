"""The notifications of the receivers from some moment on."""

from collections.abc import Collection, Mapping

from tests.e2e.proofs import Proofs
from tests.e2e.receiver import Notification
from tests.e2e.watching import Watch
from tests.support.waiting import wait_until

_ON_EVERY_ALERT = ("alertname", "job")


class ReceivedAlerts:
    """Finds the notifications since it was made, and adds those it waited for to the proofs."""

    def __init__(self, watches: Collection[Watch], proofs: Proofs) -> None:
        self._proofs = proofs
        self._before = {watch.name: len(watch.receiver.notifications) for watch in watches}

    def find(self, watch: Watch, **labels: str) -> list[Notification]:
        """Return the notifications of a receiver for alerts with these labels."""
        notifications = watch.receiver.notifications[self._before[watch.name] :]
        return [alert for alert in notifications if labels.items() <= alert.labels.items()]

    def firing(self, watch: Watch, alert: str, **labels: str) -> Notification:
        """Wait until a receiver gets an alert that fires, with just these labels."""
        expected = {"alertname": alert, "job": "scaleengine", **labels}
        return self._wait_for(watch, alert, expected, firing=True)

    def resolved(self, watch: Watch, alert: str) -> Notification:
        """Wait until a receiver gets an alert that is resolved."""
        return self._wait_for(watch, alert, {}, firing=False)

    def held_back(self, watch: Watch, cause: str, alerts: Collection[str]) -> None:
        """Wait until all these alerts fire, and an alert that fires keeps them from being sent."""

        def held() -> Mapping[str, set[str]]:
            return watch.alerts()

        seen = wait_until(
            held,
            lambda held: all(cause in held.get(alert, ()) for alert in alerts),
            f"{watch.name}: {cause} holds back {sorted(alerts)}",
        )
        others = sorted(alert for alert, causes in seen.items() if cause in causes)
        self._proofs.add(watch.name, f"held back by {cause}", ", ".join(others))

    def _wait_for(
        self, watch: Watch, alert: str, labels: Mapping[str, str], *, firing: bool
    ) -> Notification:
        def find_matching() -> list[Notification]:
            return [
                notification
                for notification in self.find(watch)
                if (notification.alert, notification.firing) == (alert, firing)
            ]

        state = "firing" if firing else "resolved"
        notification = wait_until(
            find_matching, bool, f"{watch.name}: {alert} {state} at a receiver"
        )[0]
        assert not labels or notification.labels == labels
        shown = [
            f"{name}={value}"
            for name, value in sorted(notification.labels.items())
            if name not in _ON_EVERY_ALERT
        ]
        words = f"at {notification.receiver}: {' '.join(shown)}: {notification.summary}"
        self._proofs.add(watch.name, f"{alert} {state}", words)
        return notification
