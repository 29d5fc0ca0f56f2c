"""The envelope decides what a response is, and each failure says its cause and the next step."""

import json

import pytest

from exporter.scaleengine.envelope import MESSAGE_LENGTH, RequestContext, open_envelope
from exporter.scaleengine.errors import (
    ApiError,
    AuthError,
    ClockError,
    ProtocolError,
    RateLimitedError,
    Reason,
    ScaleEngineError,
    ServerError,
    SignatureError,
    TooManyRequestsError,
)
from exporter.scaleengine.message_body import HttpResponse
from tests.support.sentences import (
    ASK_SUPPORT,
    ASK_TO_GRANT,
    CHECK_CLOCK,
    CHECK_URL,
    DENIED_COMMAND,
    FOREIGN_BODY,
    FOREIGN_RESPONSE,
    LOOK_FOR_RELEASE,
    MAPPING_EXPECTED,
    NAME_TWICE,
    REFUSED_KEY,
    REFUSED_SIGNATURE,
    REFUSED_TIME,
    REPORTED_FAILURE,
)

SUPPORT = "it is temporary; if it lasts, ask ScaleEngine's support"
LATER = "wait a few minutes; if it lasts, ask ScaleEngine's support"
LESS = "lower api.requests_per_second, or poll at longer intervals"
KEYS = "check api_key and api_secret of account 'main'"
GRANT = f"{ASK_TO_GRANT} account 'main'"
ASKED = f"check cdn and disk_usage.cpu_users of account 'main', {ASK_SUPPORT}"


def refused(
    status: int, body: object, context: RequestContext, retry_after: float | None = None
) -> ScaleEngineError:
    """Return the error that a response ends in; a body that is no bytes is written as JSON."""
    written = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(ScaleEngineError) as caught:
        open_envelope(HttpResponse(status, written, retry_after=retry_after), context)
    return caught.value


def failure(code: object, message: object = "Debugging message") -> dict[str, object]:
    """Return the envelope of a failure."""
    return {"code": code, "message": message, "status": "failure", "handle_time": "0.1 seconds"}


@pytest.mark.parametrize("status", [200, 201, 400, 401, 404, 429, 500, 503])
def test_success_does_not_depend_on_the_status(context: RequestContext, status: int) -> None:
    """A success is one for any HTTP status, and all its members are kept."""
    response = {
        "status": "success",
        "message": "Found",
        "usage": [{"bytes_total": "7"}],
        "more": None,
    }

    assert open_envelope(HttpResponse(status, json.dumps(response).encode()), context) == response


@pytest.mark.parametrize(
    ("number", "kind", "reason", "sentence"),
    [
        (0, ApiError, "api", f"ScaleEngine does not know the command (0000): {LOOK_FOR_RELEASE}"),
        (
            1,
            AuthError,
            "auth",
            f"{REFUSED_KEY} (0001): check api_key and cdn of account 'main'",
        ),
        (
            2,
            ClockError,
            "clock",
            f"{REFUSED_TIME} (0002): {CHECK_CLOCK}",
        ),
        (
            3,
            SignatureError,
            "signature",
            f"{REFUSED_SIGNATURE} (0003): check api_secret of account 'main'",
        ),
        (4, ServerError, "server", f"ScaleEngine had an unexpected error (0004): {SUPPORT}"),
        (
            5,
            AuthError,
            "auth",
            f"{DENIED_COMMAND} (0005): {GRANT}",
        ),
        (
            6,
            ApiError,
            "api",
            f"ScaleEngine finds a field missing in the request (0006): {LOOK_FOR_RELEASE}",
        ),
        (
            1000,
            RateLimitedError,
            "rate_limited",
            f"ScaleEngine is busy (1000): {LATER}",
        ),
    ],
)
@pytest.mark.parametrize("status", [200, 403, 429, 500])
@pytest.mark.parametrize("form", ["{:04d}", "{}", int])
def test_a_published_code_has_its_meaning_in_any_form(
    context: RequestContext,
    number: int,
    kind: type[ScaleEngineError],
    reason: str,
    sentence: str,
    status: int,
    form: str | type[int],
) -> None:
    """A code means the same as text, as number, without its zeros, and under any HTTP status."""
    code = form.format(number) if isinstance(form, str) else form(number)
    error = refused(status, failure(code), context)

    assert (type(error), error.reason, str(error)) == (kind, Reason(reason), sentence)
    assert error.command == "disk.usage"
    assert sentence == f"{error.cause}: {error.advice}"


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("0999", "0999"),
        (9999, "9999"),
        ("12345", "12345"),
        ("E17", "without a code"),
        ("", "without a code"),
        (None, "without a code"),
        (True, "without a code"),
        (1.5, "without a code"),
        ([], "without a code"),
        ("9" * 400, "without a code"),
    ],
)
def test_an_unpublished_code_is_shown_with_its_message(
    context: RequestContext, code: object, shown: str
) -> None:
    """What the API says beyond its published codes is shown, with its message."""
    error = refused(200, failure(code, "No such\npath"), context)

    assert isinstance(error, ApiError)
    assert str(error) == f"{REPORTED_FAILURE} ({shown}: No such path): {ASKED}"


