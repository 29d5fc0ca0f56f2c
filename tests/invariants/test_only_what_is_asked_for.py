"""What the configuration leaves out is not asked for, rather than hidden afterwards."""

from exporter.simulator import Simulator
from tests.support.fixtures import StartPolling


def test_requests_follow_the_configuration(start: StartPolling, scaleengine: Simulator) -> None:
    """A CPU user, a file type, a path or a whole command that is left out makes no request."""
    program = start(
        scaleengine,
        {"cdn": 158, "name": "usage", "disk_usage": {"cpu_users": ["web"]}},
        {
            "cdn": 159,
            "name": "files",
            "disk_usage": {"enabled": False},
            "files": {"paths": [{"path": "sestore4/jb", "file_types": ["audio"]}]},
        },
    )
    program.wait_until_ready()
    calls = scaleengine.requests

    assert {(call.command, call.cdn) for call in calls} == {
        ("disk.usage", 158),
        ("files.list", 159),
    }
    assert {call.cpu for call in calls if call.cdn == 158} == {"web"}
    assert {call.file_type for call in calls if call.cdn == 159} == {"audio"}
    assert all((call.path or "sestore4/jb").startswith("sestore4/jb") for call in calls)


def test_labels_follow_the_configuration(start: StartPolling, scaleengine: Simulator) -> None:
    """Without ``folder_depth`` a tree has two series, however many folders and files it has."""
    program = start(
        scaleengine,
        {
            "cdn": 158,
            "disk_usage": {"enabled": False},
            "files": {"paths": ["sestore4/jb"]},
        },
    )
    program.wait_until_ready()
    lines = program.get("/metrics")[1].splitlines()
    trees = ("scaleengine_files{", "scaleengine_folders{", "scaleengine_folder_files{")

    assert [line for line in lines if line.startswith(trees)] == [
        'scaleengine_files{account="158",file_type="video",path="sestore4/jb"} 130.0',
        'scaleengine_folders{account="158",file_type="video",path="sestore4/jb"} 1.0',
    ]
