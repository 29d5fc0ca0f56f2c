"""A receiver of Alertmanager: a webhook on loopback that keeps its notifications."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Notification:
    """One alert of a message: its receiver, whether it fires, and its text."""

    receiver: str
    firing: bool
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def alert(self) -> str:
        """The name of the alert."""
        return self.labels["alertname"]

    @property
    def summary(self) -> str:
        """What is wrong and what to do, in a line."""
        return self.annotations["summary"]


class Receiver:
    """All notifications so far, in the order in which they came."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._lock = threading.Lock()
        self._notifications: list[Notification] = []

    @property
    def notifications(self) -> tuple[Notification, ...]:
        """The notifications so far."""
        with self._lock:
            return tuple(self._notifications)

    def take(self, message: Mapping[str, Any]) -> None:
        """Keep a message as Alertmanager's webhook sends it."""
        notifications = [
            Notification(
                message["receiver"],
                alert["status"] == "firing",
                alert["labels"],
                alert["annotations"],
            )
            for alert in message["alerts"]
        ]
        with self._lock:
            self._notifications.extend(notifications)


@contextmanager
def listening_receiver() -> Iterator[Receiver]:
    """Listen on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            receiver.take(json.loads(self.rfile.read(length)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Log nothing: notifications are kept."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, name="receiver")
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
