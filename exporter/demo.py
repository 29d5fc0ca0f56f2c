"""The demo: the exporter and a simulated ScaleEngine in one process."""

import random
import time
from typing import Final

from exporter.plan import Plan, PlannedAccount
from exporter.polling.targets import DiskUsageTarget, FilesTarget
from exporter.scaleengine.client import Credentials
from exporter.scaleengine.transport import Endpoint
from exporter.simulator import Behaviour, Simulator
from exporter.simulator.demo import Demo, demo_account

_ACCOUNT: Final = "demo"
_SEED: Final = 158
_LATENCY: Final = 0.02
_CONCURRENCY: Final = 8
_USAGE_INTERVAL: Final = 60.0
_FILES_INTERVAL: Final = 15.0


def start_demo() -> tuple[Simulator, Plan]:
    """Start a simulated ScaleEngine on a free loopback port; return it and the plan to poll it."""
    chance = random.Random(_SEED)  # noqa: S311 - it makes up files, it keeps no secret
    demo = demo_account(time.time(), chance)
    simulator = Simulator([demo.account], Behaviour(latency=_LATENCY))
    simulator.start()
    return simulator, _plan(demo, simulator.url)


def hints(page: str, telemetry_path: str) -> str:
    """Return what to try, where the demo is served at ``page`` (``http://localhost:10058``)."""
    metrics = page + telemetry_path
    return f"""\
A simulated ScaleEngine account is being polled; its files change while you watch.

  Open     {page}/
  Or try   curl -s {metrics} | grep ^scaleengine_

Then try
  watch recordings arrive    watch -n 5 'curl -s {metrics} | grep ^scaleengine_folder_files'
  is it ready                curl {page}/-/ready
  your own account           see config.example.yaml

Ctrl-C ends it.
"""


def _plan(demo: Demo, url: str) -> Plan:
    account = demo.account
    credentials = Credentials(account.api_key, account.api_secret)
    files = tuple(
        FilesTarget(
            _ACCOUNT,
            _FILES_INTERVAL,
            3 * _FILES_INTERVAL,
            polled.path,
            file_type,
            polled.folder_depth or None,
        )
        for polled in demo.paths
        for file_type in polled.file_types
    )
    return Plan(
        endpoint=Endpoint(url, timeout=30.0, connections=_CONCURRENCY),
        concurrency=_CONCURRENCY,
        requests_per_second=None,
        requests_per_poll=5000,
        accounts=(PlannedAccount(_ACCOUNT, account.cdn, lambda: credentials),),
        targets=(DiskUsageTarget(_ACCOUNT, _USAGE_INTERVAL, 3 * _USAGE_INTERVAL), *files),
    )