def test_a_failure_without_code_and_message_is_a_failure(context: RequestContext) -> None:
    """A failure that says nothing more is one."""
    error = refused(200, {"status": "failure"}, context)

    assert error.cause == f"{REPORTED_FAILURE} (without a code: no message)"


STATUSES = [
    (401, AuthError, f"access was denied (HTTP 401: {{}}): {KEYS}"),
    (403, AuthError, f"access was denied (HTTP 403: {{}}): {KEYS}"),
    (429, TooManyRequestsError, f"ScaleEngine got too many requests (HTTP 429: {{}}): {LESS}"),
    (500, ServerError, f"ScaleEngine has a server error (HTTP 500: {{}}): {SUPPORT}"),
    (503, ServerError, f"ScaleEngine has a server error (HTTP 503: {{}}): {SUPPORT}"),
    (599, ServerError, f"ScaleEngine has a server error (HTTP 599: {{}}): {SUPPORT}"),
]


@pytest.mark.parametrize(("status", "kind", "sentence"), STATUSES)
@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b"null", b'{"status": "odd"}'])
def test_the_status_decides_without_an_envelope(
    context: RequestContext, status: int, kind: type[ScaleEngineError], sentence: str, body: bytes
) -> None:
    """Where there is no envelope the HTTP status says what is wrong."""
    error = refused(status, body, context)

    assert type(error) is kind
    assert str(error) == sentence.format(FOREIGN_BODY)


@pytest.mark.parametrize(("status", "kind", "sentence"), STATUSES)
@pytest.mark.parametrize("code", ["4711", None])
def test_the_status_decides_with_an_unknown_code(
    context: RequestContext,
    status: int,
    kind: type[ScaleEngineError],
    sentence: str,
    code: str | None,
) -> None:
    """Where the code of a failure is not published the HTTP status says what is wrong."""
    error = refused(status, failure(code, "Out to lunch"), context)

    assert type(error) is kind
    assert str(error) == sentence.format("Out to lunch")


@pytest.mark.parametrize(
    ("body", "flaw"),
    [
        (b"", "it is empty"),
        (b"<html></html>", "it is not JSON"),
        (b'{"status": "success"', "it is not JSON"),
        (b'a:1:{s:6:"status";s:7:"success";}', "it is not JSON"),
        (b"null", f"its JSON {MAPPING_EXPECTED} null"),
        (b"7", f"its JSON {MAPPING_EXPECTED} a number"),
        (b'"success"', f"its JSON {MAPPING_EXPECTED} a text"),
        (b'[{"status": "success"}]', f"its JSON {MAPPING_EXPECTED} a list"),
        (b"[]", "its member 'status' is neither success nor failure"),
        (b"{}", "its member 'status' is neither success nor failure"),
        (b'{"status": "SUCCESS"}', "its member 'status' is neither success nor failure"),
        (b'{"status": true}', "its member 'status' is neither success nor failure"),
        (b'{"status": null}', "its member 'status' is neither success nor failure"),
        (b'{"status": []}', "its member 'status' is neither success nor failure"),
        (b'{"status": {"success": 1}}', "its member 'status' is neither success nor failure"),
        (b'{"status": "success", "status": "failure"}', NAME_TWICE),
    ],
)
@pytest.mark.parametrize("status", [200, 404, 418])
def test_anything_else_than_an_envelope_is_refused(
    context: RequestContext, body: bytes, flaw: str, status: int
) -> None:
    """Anything that is not the envelope is refused, and the sentence says how it differs."""
    error = refused(status, body, context)

    assert isinstance(error, ProtocolError)
    cause = f"{FOREIGN_RESPONSE} (HTTP {status}): {flaw}"
    assert str(error) == f"{cause}: {CHECK_URL}"


@pytest.mark.parametrize("asked", [None, 0.0, 7.0, 4000.0])
@pytest.mark.parametrize("status", [200, 403, 429, 503])
@pytest.mark.parametrize(
    ("code", "wait"),
    [(0, None), (1, None), (2, None), (3, None), (4, None), (5, None), (6, None), (1000, 120.0)],
)
def test_retry_after_or_the_code_sets_the_wait(
    context: RequestContext, code: int, wait: float | None, status: int, asked: float | None
) -> None:
    """An error asks for the wait that the header names; code 1000 means "a few minutes"."""
    error = refused(status, failure(code), context, retry_after=asked)

    assert error.retry_after == (wait if asked is None else asked)


