"""The examples on the API's pages: their requests as PHP signed them, and their responses."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from exporter.simulator import (
    Behaviour,
    FileType,
    Folder,
    SimulatedAccount,
    Simulator,
    usage_from_days,
)
from tests.support.api_variants import ApiVariant, Content, FileCount, LoadFlagPlacement
from tests.support.credentials import KEY, SECRET
from tests.support.fixtures import PostText, SignCommand

SIGNED_AT = 1698357373.0

DISK_USAGE = (
    '{"command":"disk.usage","api_key":"APX4GKLM0RKQLSP2FBO1ROPKSSW47DZE",'
    '"timestamp":1698357373,"cdn":158,"cpu":"","starttime":1695765373,'
    '"signature":"EUmIHpQy3g3b0E+Wa2DJ8Xuw2FuEA48L6FdZEgh35A8="}'
)
FILES_LIST = (
    '{"command":"files.list","api_key":"APX4GKLM0RKQLSP2FBO1ROPKSSW47DZE",'
    '"timestamp":1698357373,"cdn":158,"path":"sestore4\\/jb","type":"video","offset":25,'
    '"signature":"KToPMHj7DwyrmSv6T5zwm37osxzzi214M1rBgXVVAgY="}'
)
SIGNED_BY_PHP = json.loads(
    (Path(__file__).parent.parent / "scaleengine" / "signatures.json").read_text()
)["cases"]

PUBLISHED_DAYS = usage_from_days({date(2014, 11, 10): {"": 1024}, date(2014, 11, 11): {"": 1024}})
EARLIER = {f"m{number:02}.mp4": FileType.VIDEO for number in range(25)}


@pytest.fixture
def published() -> Iterator[Simulator]:
    """Run a simulator for the published account, as of the moment of the signed examples."""
    storage = Folder(
        folders={
            "sestore4": Folder(folders={"jb": Folder({**EARLIER, "movie.mp4": FileType.VIDEO})})
        }
    )
    for name in ("movie2.mp4", "z.mp4"):
        storage.add(f"sestore4/jb/folder1/{name}")
    account = SimulatedAccount(158, KEY, SECRET, usage=PUBLISHED_DAYS, storage=storage)
    variant = ApiVariant(
        content=Content.BESIDE_MESSAGE,
        loaded=LoadFlagPlacement.NOT_ON_ROOT,
        file_count=FileCount.RESPONSE,
        files_per_answer=2,
    )
    behaviour = Behaviour(latency=0.001, variant=variant)
    with Simulator([account], behaviour, clock=lambda: SIGNED_AT) as running:
        yield running


def test_the_listing_sample_gets_the_published_response(
    published: Simulator, post: PostText
) -> None:
    """files.list of sestore4/jb from 25 on returns what its page shows."""
    response = post(published.url, FILES_LIST).json()

    assert response.pop("handle_time") == "0.0010 seconds"
    assert response == {
        "sestore4/jb": [
            {
                "folder1": [
                    {
                        "__files": ["movie2.mp4"],
                        "__is_loaded": -1,
                        "__offset": 1,
                        "__file_count": 1,
                    }
                ],
                "__files": ["movie.mp4"],
            }
        ],
        "message": "Found Files List Data",
        "status": "success",
    }


def test_the_usage_sample_gets_the_published_rows(
    published: Simulator, post: PostText, signed: SignCommand
) -> None:
    """disk.usage returns the page's two rows in a request for thirty days around them.

    The page's own starttime is in 2023, its rows are of 2014: no one call gives both.
    """
    text = signed("disk.usage", cpu="", starttime="2014-11", timestamp=int(SIGNED_AT))
    response = post(published.url, text).json()

    assert response.pop("handle_time") == "0.0010 seconds"
    assert response == {
        "message": "Found Disk Data",
        "usage": [
            {"summary_date": "2014-11-10", "cpu_user": "", "bytes_total": 1024},
            {"summary_date": "2014-11-11", "cpu_user": "", "bytes_total": 1024},
        ],
        "status": "success",
    }


def test_the_usage_request_as_published_is_accepted(published: Simulator, post: PostText) -> None:
    """The page's request, its starttime and all, is signed well; those days have no rows."""
    response = post(published.url, DISK_USAGE).json()

    assert (response["status"], response["usage"]) == ("success", [])


@pytest.mark.parametrize("case", SIGNED_BY_PHP, ids=lambda case: str(case["name"]))
def test_what_php_signed_passes_both_ways_of_checking(
    published: Simulator, post: PostText, case: dict[str, str]
) -> None:
    """No request that PHP encoded and signed is refused for its key, its time or its signature."""
    post(published.url, case["request_text"])

    call = published.requests[-1]
    assert call.code in (None, "")
    assert call.has_key
