"""Two simulated accounts, and what an exporter that polls them must serve: the truth."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, TypeAlias

from exporter.simulator import Behaviour, Checks, FileType, Folder, SimulatedAccount

Series: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
"""A metric's name, and its labels in order."""

Samples: TypeAlias = Mapping[Series, float]

TB: Final = 10**12
GB: Final = 10**9
NEW_VIDEOS: Final = 2
"""Videos that each folder has gained on each day so far."""

USUAL: Final = Behaviour(checks=Checks(replay=False))
"""How ScaleEngine behaves: an exporter that is started again may ask just what it asked before."""

_NEW_FILES: Final = {"video": NEW_VIDEOS, "invalid": 0}
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class User:
    """A CPU user: bytes at the start, more with each day, and a quota in bytes if there is one."""

    bytes_at_start: int
    bytes_a_day: int
    quota: int | None = None


@dataclass(frozen=True, slots=True)
class Path:
    """A path that is polled for these file types, by folder or not."""

    path: str
    file_types: tuple[str, ...]
    by_folder: bool


@dataclass(frozen=True, slots=True)
class Polled:
    """An account with its name, CPU users, and paths: what is simulated, and what is configured.

    ``start`` is the day on which the simulation began, in UTC: files are counted back from it.
    """

    name: str
    start: date
    account: SimulatedAccount
    users: Mapping[str, User]
    paths: tuple[Path, ...]


def today() -> date:
    """Return the day that it is, as ScaleEngine counts days: in UTC."""
    return datetime.now(UTC).date()


def demo(start: date) -> Polled:
    """Return an account with quotas, whose paths are counted by folder and by type."""
    live = Folder(
        files={"jingle.mp4": FileType.VIDEO},
        folders={
            "kanal-1": _folder(videos=130, invalid=2),
            "télé région": _folder(videos=45, invalid=1),
            "leer": Folder(),
        },
    )
    series = Folder(folders={"Die Brücke": _folder(videos=30), "Żywioły": _folder(videos=21)})
    users = {
        "": User(13 * TB, 55 * GB, quota=20 * TB),
        "live": User(2 * TB, 50 * GB, quota=4 * TB),
        "séries": User(9 * TB, 10 * GB, quota=30 * TB),
        "archiv_2019": User(2 * TB, -5 * GB, quota=30 * TB),
    }
    storage = Folder(folders={"sestore4": Folder(folders={"live": live, "séries": series})})
    account = SimulatedAccount(
        cdn=158,
        api_key="E2E4GKLM0RKQLSP2FBO1ROPKSSW47DZE",
        api_secret="e2e48c48da81e6a2a06a9556379bf798af508dc0792497c678b4c3532ba8b6",
        usage=lambda day: _usage(users, (day - start).days),
        storage=storage,
    )
    paths = (
        Path("sestore4/live", ("video", "invalid"), by_folder=True),
        Path("sestore4/séries", ("video",), by_folder=True),
    )
    return Polled("demo", start, account, users, paths)


def shop(start: date) -> Polled:
    """Return an account without quotas, whose path is counted as a whole."""
    users = {"shop": User(300 * GB, 1 * GB)}
    videos = Folder(folders={"2026": _folder(videos=120)})
    account = SimulatedAccount(
        cdn=159,
        api_key="E2E5HLMN1SLRMTQ3GCP2SPQLTTX58EAF",
        api_secret="e2e59d59eb92f7b3b17ba66748acf809b0619ed18a35a8d789c5d4643cb9c7",
        usage=lambda day: _usage(users, (day - start).days),
        storage=Folder(folders={"sestore7": Folder(folders={"shop": videos})}),
    )
    return Polled(
        "shop", start, account, users, (Path("sestore7/shop", ("video",), by_folder=False),)
    )


def series(name: str, labels: Mapping[str, str]) -> Series:
    """Return a series as it is compared: an empty label is none, as Prometheus has it."""
    return name, tuple(sorted((label, value) for label, value in labels.items() if value))


def stored(polled: Polled, day: date) -> Samples:
    """Return what is stored, as the exporter serves it on a day.

    That is what stands in the folders now, with fewer videos on days before the start, and the
    bytes of the day.
    """
    return dict([*_disk_usage(polled, day), *_files(polled, max(0, (polled.start - day).days))])


def _disk_usage(polled: Polled, day: date) -> Iterator[tuple[Series, float]]:
    midnight = (day - _EPOCH) / timedelta(seconds=1)
    usage = polled.account.usage(day)
    for cpu_user, user in polled.users.items():
        labels = {"account": polled.name, "cpu_user": cpu_user}
        yield series("scaleengine_disk_usage_bytes", labels), usage[cpu_user]
        yield series("scaleengine_disk_usage_day_timestamp_seconds", labels), midnight
        if user.quota is not None:
            yield series("scaleengine_disk_quota_bytes", labels), user.quota


def _files(polled: Polled, days_before: int) -> Iterator[tuple[Series, float]]:
    for path in polled.paths:
        root = polled.account.storage.find(path.path)
        assert root is not None
        for file_type in path.file_types:
            labels = {"account": polled.name, "path": path.path, "file_type": file_type}
            below = sum(folder.count(file_type) for _, folder in root.folders())
            files = {".": root.count(file_type) - below} | {
                name: max(0, folder.count(file_type) - days_before * _NEW_FILES[file_type])
                for name, folder in root.folders()
            }
            yield series("scaleengine_files", labels), sum(files.values())
            yield series("scaleengine_folders", labels), root.count_folders()
            if path.by_folder:
                for folder, count in files.items():
                    yield series("scaleengine_folder_files", {**labels, "folder": folder}), count


def _usage(users: Mapping[str, User], days: int) -> Mapping[str, int]:
    return {name: user.bytes_at_start + days * user.bytes_a_day for name, user in users.items()}


def _folder(videos: int, invalid: int = 0) -> Folder:
    files = {f"{number:03}.mp4": FileType.VIDEO for number in range(videos)}
    broken = {f"{number:03}.part": FileType.INVALID for number in range(invalid)}
    return Folder(files={**files, **broken})
