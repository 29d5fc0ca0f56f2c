"""A ScaleEngine of our own, which speaks the published protocol over real HTTP on loopback.

For the demo, for tests and for benchmarks::

    account = Account(cdn=158, api_key="...", api_secret="...", storage=Folder(
        folders={"sestore4": Folder(files={"movie.mp4": FileType.VIDEO})}
    ))
    with Simulator([account]) as simulator:
        ...  # ask simulator.url, look at simulator.calls, switch with simulator.behave(...)
"""

from exporter.simulator.accounts import Account, Usage, no_usage, steady_usage, usage_by_day
from exporter.simulator.behaviour import Behaviour, Checks, SignatureCheck
from exporter.simulator.calls import Call
from exporter.simulator.changes import (
    Add,
    Change,
    ChangingFolder,
    MoveFile,
    Remove,
    Rename,
    Truth,
    random_changes,
    scripted,
)
from exporter.simulator.faults import BUSY, FAILING, NOT_FOUND, Broken, Fault, HttpError, Refusal
from exporter.simulator.random_readings import describe, random_readings
from exporter.simulator.random_trees import ambiguities, describe_tree, random_tree
from exporter.simulator.readings import (
    Array,
    Code,
    CompleteOffset,
    Content,
    Counted,
    Empty,
    FileCount,
    FolderShape,
    Loaded,
    Nothing,
    Numbers,
    Offsets,
    OffsetWritten,
    Order,
    PassingOffset,
    Readings,
    Unreached,
)
from exporter.simulator.server import Simulator
from exporter.simulator.storage import FileType, Folder, MemberOrder

__all__ = [
    "BUSY",
    "FAILING",
    "NOT_FOUND",
    "Account",
    "Add",
    "Array",
    "Behaviour",
    "Broken",
    "Call",
    "Change",
    "ChangingFolder",
    "Checks",
    "Code",
    "CompleteOffset",
    "Content",
    "Counted",
    "Empty",
    "Fault",
    "FileCount",
    "FileType",
    "Folder",
    "FolderShape",
    "HttpError",
    "Loaded",
    "MemberOrder",
    "MoveFile",
    "Nothing",
    "Numbers",
    "OffsetWritten",
    "Offsets",
    "Order",
    "PassingOffset",
    "Readings",
    "Refusal",
    "Remove",
    "Rename",
    "SignatureCheck",
    "Simulator",
    "Truth",
    "Unreached",
    "Usage",
    "ambiguities",
    "describe",
    "describe_tree",
    "no_usage",
    "random_changes",
    "random_readings",
    "random_tree",
    "scripted",
    "steady_usage",
    "usage_by_day",
]
