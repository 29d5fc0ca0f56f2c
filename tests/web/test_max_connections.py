"""How many descriptors the process has, and how many of them connections may take."""

import resource

import pytest

from exporter.web.acceptor import find_max_connections, raise_fd_limit


@pytest.mark.parametrize(
    ("limit", "room"),
    [
        (256, 192),
        (512, 384),
        (1024, 512),
        (1_048_576, 512),
        (resource.RLIM_INFINITY, 512),
        (1, 1),
    ],
)
def test_a_quarter_of_the_descriptors_is_reserved(
    monkeypatch: pytest.MonkeyPatch, limit: int, room: int
) -> None:
    """A quarter is kept for other work; 512 are enough."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert find_max_connections() == room


def test_the_soft_limit_is_raised_to_the_hard_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The soft limit becomes the hard one, which stays."""
    limits = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda *given: limits.append(given))
    raise_fd_limit()
    assert limits == [(resource.RLIMIT_NOFILE, (4096, 4096))]
