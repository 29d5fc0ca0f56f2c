"""The demo's account: believable, the same for a seed, and alive."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from exporter.scaleengine.signing import sign_request
from exporter.simulator import Simulator
from exporter.simulator.demo_account import (
    INGEST_PATH,
    Demo,
    build_demo_account,
    build_ingest_account,
)
from tests.support.fixtures import PostText

START = 1792000000.0
TODAY = datetime.fromtimestamp(START, UTC).date()


def new_demo(seed: int) -> Demo:
    """Return a demo at its start."""
    return build_demo_account(START, Random(seed))


@pytest.fixture(scope="module")
def demo() -> Demo:
    """Return the demo at its start; tests that change it make their own."""
    return new_demo(1)


def test_the_demo_has_tens_of_thousands_of_files_of_many_types(demo: Demo) -> None:
    """The tree is that of a video CDN: mostly videos, some of each other type."""
    storage = demo.account.storage

    assert storage.count("video") > 10_000
    assert 10_000 < storage.count("includeinvalid") < 100_000
    for listed in ("audio", "smil", "invalid", "deleted"):
        assert storage.count(listed) > 100
    assert storage.count_folders() > 200


def test_names_have_spaces_accents_and_other_scripts(demo: Demo) -> None:
    """Accents, spaces, other scripts and signs that URLs and patterns give a meaning."""
    names = " ".join(demo.account.storage.walk("video"))

    for piece in ("é", "東京", "100%", "(uncut)", "& ", "Saison 01/"):
        assert piece in names


def test_every_path_to_poll_has_files_of_its_types(demo: Demo) -> None:
    """What a configuration of the demo polls is there."""
    for polled in demo.paths:
        folder = demo.account.storage.find(polled.path)
        assert folder is not None
        assert polled.folder_depth >= 0
        for file_type in polled.file_types:
            assert folder.count(file_type) > 0


def test_cpu_users_grow_shrink_and_appear(demo: Demo) -> None:
    """Within a month one user's bytes grow, one's shrink, one user is new, each day is steady."""
    before = demo.account.usage(TODAY - timedelta(days=29))
    now = demo.account.usage(TODAY)

    assert now["live-recordings"] > 1.15 * before["live-recordings"]
    assert now["archiv_2019"] < 0.9 * before["archiv_2019"]
    assert set(now) - set(before) == {"beta-4k"}
    assert now == demo.account.usage(TODAY)
    assert min(now.values()) > 0


@pytest.mark.parametrize("ago", [0, 1, 9, 10, 29])
def test_the_empty_cpu_user_is_the_whole_account(demo: Demo, ago: int) -> None:
    """On each day it has the bytes of all users, of those too that have just begun."""
    users = dict(demo.account.usage(TODAY - timedelta(days=ago)))
    whole = users.pop("")

    assert sum(users.values()) < whole < 1.02 * sum(users.values())
    assert len(users) == (6 if ago < 10 else 5)


def test_a_cpu_user_is_deleted_while_the_demo_runs() -> None:
    """Two minutes after the start it has no row of any day; the whole account has less."""
    own = new_demo(1)
    before = own.account.usage(TODAY)
    own.account.refresh(START + 119)
    assert own.account.usage(TODAY) == before
    own.account.refresh(START + 121)
    after = own.account.usage(TODAY)

    assert set(before) - set(after) == {"trial"}
    assert after[""] < before[""]
    assert "trial" not in own.account.usage(TODAY - timedelta(days=29))


def test_an_account_takes_many_requests() -> None:
    """The tree that is polled too often has over a hundred responses' worth of files."""
    folder = build_ingest_account(Random(1)).storage.find(INGEST_PATH)

    assert folder is not None
    assert folder.count("video") == 12_000


def test_recordings_arrive_every_few_seconds(demo: Demo) -> None:
    """In five minutes dozens of recordings have come, under today's folders."""
    own = new_demo(1)
    before = set(demo.account.storage.walk("includeinvalid"))
    own.account.refresh(START + 300)
    new = set(own.account.storage.walk("includeinvalid")) - before

    assert 50 <= len(new) <= 150
    assert all(f"/{TODAY:%Y-%m-%d}/" in path for path in new)


def test_old_recordings_make_room() -> None:
    """A channel's day does not grow without end: the first recordings go."""
    own = new_demo(1)
    before = set(own.account.storage.walk("includeinvalid"))
    own.account.refresh(START + 4 * 3600)
    after = set(own.account.storage.walk("includeinvalid"))

    assert before - after
    today = own.account.storage.find(f"sestore4/live/kanal-1/{TODAY:%Y-%m-%d}")
    assert today is not None
    assert today.count("includeinvalid") <= 90


def test_a_seed_gives_the_same_account() -> None:
    """At one moment two demos of one seed are equal, whether asked often or once."""
    often, once = (new_demo(7) for _ in range(2))
    for seconds in range(0, 600, 5):
        often.account.refresh(START + seconds)
    once.account.refresh(START + 595)

    assert list(often.account.storage.walk("valid")) == list(once.account.storage.walk("valid"))
    assert often.account.api_secret == once.account.api_secret
    assert often.account.usage(TODAY) == once.account.usage(TODAY)


def test_the_demo_account_is_served_by_the_protocol(demo: Demo, post: PostText) -> None:
    """Its key and secret are good for a request by the protocol."""
    account = demo.account
    fields: dict[str, str | int] = {
        "command": "files.list",
        "api_key": account.api_key,
        "timestamp": int(START),
        "cdn": account.cdn,
        "path": demo.paths[0].path,
    }
    with Simulator([account], clock=lambda: START) as simulator:
        response = post(simulator.url, sign_request(fields, account.api_secret)).json()

    assert response["status"] == "success"
    assert list(response["data"]) == [demo.paths[0].path]
