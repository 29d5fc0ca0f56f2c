"""Errors that come from a limit of the process or the machine are recognized, and named."""

import errno
import os
import resource
import threading

import pytest

from exporter.process.resource_limits import find_resource_limit
from tests.support.sentences import NO_MEMORY, THREAD_LIMIT, TOO_MANY_FILES

NO_THREAD = "can't start new thread"
LIMITS = {
    resource.RLIMIT_NOFILE: 256,
    resource.RLIMIT_NPROC: 14,
    resource.RLIMIT_AS: resource.RLIM_INFINITY,
}


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """Set limits for the texts, by their numbers."""
    limits = dict(LIMITS)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limits[which], limits[which]))
    return limits


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(errno.EMFILE, ""), f"{TOO_MANY_FILES} (limit 256)"),
        (OSError(errno.ENFILE, ""), "this machine has too many open files"),
        (OSError(errno.ENOMEM, ""), NO_MEMORY),
        (MemoryError(), NO_MEMORY),
        (
            ImportError(f"libssl.so: {os.strerror(errno.ENOMEM)}"),
            NO_MEMORY,
        ),
        (
            ImportError("x.so: failed to map segment from shared object"),
            NO_MEMORY,
        ),
        (OSError(errno.ENOBUFS, ""), "this machine has no memory left for connections"),
        (OSError(errno.ENOSPC, ""), "no space is left on a disk"),
        (OSError(errno.EDQUOT, ""), "no space is left on a disk"),
        (
            RuntimeError(NO_THREAD),
            f"{THREAD_LIMIT} (limit 14 of its user)",
        ),
    ],
    ids=repr,
)
def test_each_limit_is_named_with_its_number(
    limits: dict[int, int], error: BaseException, cause: str
) -> None:
    """Each limit is named with its number, and with the setting that raises it."""
    assert limits
    found = find_resource_limit(error)

    assert found is not None
    assert found.cause == cause
    assert found.advice
    assert str(found) == f"{cause}: {found.advice}"


def test_a_memory_limit_is_named_for_threads(limits: dict[int, int]) -> None:
    """Where memory is limited its limit is named: a thread needs memory, too."""
    limits[resource.RLIMIT_AS] = 400 * 2**20
    causes = [find_resource_limit(error) for error in (MemoryError(), RuntimeError(NO_THREAD))]

    assert [found.cause for found in causes if found] == [
        f"{NO_MEMORY} (limit 400 MiB)",
        f"{THREAD_LIMIT} (limit 14 of its user, 400 MiB of memory)",
    ]


@pytest.mark.parametrize(
    "error",
    [
        OSError(),
        OSError(errno.ECONNREFUSED, ""),
        OSError(errno.EAGAIN, ""),
        TimeoutError(),
        RuntimeError("can't start new thread at interpreter shutdown"),
        RecursionError(),
        ImportError("No module named x"),
        ValueError(NO_THREAD),
    ],
    ids=repr,
)
def test_other_errors_are_no_limit(error: BaseException) -> None:
    """What comes from something else is none of these."""
    assert find_resource_limit(error) is None


@pytest.mark.parametrize(
    ("cause", "suppress", "found"),
    [(True, True, True), (False, False, True), (False, True, False)],
)
def test_a_limit_is_found_among_the_causes_of_an_error(
    *, cause: bool, suppress: bool, found: bool
) -> None:
    """An error that comes from a limit is one of the limit, unless that was left out on purpose."""
    limit, error = OSError(errno.EMFILE, ""), ValueError()
    error.__cause__ = limit if cause else None
    error.__context__ = limit
    error.__suppress_context__ = suppress

    assert (find_resource_limit(error) is not None) == found


def test_an_error_for_a_thread_is_recognized() -> None:
    """An error of this Python for a thread that cannot be started is recognized."""
    before = threading.stack_size(2**46)  # more than there is
    try:
        with pytest.raises(RuntimeError) as caught:
            threading.Thread().start()
    finally:
        threading.stack_size(before)

    assert find_resource_limit(caught.value) is not None
