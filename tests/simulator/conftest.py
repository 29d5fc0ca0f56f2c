"""An account, a simulator with a clock that does not move, and ways to send requests."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest
import requests

from exporter.scaleengine.signing import sign_request
from exporter.simulator import FileType, Folder, SimulatedAccount, Simulator, steady_usage
from tests.support.credentials import KEY, SECRET
from tests.support.fixtures import ListFiles, PostText, SendCommand, SignCommand

NOW = 1415700000.0
"""2014-11-11 10:00 UTC."""


@pytest.fixture
def account() -> SimulatedAccount:
    """Return an account with the published key, two CPU users and a small tree."""
    folder = Folder(
        files={"b.mp4": FileType.VIDEO, "a.mp4": FileType.VIDEO, "song.mp3": FileType.AUDIO},
        folders={
            "empty": Folder(),
            "season 1": Folder(files={f"{number}.mp4": FileType.VIDEO for number in range(4)}),
            "season 2": Folder(files={"é.mp4": FileType.VIDEO}),
        },
    )
    return SimulatedAccount(
        cdn=158,
        api_key=KEY,
        api_secret=SECRET,
        usage=steady_usage({"": 1024, "web": 2048}),
        storage=Folder(folders={"sestore4": Folder(folders={"jb": folder})}),
    )


@pytest.fixture
def simulator(account: SimulatedAccount) -> Iterator[Simulator]:
    """Run a simulator for the account, at 2014-11-11 10:00 UTC."""
    with Simulator([account], clock=lambda: NOW) as running:
        yield running


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """Return a session that goes through no proxy, also where the environment names one."""
    with requests.Session() as direct:
        direct.trust_env = False
        yield direct


@pytest.fixture
def post(session: requests.Session) -> PostText:
    """Return a function that posts the text of a json field: by urlencoded form, no redirect."""

    def send(url: str, text: str, timeout: float = 60.0) -> requests.Response:
        return session.post(url, data={"json": text}, timeout=timeout, allow_redirects=False)

    return send


@pytest.fixture
def signed() -> SignCommand:
    """Return a function that signs a request as the published key; no two are the same."""
    moments = count(int(NOW))

    def sign(command: str, *, secret: str = SECRET, **fields: str | int | list[str]) -> str:
        every: dict[str, str | int | list[str]] = {
            "command": command,
            "api_key": KEY,
            "timestamp": next(moments),
            "cdn": 158,
        }
        return sign_request({**every, **fields}, secret)

    return sign


@pytest.fixture
def ask(
    simulator: Simulator,
    post: PostText,
    signed: SignCommand,
) -> SendCommand:
    """Return a function that sends a signed request to the simulator and decodes the response."""

    def call(command: str, **fields: str | int | list[str]) -> dict[str, object]:
        text = signed(command, secret=SECRET, **fields)
        response: dict[str, object] = post(simulator.url, text).json()
        return response

    return call


@pytest.fixture
def list_files(simulator: Simulator, post: PostText, signed: SignCommand) -> ListFiles:
    """Return a function that asks for the listing of sestore4/jb."""

    def call(offset: int = 0, timeout: float = 60.0) -> requests.Response:
        text = signed("files.list", path="sestore4/jb", offset=offset)
        return post(simulator.url, text, timeout)

    return call


@pytest.fixture
def usage(
    simulator: Simulator, post: PostText, signed: SignCommand
) -> Callable[[], requests.Response]:
    """Return a function that asks for the usage of one day."""

    def call() -> requests.Response:
        return post(simulator.url, signed("disk.usage", cpu="web", starttime="2014-11-11"))

    return call
