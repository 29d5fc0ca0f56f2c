"""What the families of the disk usage are called, and which quota a CPU user has.

A history writes the same families without prometheus_client.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias

Quotas: TypeAlias = Mapping[str, Mapping[str, int]]
"""Bytes by account and CPU user; the user ``*`` is for users without a quota of their own."""

EVERY_OTHER: Final = "*"
_EMPTY_NAME: Final = ""


class Description(NamedTuple):
    """The name of a family, and its HELP text."""

    name: str
    help: str


DISK_USAGE: Final = Description(
    "scaleengine_disk_usage_bytes",
    "Bytes on disk of a CPU user on the newest day that ScaleEngine gives "
    "(disk.usage, bytes_total), as of the last poll. ScaleEngine does not document what an "
    "empty cpu_user means.",
)
DISK_USAGE_DAY: Final = Description(
    "scaleengine_disk_usage_day_timestamp_seconds",
    "Start (00:00 UTC) of the day of scaleengine_disk_usage_bytes "
    "(disk.usage, summary_date), as of the last poll.",
)
DISK_QUOTA: Final = Description(
    "scaleengine_disk_quota_bytes", "Bytes that a CPU user may store, as configured."
)


def find_quota(quotas: Mapping[str, int], cpu_user: str) -> int | None:
    """Return the quota of a CPU user in bytes, by the quotas of its account; None without one.

    The quota of every other user does not apply to an empty name: it may be no user.
    """
    if cpu_user in quotas or cpu_user == _EMPTY_NAME:
        return quotas.get(cpu_user)
    return quotas.get(EVERY_OTHER)
