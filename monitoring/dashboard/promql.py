"""The PromQL that panels share: gauges now and before, the largest of them, totals and forecasts.

Every gauge is the `max by` of its own labels: two exporters that poll one account show it once.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

ACCOUNT: Final = 'account=~"$account"'
USER: Final = f'{ACCOUNT},cpu_user=~"$cpu_user"'
PATH: Final = f'{ACCOUNT},path=~"$path",file_type=~"$file_type"'
TARGET_LABELS: Final = "account, collector, path, file_type"

_NESTING: Final = 3
"""How many levels below another path a path is still found to lie inside it."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """A gauge of the exporter: its labels, which of them are chosen, how far to look for a sample.

    ``reach`` is how old the last sample before a moment may be. It bridges gaps and finds the one
    sample a day of a history that was filled in; it bounds what a query reads.
    """

    name: str
    labels: str
    chosen: str
    reach: str


USAGE: Final = Gauge("scaleengine_disk_usage_bytes", "account, cpu_user", USER, "1d")
QUOTA: Final = replace(USAGE, name="scaleengine_disk_quota_bytes")
USAGE_DAY: Final = replace(USAGE, name="scaleengine_disk_usage_day_timestamp_seconds")
FILES: Final = Gauge("scaleengine_files", "account, path, file_type", PATH, "6h")
FOLDERS: Final = replace(FILES, name="scaleengine_folders")
FOLDER_FILES: Final = Gauge(
    "scaleengine_folder_files", "account, path, folder, file_type", PATH, "1h"
)


def target(name: str) -> Gauge:
    """Return a gauge that each target has, of the chosen accounts."""
    return Gauge(name, TARGET_LABELS, ACCOUNT, "1d")


def now(gauge: Gauge) -> str:
    """Return the gauge as it is."""
    return f"max by ({gauge.labels}) ({gauge.name}{{{gauge.chosen}}})"


def ago(gauge: Gauge, span: str) -> str:
    """Return the gauge as it was so long ago; without a sample then, nothing."""
    return _last(gauge, f" offset {span}")


def at_end(gauge: Gauge) -> str:
    """Return the gauge as it was last before the end of the time that is shown."""
    return _last(gauge, " @ end()")


def _last(gauge: Gauge, when: str) -> str:
    samples = f"{gauge.name}{{{gauge.chosen}}}[{gauge.reach}]{when}"
    return f"max by ({gauge.labels}) (last_over_time({samples}))"


def change(gauge: Gauge, span: str) -> str:
    """Return how much the gauge has grown in a span; what is new since then has no change."""
    return f"{now(gauge)}\n- {ago(gauge, span)}"


def largest(gauge: Gauge) -> str:
    """Return the gauge for the ``$top`` series that are the largest at the end of the time shown.

    A bare topk would choose again at each step, and draw many more lines than it was asked for.
    """
    return f"{now(gauge)}\nand topk($top, {at_end(gauge)})"


def changed_most(gauge: Gauge, span: str) -> str:
    """Return the change in a span, for the ``$top`` series that changed most at the end."""
    return f"{change(gauge, span)}\nand topk($top, abs({change_at_end(gauge, span)}))"


def change_at_end(gauge: Gauge, span: str) -> str:
    """Return how much the gauge had grown in a span at the end of the time that is shown."""
    return f"{at_end(gauge)} - {_last(gauge, f' @ end() offset {span}')}"


def farthest_from_zero(gauge: Gauge) -> str:
    """Return the gauge for the ``$top`` series that are farthest from zero at the end."""
    return f"{now(gauge)}\nand topk($top, abs({at_end(gauge)}))"


def name_empty_user(expression: str) -> str:
    """Return a result by CPU user in which the user with an empty name has a text to read."""
    return f'label_replace(\n{expression},\n"cpu_user", "(empty name)", "cpu_user", "")'


def of_users(moment: Callable[[Gauge], str]) -> str:
    """Return the disk usage of named users, and of the empty name for accounts without any.

    It is for choosing the largest: if the empty name stands for a whole account, which ScaleEngine
    does not document, it would push out the users in it.
    """
    named = replace(USAGE, chosen=f'{USER},cpu_user!=""')
    return f"{moment(named)}\n  or on (account) {moment(USAGE)}"


def total_by_account(moment: Callable[[Gauge], str] = now) -> str:
    """Return the bytes that each account has at least, none counted twice.

    ScaleEngine does not document what ``cpu_user=""`` means. The larger of its bytes and the sum of
    the named users is stored in any case. If it does not hold those of the users, its bytes come
    on top.
    """
    empty = empty_user(USAGE, moment)
    users = moment(replace(USAGE, chosen=f'{ACCOUNT},cpu_user!=""'))
    summed = f"sum by (account) ({users})"
    return f"({empty} >= {summed})\nor {summed}\nor {empty}"


def empty_user(gauge: Gauge, moment: Callable[[Gauge], str]) -> str:
    """Return the gauge of the CPU user with an empty name, by account."""
    return moment(replace(gauge, labels="account", chosen=f'{ACCOUNT},cpu_user=""'))


def files_counted_once() -> str:
    """Return the files by path and type, without the paths that lie inside another chosen path."""
    chosen = f"{FILES.name}{{{FILES.chosen}}}"
    parents = f'label_replace({chosen}, "inside", "$1", "path", "(.+)")'
    inside = [
        f'label_replace({chosen}, "inside", "$1", "path", "(.+)(?:/[^/]+){{{levels}}}")\n'
        f"  and on (account, file_type, inside) {parents}"
        for levels in range(1, _NESTING + 1)
    ]
    left_out = "".join(f"\nunless on ({FILES.labels}) (\n  {selector})" for selector in inside)
    return f"max by ({FILES.labels}) ({chosen}{left_out})"


def daily_growth() -> str:
    """Return the bytes a day that each CPU user has grown by, as the mean of seven days.

    The difference of two moments a whole week apart is right for numbers that go in daily steps;
    a slope over the samples would follow the hour at which a step fell.
    """
    return f"(({change(USAGE, '7d')}) / 7)"


def usage_in(days: int) -> str:
    """Return the bytes of each CPU user in so many days, at the growth of the last seven."""
    return f"clamp_min({now(USAGE)} + {days} * {daily_growth()}, 0)"


def days_until_full() -> str:
    """Return the days until each growing CPU user has filled the quota; 0 for those who have."""
    left = f"({now(QUOTA)} - {now(USAGE)})"
    return f"clamp_min({left}\n/ ({daily_growth()} > 0), 0)"


def target_age() -> str:
    """Return the seconds since each target's last good poll; nothing before the first."""
    return f"(time() - {now(target('scaleengine_poll_last_success_timestamp_seconds'))})"


def intervals_since_success() -> str:
    """Return the age of each target's numbers in its own intervals: 1 is on time."""
    return f"{target_age()}\n/ {now(target('scaleengine_poll_interval_seconds'))}"


def late_targets(intervals: int) -> str:
    """Count the targets without a good poll for so many intervals, or without any."""
    interval = now(target("scaleengine_poll_interval_seconds"))
    never = f"({interval} unless {now(target('scaleengine_poll_last_success_timestamp_seconds'))})"
    late = f"({intervals_since_success()} > {intervals})"
    return f"count({late}\nor {never})\nor count({interval}) * 0"


def change_of_total(span: str) -> str:
    """Return how much all accounts together have grown in a span, without accounts new since."""
    before = total_by_account(lambda gauge: ago(gauge, span))
    return f"sum(({total_by_account()})\n- ({before}))"


def increase(counter: str, by: str, chosen: str = ACCOUNT) -> str:
    """Return how much a counter has grown in each step, summed by labels."""
    return f"sum by ({by}) (increase({counter}{{{chosen}}}[$__rate_interval]))"