@pytest.mark.parametrize("asked", [None, 0.0, 7.0, 4000.0])
@pytest.mark.parametrize(
    ("status", "is_applied"), [(401, False), (403, False), (429, True), (500, True), (503, True)]
)
@pytest.mark.parametrize("body", [b"<html></html>", failure("4711"), failure(None)])
def test_retry_after_sets_the_wait_of_a_transient_status(
    context: RequestContext,
    status: int,
    is_applied: bool,  # noqa: FBT001 - a column of the table
    body: object,
    asked: float | None,
) -> None:
    """Where the HTTP status decides, only a transient failure has a wait."""
    error = refused(status, body, context, retry_after=asked)

    assert error.retry_after == (asked if is_applied else None)


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b""), (404, b"<html></html>"), (307, b""), (200, failure("4711")), (404, failure(None))],
)
def test_a_permanent_failure_has_no_wait(
    context: RequestContext, status: int, body: object
) -> None:
    """A permanent failure has no wait."""
    assert refused(status, body, context, retry_after=7.0).retry_after is None


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308, 399])
@pytest.mark.parametrize("body", [b"", b'{"status": "success"}', b'{"status": "failure"}'])
def test_redirects_are_refused(context: RequestContext, status: int, body: bytes) -> None:
    """A redirect is never a response, for any body."""
    error = refused(status, body, context)

    assert isinstance(error, ProtocolError)
    assert str(error) == (
        f"ScaleEngine sent a redirect (HTTP {status}), which would carry the key elsewhere: "
        "check api.url"
    )


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("secret", ["APX4GKLM0RKQLSP2FBO1ROPKSSW47DZE", "8fc8c48da81e"])
def test_secrets_in_a_message_are_redacted(status: int, secret: str) -> None:
    """A message that repeats the key or the secret is shown without it, wherever it stands."""
    context = RequestContext(
        "main", "disk.usage", secrets=("APX4GKLM0RKQLSP2FBO1ROPKSSW47DZE", "8fc8c48da81e")
    )
    error = refused(status, failure("4711", f"{secret} and x{secret}{secret}."), context)

    assert secret not in str(error)
    assert "*** and x******." in str(error)
    assert secret not in repr(error)


def test_a_secret_that_contains_the_key_is_redacted_whole() -> None:
    """Where the key is a part of the secret, no other part of the secret is shown either."""
    context = RequestContext("main", "disk.usage", secrets=("ABCD", "ABCDEFGH"))
    error = refused(200, failure("4711", "not ABCDEFGH, not ABCD"), context)

    assert "(4711: not ***, not ***)" in str(error)


def test_a_message_is_redacted_before_it_is_cut(context: RequestContext) -> None:
    """Secrets are masked before the message is shortened, so that no half of one is left."""
    secret = context.secrets[1]
    error = refused(200, failure("4711", "x" * (MESSAGE_LENGTH - 10) + secret), context)

    assert f"{'x' * 10}***)" in str(error)
    assert secret[:10] not in str(error)


def test_an_empty_secret_redacts_nothing() -> None:
    """An empty secret masks nothing."""
    context = RequestContext("main", "disk.usage", secrets=("", ""))

    assert "(4711: hello)" in str(refused(200, failure("4711", "hello"), context))


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 200 + "…"),
        ("x" * 10**6, "x" * 200 + "…"),
        ("one\r\ntwo\tthree", "one  two three"),
        ("\x1b[31mred\x07\x00", " [31mred  "),
        ("a\u2028b\u202ec\u200bd", "a b c d"),
        ("half \ud800", "half  "),
        ("größer {account}", "größer {account}"),
        ("", "no message"),
        (None, "no message"),
        (7, "no message"),
        (["text"], "no message"),
    ],
)
def test_a_message_is_one_short_line(context: RequestContext, message: object, shown: str) -> None:
    """A message is shown as one short line of visible characters."""
    assert f"(4711: {shown})" in str(refused(200, failure("4711", message), context))


def test_an_odd_account_name_is_shown_as_written() -> None:
    """An account's name is shown as it is written, braces and all."""
    context = RequestContext("{account}'s {0}", "disk.usage", secrets=())

    assert str(refused(200, failure("0003"), context)).endswith('''"{account}'s {0}"''')


def test_the_text_of_a_request_context_has_no_secret(context: RequestContext) -> None:
    """The text of a question does not show what it is there to hide."""
    assert not any(secret in repr(context) for secret in context.secrets)


@pytest.mark.parametrize(
    "echo",
    [
        "AB/cd+e==&",
        "AB\\/cd+e==&",
        "AB%2Fcd%2Be%3D%3D%26",
        "ab%2fcd%2be%3d%3d%26",
        "AB/cd+e==&amp;",
        '{"api_key":"AB\\/cd+e==&"}',
    ],
)
def test_every_spelling_of_a_secret_is_redacted(echo: str) -> None:
    """A secret is hidden in every spelling that an echo of the request may have."""
    context = RequestContext("main", "disk.usage", secrets=("AB/cd+e==&",))
    body = json.dumps({"status": "failure", "code": "0099", "message": f"bad: {echo}"}).encode()
    with pytest.raises(ApiError) as caught:
        open_envelope(HttpResponse(200, body), context)
    assert "cd" not in str(caught.value).lower().replace("code", "").replace("cdn", "")
    assert "***" in str(caught.value)
