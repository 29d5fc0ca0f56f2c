"""A ScaleEngine of our own, which speaks the published protocol over real HTTP on loopback.

For the demo, for tests and for benchmarks::

    account = SimulatedAccount(cdn=158, api_key="...", api_secret="...", storage=Folder(
        folders={"sestore4": Folder(files={"movie.mp4": FileType.VIDEO})}
    ))
    with Simulator([account]) as simulator:
        ...  # send requests to simulator.url, look at simulator.requests

``behave`` changes latency, checks, faults and the API variant while it runs. Written from the API's
pages: knows nothing of the exporter's client, but for the signature.
"""

from exporter.simulator.api import ReceivedRequest
from exporter.simulator.behaviour import Behaviour, Checks, FaultRule, SignatureCheck
from exporter.simulator.published import PublishedFormat, ResponseFormat
from exporter.simulator.simulated_accounts import (
    SimulatedAccount,
    Usage,
    no_usage,
    steady_usage,
    usage_from_days,
)
from exporter.simulator.simulator import Simulator
from exporter.simulator.storage import FileType, Folder, MemberOrder

__all__ = [
    "Behaviour",
    "Checks",
    "FaultRule",
    "FileType",
    "Folder",
    "MemberOrder",
    "PublishedFormat",
    "ReceivedRequest",
    "ResponseFormat",
    "SignatureCheck",
    "SimulatedAccount",
    "Simulator",
    "Usage",
    "no_usage",
    "steady_usage",
    "usage_from_days",
]
