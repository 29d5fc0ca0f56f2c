"""Warnings: what a configuration may say, but hardly means."""

import ipaddress
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from exporter.config.fields import MAX_CA_FILE_BYTES
from exporter.config.model import AccountConfig, Config
from exporter.yamlfile.certificates import find_validity_problems
from exporter.yamlfile.document import Document
from exporter.yamlfile.files import TYPOGRAPHIC_QUOTES, FileError, is_quoted, read_bytes
from exporter.yamlfile.problems import Loc, LocatedMessage
from exporter.yamlfile.units import format_prometheus_duration


def find_warnings(config: Config, document: Document, now: float) -> Iterator[LocatedMessage]:
    """Find what deserves a warning: the way to its place, and a message.

    ``now`` is in seconds since 1970.
    """
    yield from _find_expired_authorities(config.api.ca_file, now)
    url = urlsplit(config.api.url)
    if url.scheme == "http" and not _is_loopback(url.hostname or ""):
        yield (
            ("api", "url"),
            "is http: the API key travels where others can read it; write https://",
        )
    if config.accounts and not any(account.enabled for account in config.accounts):
        yield ("accounts",), "are all disabled: nothing is polled; remove an 'enabled: false'"
    for index, account in enumerate(config.accounts):
        loc = ("accounts", index)
        yield from _find_stale_before_next_poll(account, loc)
        yield from _find_unused_quotas(account, loc)
        yield from _find_overlaps(account, document, (*loc, "files", "paths"))
        yield from _find_improbable_names(account, loc)


def _find_expired_authorities(file: Path | None, now: float) -> Iterator[LocatedMessage]:
    if file is None:
        return
    with suppress(FileError):  # it could be read a moment ago, when it was judged
        for problem in find_validity_problems(read_bytes(file, MAX_CA_FILE_BYTES), now):
            yield ("api", "ca_file"), f"names a file that {problem}"


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _find_stale_before_next_poll(account: AccountConfig, loc: Loc) -> Iterator[LocatedMessage]:
    for name, part in (("disk_usage", account.disk_usage), ("files", account.files)):
        if part.stale_after < part.interval:
            yield (
                (*loc, name, "stale_after"),
                _describe_gap(part.interval),
            )
    for index, path in enumerate(account.files.paths):
        interval, stale_after = account.files.find_schedule(path)
        is_its_own = path.interval is not None or path.stale_after is not None
        if is_its_own and stale_after < interval:
            yield (
                (*loc, "files", "paths", index, "stale_after"),
                _describe_gap(interval),
            )


def _find_unused_quotas(account: AccountConfig, loc: Loc) -> Iterator[LocatedMessage]:
    usage = account.disk_usage
    position = (*loc, "disk_usage", "quotas")
    if usage.quotas and not usage.enabled:
        yield position, "judge nothing while disk_usage.enabled is false"
        return
    for cpu_user in usage.quotas:
        if not usage.cpu_users or cpu_user in ("*", *usage.cpu_users):
            continue
        if cpu_user:
            how = "is a quota of a CPU user whose disk usage is not asked for; add it to cpu_users"
        else:
            how = (
                "is the quota of the CPU user with an empty name, which is known with every user "
                "only; write cpu_users: []"
            )
        yield (*position, cpu_user), how


def _find_improbable_names(account: AccountConfig, loc: Loc) -> Iterator[LocatedMessage]:
    """Find paths and CPU users that only a mistake writes so: ScaleEngine will not know them."""
    for index, counted in enumerate(account.files.paths):
        if fault := _name_fault(counted.path):
            yield (*loc, "files", "paths", index, "path"), fault
    for index, cpu_user in enumerate(account.disk_usage.cpu_users):
        if fault := _name_fault(cpu_user):
            yield (*loc, "disk_usage", "cpu_users", index), fault


def _name_fault(name: str) -> str | None:
    if "*" in name or "?" in name:
        return "holds a wildcard, and '*' and '?' are plain characters here; write whole names"
    if "~" in name.split("/"):
        return "holds '~', which is not expanded to a home folder here; write the folder's name"
    if any(char in TYPOGRAPHIC_QUOTES for char in name) or is_quoted(name):
        return "holds quotes, which are a part of the name so; write it without, or in ' or \""
    if any(part != part.strip() for part in name.split("/")):
        return "begins or ends with a space, or a folder in it does; write it without"
    return None


def _find_overlaps(
    account: AccountConfig, document: Document, loc: Loc
) -> Iterator[LocatedMessage]:
    lines = {
        counted.path: document.position((*loc, index)).line
        for index, counted in enumerate(account.files.paths)
    }
    for index, counted in enumerate(account.files.paths):
        ancestor = next((path for path in _list_ancestors(counted.path) if path in lines), None)
        if ancestor:
            yield (
                (*loc, index),
                f"lies inside {ancestor} (line {lines[ancestor]}): their counts overlap",
            )


def _list_ancestors(path: str) -> Iterator[str]:
    """Return the folders that hold the path, the innermost first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _describe_gap(interval: float) -> str:
    shown = format_prometheus_duration(interval)
    return f"is shorter than the interval, {shown}: series go between polls"
