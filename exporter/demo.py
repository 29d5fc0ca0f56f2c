"""The demo: the exporter and a simulated ScaleEngine in one process."""

import random
import socket
import sys
import threading
import time
from collections.abc import Mapping
from typing import Final

from exporter.flags import WebFlags
from exporter.polling.targets import DiskUsageTarget, FilesTarget
from exporter.process.start import Process
from exporter.scaleengine.client import Credentials
from exporter.scaleengine.redaction import SecretRedactor
from exporter.scaleengine.transport import Endpoint
from exporter.serve import load_live_web_config, open_sockets, serve_settings
from exporter.service import ConfigSource, WebOptions
from exporter.settings import AccountSettings, Settings
from exporter.simulator import Behaviour, SimulatedAccount, Simulator
from exporter.simulator.demo_account import (
    INGEST_PATH,
    Demo,
    build_demo_account,
    build_ingest_account,
)
from exporter.web.listeners import format_url

_ACCOUNT: Final = "demo"
_SEED: Final = 158
_LATENCY: Final = 0.02
_CONCURRENCY: Final = 8
_USAGE_INTERVAL: Final = 60.0
_FILES_INTERVAL: Final = 30.0
_REQUESTS_PER_SECOND: Final = 20.0
_INGEST_ACCOUNT: Final = "ingest"
_INGEST_INTERVAL: Final = 5.0
"""Less than a poll of that account takes at that rate: what such an account looks like."""
_PRINT_SECONDS: Final = 1.0
_QUOTAS: Final = {"series": 10 * 10**12, "live-recordings": 4 * 10**12, "podcast": 500 * 10**9}
"""Bytes by CPU user; that of the series is nearly full."""
_MAX_FOLDERS: Final = 9
"""Less than there are series, so that the smallest are summed as ``_other``."""
_MISSING_PATH: Final = "sestore4/retired"
"""A path that is not there: its polls fail, as the status page shows."""


def serve_demo(web: WebFlags, secrets: SecretRedactor, process: Process) -> None:
    """Serve simulated accounts until a signal ends that, and print what to try.

    Raises ConfigError for the web configuration, and ListenError.
    """
    web_config = load_live_web_config(web.config_file)
    sockets = open_sockets(web.listen_address, process)
    simulator, settings = start_demo_simulator()
    try:
        # A browser opens no unix socket; the log has its address.
        for sock in [sock for sock in sockets if sock.family != socket.AF_UNIX][:1]:
            page = format_url(
                sock, tls=web_config is not None and web_config.ssl_context is not None
            )
            _print_meanwhile(format_hints(page, web.telemetry_path))
        source = ConfigSource(
            lambda: settings, lambda settings: settings.endpoint, lambda settings: settings, secrets
        )
        web_options = WebOptions(sockets, web.telemetry_path, web_config, web.enable_lifecycle)
        serve_settings(settings, source, web_options, process)
    finally:
        simulator.stop()


def start_demo_simulator() -> tuple[Simulator, Settings]:
    """Start a simulated ScaleEngine on a free loopback port; return both it and its settings."""
    rng = random.Random(_SEED)  # noqa: S311 - it makes up files, it keeps no secret
    demo, ingest = build_demo_account(time.time(), rng), build_ingest_account(rng)
    simulator = Simulator([demo.account, ingest], Behaviour(latency=_LATENCY))
    simulator.start()
    return simulator, _build_settings(demo, ingest, simulator.url)


def format_hints(page: str, telemetry_path: str) -> str:
    """Return what to try, where the demo is served at ``page`` (``http://localhost:10058``)."""
    metrics = page + telemetry_path
    return f"""\
Two simulated ScaleEngine accounts are being polled. See on the status page how it looks when

  files come and go          sestore4/live of the account demo, every few seconds
  a quota is nearly full     the CPU user series
  a CPU user is deleted      the CPU user trial, two minutes after the start
  a path does not exist      sestore4/retired
  polls do not fit           the account ingest needs more requests than its rate limit allows

  Open     {page}/
  Or try   curl -s {metrics} | grep ^scaleengine_

Then try
  watch recordings arrive    watch -n 5 'curl -s {metrics} | grep ^scaleengine_folder_files'
  is it ready                curl {page}/-/ready
  your own account           see config.example.yaml

Ctrl-C ends it.
"""


def _build_settings(demo: Demo, ingest: SimulatedAccount, url: str) -> Settings:
    files = tuple(
        FilesTarget(
            _ACCOUNT,
            _FILES_INTERVAL,
            3 * _FILES_INTERVAL,
            polled.path,
            file_type,
            polled.folder_depth or None,
            _MAX_FOLDERS,
        )
        for polled in demo.paths
        for file_type in polled.file_types
    )
    missing = FilesTarget(_ACCOUNT, _USAGE_INTERVAL, 3 * _USAGE_INTERVAL, _MISSING_PATH, "video")
    too_large = FilesTarget(
        _INGEST_ACCOUNT, _INGEST_INTERVAL, 3 * _USAGE_INTERVAL, INGEST_PATH, "video"
    )
    usage = DiskUsageTarget(_ACCOUNT, _USAGE_INTERVAL, 3 * _USAGE_INTERVAL)
    return Settings(
        endpoint=Endpoint(url, timeout=30.0, connections=_CONCURRENCY),
        concurrency=_CONCURRENCY,
        requests_per_second=_REQUESTS_PER_SECOND,
        requests_per_poll=5000,
        accounts=(
            _build_account(_ACCOUNT, demo.account, _QUOTAS),
            _build_account(_INGEST_ACCOUNT, ingest, {}),
        ),
        targets=(usage, *files, missing, too_large),
    )


def _build_account(
    name: str, account: SimulatedAccount, quotas: Mapping[str, int]
) -> AccountSettings:
    credentials = Credentials(account.api_key, account.api_secret)
    return AccountSettings(name, account.cdn, lambda: credentials, quotas)


def _print_meanwhile(text: str) -> None:
    """Print a text in a thread: where it is not read, the rest goes on after a second."""

    def write() -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    thread = threading.Thread(target=write, name="stdout", daemon=True)
    thread.start()
    thread.join(_PRINT_SECONDS)
