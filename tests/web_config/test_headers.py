"""The headers that responses are given."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.web_config.conftest import Site

HEADERS = {
    "Content-Security-Policy": "default-src 'none'",
    "X-Frame-Options": "deny",
    "X-Content-Type-Options": "nosniff",
    "X-XSS-Protection": "1; mode=block",
    "Strict-Transport-Security": "max-age=31536000",
}
HASH = "$2b$04$......................8QPuF36SqwZ1d9QO3taNcRXHOtLxpvS"


def test_every_response_has_the_headers(serve: Callable[[str], "Site"]) -> None:
    """A page, a path that is none, a wrong method and a refusal have all five."""
    lines = "".join(f'    {name}: "{value}"\n' for name, value in HEADERS.items())
    text = f"http_server_config:\n  headers:\n{lines}"
    site = serve(text)
    responses = [site.ask(), site.ask("/nowhere"), site.ask(method="POST")]
    site = serve(f"{text}basic_auth_users: {{jane: {HASH}}}\n")
    responses.append(site.ask())
    assert [response.status for response in responses] == [200, 404, 405, 401]
    for response in responses:
        assert {name: response.headers[name] for name in HEADERS} == HEADERS


def test_an_empty_header_is_not_sent(serve: Callable[[str], "Site"]) -> None:
    """As in the toolkit's page: unset if blank."""
    site = serve("http_server_config: {headers: {X-XSS-Protection: '', X-Frame-Options: ''}}\n")
    headers = site.ask().headers
    assert not {"X-XSS-Protection", "X-Frame-Options"} & set(headers)
