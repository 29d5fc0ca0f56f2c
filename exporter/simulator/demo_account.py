"""The accounts of the demo: a video CDN whose files come and go, and a tree that is too large."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random

from exporter.simulator.simulated_accounts import SimulatedAccount
from exporter.simulator.storage import FileType, Folder

_GIB = 2**30
_DAY_SECONDS = 86400
_EVENT_SECONDS = (2.0, 6.0)
_KEPT_RECORDINGS = 90
"""A channel keeps as many recordings of a day as this; the oldest goes when one more comes."""

_CHANNELS = ("kanal-1", "kanal-2", "sport", "télé-région", "studio b")
_RECORDED_DAYS = 30
_SERIES = (
    "Ça commence demain",
    "Die Brücke",
    "El Niño y el mar",
    "Küchengeschichten",
    "Late Night (uncut)",
    "Nordlys",
    "Pá & Pé",
    "Smørrebrød!",
    "The 100% Show",
    "Über Land",
    "Żywioły",
    "東京の朝",
)
_TRIAL = "trial"
_TRIAL_SECONDS = 120.0
"""When this CPU user is deleted, from the start on: its rows are gone, those of the past too."""

_INGEST_FOLDERS = 120
_INGEST_FILES = 100
"""Files of each folder: as many as a response shows, so that each folder takes a request."""

_PODCASTS = ("Feierabend", "History, briefly", "Zwei nach Zwölf")


@dataclass(frozen=True, slots=True)
class DemoPath:
    """A path that the demo polls: for these file types, counted by folder to this depth."""

    path: str
    file_types: tuple[str, ...]
    folder_depth: int


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo's account, and what a configuration for it polls."""

    account: SimulatedAccount
    paths: tuple[DemoPath, ...]


@dataclass(frozen=True, slots=True)
class _CpuUser:
    """Bytes at the start, growth a day as a share, and the first day with any (from the start)."""

    bytes_at_start: int
    growth: float
    first_day: int = -10_000


_WHOLE_ACCOUNT = 1.01
"""The bytes of the whole account, as a share of those of its users: some belong to none of them."""

_CPU_USERS: Mapping[str, _CpuUser] = {
    "live-recordings": _CpuUser(2210 * _GIB, 0.009),
    "series": _CpuUser(8450 * _GIB, 0.0025),
    "podcast": _CpuUser(131 * _GIB, 0.004),
    "archiv_2019": _CpuUser(3900 * _GIB, -0.006),
    "beta-4k": _CpuUser(45 * _GIB, 0.05, first_day=-9),
    _TRIAL: _CpuUser(12 * _GIB, 0.001),
}


def build_demo_account(start: float, random: Random) -> Demo:
    """Return the demo as it is at ``start``, unix seconds.

    From then on its files follow the clock that its account is refreshed with: a recording
    arrives every few seconds, and an old one goes now and then. The same seed and the same start
    give the same account at every moment.
    """
    first_day = datetime.fromtimestamp(start, UTC).date()
    storage = Folder()
    for path, file_type in _iter_stored_files(first_day, random):
        storage.add(path, file_type)
    recorder = _Recorder(storage, start, Random(random.random()))  # noqa: S311 (no secret)
    noise_seed = random.getrandbits(32)
    account = SimulatedAccount(
        cdn=158,
        api_key="DEMO4GKLM0RKQLSP2FBO1ROPKSSW47DZE",
        api_secret=f"{random.getrandbits(256):064x}",
        usage=lambda day: _compute_bytes_by_user(
            day, first_day, noise_seed, has_trial=recorder.now < start + _TRIAL_SECONDS
        ),
        storage=storage,
        refresh=recorder.advance,
    )
    return Demo(
        account,
        (
            DemoPath("sestore4/live", ("video", "invalid"), 1),
            DemoPath("sestore4/séries", ("video", "smil"), 1),
            DemoPath("sestore7/podcast", ("audio",), 0),
        ),
    )


def build_ingest_account(random: Random) -> SimulatedAccount:
    """Return an account with one tree, which takes many requests: a poll of it is never quick."""
    return SimulatedAccount(
        cdn=159,
        api_key="DEMO7XQPLR2MNVC4HS9DT0WBKYZJ83FGA",
        api_secret=f"{random.getrandbits(256):064x}",
        storage=_build_ingest_storage(),
    )


