"""What a request must have: its form, its fields, its key, its signature and its time."""

import json

import pytest
import requests

from exporter.scaleengine.signing import compute_signature, sign_request
from exporter.simulator import Behaviour, Checks, SignatureCheck, SimulatedAccount, Simulator
from exporter.simulator.protocol import SeenSignatures
from tests.support.api_variants import ApiVariant
from tests.support.credentials import SECRET
from tests.support.fixtures import PostText, SignCommand

LISTING: dict[str, str | int] = {
    "command": "files.list",
    "api_key": "APX4GKLM0RKQLSP2FBO1ROPKSSW47DZE",
    "timestamp": 1415700000,
    "cdn": 158,
    "path": "sestore4/jb",
}


def without(name: str) -> str:
    """Return a signed listing request that lacks a field."""
    return sign_request({key: value for key, value in LISTING.items() if key != name}, SECRET)


def changed(**fields: str | int) -> str:
    """Return a signed listing request with other fields."""
    return sign_request({**LISTING, **fields}, SECRET)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param("", "0006", id="an empty text"),
        pytest.param("{", "0006", id="no JSON"),
        pytest.param("[]", "0006", id="a list"),
        pytest.param("null", "0006", id="null"),
        pytest.param("[" * 10_000, "0006", id="deep nesting"),
        *(
            pytest.param(without(name), "0006", id=f"no {name}")
            for name in ("command", "api_key", "timestamp", "cdn", "path")
        ),
        pytest.param(json.dumps(LISTING), "0006", id="no signature"),
        pytest.param(changed(command="files.delete"), "0000", id="an unknown command"),
        pytest.param(changed(api_key="OTHER"), "0001", id="an unknown key"),
        pytest.param(changed(cdn=159), "0001", id="the key of another account"),
        pytest.param(changed(cdn="none"), "0001", id="a cdn that is no number"),
        pytest.param(changed(timestamp=1415700301), "0002", id="a clock ahead"),
        pytest.param(changed(timestamp=1415699699), "0002", id="a clock behind"),
        pytest.param(changed(timestamp="now"), "0002", id="a timestamp that is no number"),
        pytest.param(sign_request(LISTING, "wrong"), "0003", id="a wrong secret"),
        pytest.param(changed(path="sestore4/none"), "", id="an unknown path"),
        pytest.param(changed(path="/etc"), "", id="a path without a store"),
        pytest.param(changed(type="pictures"), "", id="an unknown type"),
        pytest.param(changed(offset=-1), "", id="a negative offset"),
        pytest.param(changed(offset="many"), "", id="an offset that is no number"),
        pytest.param(changed(command="disk.usage"), "0006", id="disk.usage without cpu"),
        pytest.param(
            changed(command="disk.usage", cpu="", starttime="soon"), "", id="a bad starttime"
        ),
    ],
)
def test_a_bad_request_gets_its_code(
    simulator: Simulator, post: PostText, text: str, code: str
) -> None:
    """Each defect has its code, in an envelope with a message, and recorded.

    No code is published for a path that does not exist, so that the simulator gives none.
    """
    response = post(simulator.url, text)

    assert response.status_code == 200
    assert response.json()["status"] == "failure"
    assert response.json().get("code") == (code or None)
    assert response.json()["message"]
    assert simulator.requests[-1].code == code


@pytest.mark.parametrize("timestamp", [1415700000, 1415700300, 1415699700, "1415700000"])
def test_a_timestamp_within_the_window_passes(
    simulator: Simulator, post: PostText, timestamp: int | str
) -> None:
    """Up to 300 seconds either way are no fault, as number or as text."""
    assert post(simulator.url, changed(timestamp=timestamp)).json()["status"] == "success"


def test_the_window_can_be_narrower(simulator: Simulator, post: PostText) -> None:
    """The window is a setting."""
    simulator.behave(Behaviour(checks=Checks(window=10)))

    assert post(simulator.url, changed(timestamp=1415700011)).json()["code"] == "0002"
    assert post(simulator.url, changed(timestamp=1415700010)).json()["status"] == "success"


def test_the_date_header_has_the_simulators_time(simulator: Simulator, post: PostText) -> None:
    """A client can see by the response how far off its own clock is."""
    response = post(simulator.url, changed(timestamp=1))

    assert response.headers["Date"] == "Tue, 11 Nov 2014 10:00:00 GMT"


def test_a_signed_text_is_accepted_once(
    simulator: Simulator, post: PostText, signed: SignCommand
) -> None:
    """A replayed request is refused like a wrong time; a fresh one passes."""
    text = signed("files.list", path="sestore4/jb")

    codes = [post(simulator.url, text).json().get("code") for _ in range(2)]
    fresh = post(simulator.url, signed("files.list", path="sestore4/jb"))
    assert codes == [None, "0002"]
    assert fresh.json()["status"] == "success"


def test_replays_can_be_allowed(simulator: Simulator, post: PostText) -> None:
    """Benchmarks may send one signed text again and again."""
    simulator.behave(Behaviour(checks=Checks(replay=False)))

    statuses = {post(simulator.url, changed()).json()["status"] for _ in range(3)}
    assert statuses == {"success"}


