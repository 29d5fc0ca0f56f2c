"""What is to be run: accounts and targets, made from what the operator wrote."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from exporter import config
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target
from exporter.scaleengine.client import Credentials
from exporter.scaleengine.errors import AuthError
from exporter.scaleengine.transport import Endpoint


@dataclass(frozen=True, slots=True)
class PlannedAccount:
    """An account: its label, its CDN number, and how to read its secrets."""

    name: str
    cdn: int
    credentials: Callable[[], Credentials]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that the service needs to know.

    ``concurrency``, ``requests_per_second`` and ``requests_per_poll`` bound the calls of each
    account.
    """

    endpoint: Endpoint
    concurrency: int
    requests_per_second: float | None
    requests_per_poll: int
    accounts: tuple[PlannedAccount, ...]
    targets: tuple[Target, ...]


def plan_from(configuration: config.Config) -> Plan:
    """Return the plan that a configuration makes."""
    api = configuration.api
    return Plan(
        endpoint=Endpoint(api.url, api.timeout, api.concurrency, api.ca_file),
        concurrency=api.concurrency,
        requests_per_second=api.requests_per_second,
        requests_per_poll=api.max_requests_per_poll,
        accounts=tuple(
            PlannedAccount(account.name, account.cdn, _reader(account))
            for account in configuration.accounts
        ),
        targets=tuple(target for account in configuration.accounts for target in _targets(account)),
    )


def _targets(account: config.Account) -> Iterator[Target]:
    usage, files = account.disk_usage, account.files
    if usage.enabled:
        yield DiskUsageTarget(account.name, usage.interval, usage.stale_after, usage.cpu_users)
    for counted in files.paths:
        for file_type in counted.file_types:
            yield FilesTarget(
                account.name,
                files.interval,
                files.stale_after,
                counted.path,
                file_type,
                counted.folder_depth,
                counted.max_folders,
            )


def _reader(account: config.Account) -> Callable[[], Credentials]:
    def read() -> Credentials:
        try:
            return Credentials(account.api_key.read(), account.api_secret.read())
        except config.SecretError as error:
            raise AuthError(
                "credentials",
                f"a secret of account {account.name!r} could not be read ({error})",
                "put it there, readable for the exporter; it is read again at every poll",
            ) from None

    return read