INGEST_PATH = "sestore9/ingest"
"""What to poll of that account."""


def _build_ingest_storage() -> Folder:
    storage = Folder()
    for number in range(_INGEST_FOLDERS):
        folder = storage.make(f"{INGEST_PATH}/camera-{number:03}")
        for clip in range(_INGEST_FILES):
            folder.add(f"{clip:04}.mp4", FileType.VIDEO)
    return storage


class _Recorder:
    """Recordings that arrive as the clock goes on, and the old ones that make room for them.

    ``now`` is the time that the storage has reached, unix seconds.
    """

    def __init__(self, storage: Folder, start: float, random: Random) -> None:
        self._storage = storage
        self._random = random
        self.now = start
        self._next = start + random.uniform(*_EVENT_SECONDS)

    def advance(self, now: float) -> None:
        """Bring the storage up to a time, unix seconds; it does not go back."""
        self.now = max(self.now, now)
        while self._next <= now:
            self._record(self._next)
            self._next += self._random.uniform(*_EVENT_SECONDS)

    def _record(self, moment: float) -> None:
        at = datetime.fromtimestamp(moment, UTC)
        channel = self._random.choice(_CHANNELS)
        folder = self._storage.make(_format_recording_folder(channel, at.date()))
        broken = self._random.random() < 0.04  # noqa: PLR2004 (a share of invalid recordings)
        folder.add(f"{channel}_{at:%H%M%S}.mp4", FileType.INVALID if broken else FileType.VIDEO)
        recordings = folder.names("includeinvalid")
        if len(recordings) > _KEPT_RECORDINGS:
            folder.remove(recordings[0])


def _format_recording_folder(channel: str, day: date) -> str:
    return f"sestore4/live/{channel}/{day:%Y-%m-%d}"


def _iter_stored_files(today: date, random: Random) -> Iterator[tuple[str, FileType]]:
    """Return the files that are there at the start: path and type."""
    yield from _iter_recordings(today, random)
    yield from _iter_episodes(random)
    for podcast in _PODCASTS:
        for number in range(1, random.randint(280, 420)):
            yield f"sestore7/podcast/{podcast}/{number:03} {podcast}.mp3", FileType.AUDIO


def _iter_recordings(today: date, random: Random) -> Iterator[tuple[str, FileType]]:
    types = (FileType.VIDEO, FileType.INVALID, FileType.DELETED)
    for channel in _CHANNELS:
        for ago in range(_RECORDED_DAYS):
            folder = _format_recording_folder(channel, today - timedelta(days=ago))
            seconds = random.sample(range(_DAY_SECONDS), random.randint(55, _KEPT_RECORDINGS - 15))
            for second in seconds if ago else seconds[:8]:
                clock = f"{second // 3600:02}{second // 60 % 60:02}{second % 60:02}"
                file_type = random.choices(types, (94, 4, 2))[0]
                yield f"{folder}/{channel}_{clock}.mp4", file_type


def _iter_episodes(random: Random) -> Iterator[tuple[str, FileType]]:
    for series in _SERIES:
        for season in range(1, random.randint(4, 9)):
            folder = f"sestore4/séries/{series}/Saison {season:02}"
            for episode in range(1, random.randint(9, 25)):
                name = f"{folder}/{series} S{season:02}E{episode:02}"
                yield f"{name}.smil", FileType.SMIL
                yield f"{name}.jpg", FileType.OTHER
                for height in (360, 720, 1080):
                    yield f"{name} {height}p.mp4", FileType.VIDEO


def _compute_bytes_by_user(day: date, start: date, seed: int, *, has_trial: bool) -> dict[str, int]:
    """Return the bytes of each CPU user, and under the empty name those of the whole account."""
    since = (day - start).days
    users = {
        name: int(user.bytes_at_start * (1 + user.growth) ** since * _draw_noise(name, day, seed))
        for name, user in _CPU_USERS.items()
        if since >= user.first_day and (has_trial or name != _TRIAL)
    }
    return {"": int(_WHOLE_ACCOUNT * sum(users.values())), **users}


def _draw_noise(name: str, day: date, seed: int) -> float:
    return Random(f"{seed} {name} {day}").uniform(0.994, 1.006)  # noqa: S311 (no secret)