def test_signatures_are_forgotten_when_their_time_is_over() -> None:
    """Memory is bounded: what its timestamp alone refuses is not remembered."""
    seen = SeenSignatures()

    assert seen.is_new("a", now=0, window=300)
    assert seen.is_new("b", now=600, window=300)
    assert not seen.is_new("a", now=600, window=300)
    assert seen.is_new("c", now=601, window=300)
    assert len(seen) == 2


PYTHONS_OWN = json.dumps(LISTING, separators=(",", ":"))
REORDERED = (
    sign_request(LISTING, SECRET).replace(',"path":"sestore4\\/jb"', "", 1).removesuffix("}")
    + ',"path":"sestore4\\/jb"}'
)


@pytest.mark.parametrize(
    ("check", "passes"),
    [
        (SignatureCheck.BOTH, False),
        (SignatureCheck.RECEIVED_TEXT, True),
        (SignatureCheck.ENCODED_AGAIN, False),
    ],
)
def test_json_that_is_not_phps_own_passes_one_way_only(
    simulator: Simulator, post: PostText, check: SignatureCheck, *, passes: bool
) -> None:
    """A text with a bare slash is what was signed, but not what PHP would encode again."""
    simulator.behave(Behaviour(checks=Checks(signature=check)))
    text = f'{PYTHONS_OWN[:-1]},"signature":"{compute_signature(PYTHONS_OWN, SECRET)}"}}'

    assert (post(simulator.url, text).json().get("code") is None) is passes


@pytest.mark.parametrize(
    ("check", "passes"),
    [
        (SignatureCheck.BOTH, False),
        (SignatureCheck.RECEIVED_TEXT, False),
        (SignatureCheck.ENCODED_AGAIN, True),
    ],
)
def test_a_signature_that_is_not_last_passes_one_way_only(
    simulator: Simulator, post: PostText, check: SignatureCheck, *, passes: bool
) -> None:
    """A signature before the last field can't be cut off the end, but can be dropped."""
    simulator.behave(Behaviour(checks=Checks(signature=check)))

    assert (post(simulator.url, REORDERED).json().get("code") is None) is passes


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_post_is_understood(
    simulator: Simulator, session: requests.Session, method: str
) -> None:
    """Any other method is a request without its json field."""
    response = session.request(method, simulator.url, timeout=60)

    assert response.json()["code"] == "0006"


@pytest.mark.parametrize(
    "form",
    [
        pytest.param({"data": {"text": "{}"}}, id="another field"),
        pytest.param({"json": LISTING}, id="a JSON body"),
        pytest.param({"files": {"json": ("name", "{}")}}, id="a file"),
        pytest.param(
            {"data": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=y"}},
            id="a broken multipart body",
        ),
    ],
)
def test_other_forms_are_a_missing_field(
    simulator: Simulator, session: requests.Session, form: dict[str, dict[str, str]]
) -> None:
    """A POST without a form field json gets the response of PHP."""
    response = session.post(simulator.url, timeout=60, **form)  # type: ignore[arg-type]  # any form

    assert response.json()["code"] == "0006"


def test_multipart_works_as_in_the_published_sample(
    simulator: Simulator, session: requests.Session, signed: SignCommand
) -> None:
    """PHP's curl sends multipart, and that is understood like urlencoded."""
    text = signed("files.list", path="sestore4/jb/season 2")
    response = session.post(simulator.url, files={"json": (None, text)}, timeout=60)

    assert response.json()["data"] == {
        "sestore4/jb/season 2": [{"__files": ["é.mp4"], "__is_loaded": 1}]
    }


def test_each_account_has_its_own_key_and_files(account: SimulatedAccount, post: PostText) -> None:
    """Each account has its own key, secret and files; a key is good for its CDN only."""
    other = SimulatedAccount(cdn=7, api_key="KEY7", api_secret="secret7")
    with Simulator([account, other], clock=lambda: 1415700000.0) as simulator:

        def code(cdn: int, key: str, secret: str) -> object:
            fields: dict[str, str | int] = {"command": "disk.usage", "cpu": "", "starttime": 0}
            who: dict[str, str | int] = {"api_key": key, "cdn": cdn, "timestamp": 1415700000}
            text = sign_request({**fields, **who}, secret)
            return post(simulator.url, text).json().get("code")

        assert code(7, "KEY7", "secret7") is None
        assert code(158, account.api_key, SECRET) is None
        assert code(158, "KEY7", "secret7") == "0001"
        assert code(7, "KEY7", SECRET) == "0003"


def test_the_failure_can_have_a_status_of_its_own(simulator: Simulator, post: PostText) -> None:
    """A server may report failures by HTTP too."""
    simulator.behave(Behaviour(variant=ApiVariant(telling_status=True)))

    assert post(simulator.url, changed(cdn=159)).status_code == 401
    assert post(simulator.url, changed(path="sestore4/none")).status_code == 404
    assert post(simulator.url, changed()).status_code == 200
