"""The settings that the service runs with: accounts, targets and limits, from a configuration."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exporter import config
from exporter.polling.snapshots import SnapshotLimits
from exporter.polling.targets import DiskUsageTarget, FilesTarget, Target, name_some
from exporter.polling.workers import DEFAULT_MAX_WORKERS
from exporter.scaleengine.client import Credentials
from exporter.scaleengine.errors import AuthError, ResourceLimitError
from exporter.scaleengine.transport import Endpoint
from exporter.sharding import EVERYTHING, Shard


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """An account: its label, its CDN number, how to read its secrets, and quotas in bytes.

    The quotas are by CPU user; ``*`` is for users without a quota of their own. ``labels`` are
    those that the operator adds to ``scaleengine_account_info``. ``secret_folders`` are those of
    the files with the secrets, whose reads may take time; none where no secret is in a file.
    """

    name: str
    cdn: int
    credentials: Callable[[], Credentials]
    quotas: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    secret_folders: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """What the service runs with.

    ``concurrency``, ``requests_per_second`` and ``requests_per_poll`` bound the requests of each
    account, ``max_workers`` those in flight of all accounts, ``limits`` what one poll may find.
    ``shard`` is the part of the accounts that this process polls.
    """

    endpoint: Endpoint
    concurrency: int
    requests_per_second: float | None
    requests_per_poll: int
    accounts: tuple[AccountSettings, ...]
    targets: tuple[Target, ...]
    limits: SnapshotLimits = field(default_factory=SnapshotLimits)
    shard: Shard = EVERYTHING
    max_workers: int = DEFAULT_MAX_WORKERS

    def find_warnings(self) -> list[str]:
        """Return warnings for the operator."""
        if self.accounts or self.shard == EVERYTHING:
            return []
        return [
            f"no enabled account of the configuration belongs to {self.shard}: it polls nothing"
        ]


def build_settings(configuration: config.Config, shard: Shard = EVERYTHING) -> Settings:
    """Build the settings of a shard from a configuration, with its enabled accounts only."""
    api = configuration.api
    accounts = [
        account for account in configuration.accounts if account.enabled and shard.owns(account.cdn)
    ]
    return Settings(
        endpoint=build_endpoint(configuration),
        concurrency=api.concurrency,
        requests_per_second=api.requests_per_second,
        requests_per_poll=api.max_requests_per_poll,
        accounts=tuple(map(_build_account, accounts)),
        targets=tuple(target for account in accounts for target in _build_targets(account)),
        limits=SnapshotLimits(
            users=configuration.limits.users_per_account,
            folders=configuration.limits.folders_per_path,
            label_length=configuration.limits.label_length,
        ),
        shard=shard,
        max_workers=api.max_workers,
    )


def describe_changes(before: Settings, after: Settings) -> Mapping[str, str]:
    """Return what differs between two settings, as fields for the log.

    A target is named as ``account collector path file_type``. It has changed if it is polled
    differently, such as at another interval. ``settings_changed`` names settings of all accounts.
    """
    accounts = _compare(
        {account.name: account for account in before.accounts},
        {account.name: account for account in after.accounts},
    )
    targets = _compare(
        {str(target): target for target in before.targets},
        {str(target): target for target in after.targets},
    )
    changed = {
        name
        for name in (
            "endpoint",
            "concurrency",
            "requests_per_second",
            "requests_per_poll",
            "max_workers",
            "limits",
        )
        if getattr(before, name) != getattr(after, name)
    }
    changes = {
        **{f"accounts_{how}": name_some(names) for how, names in accounts.items()},
        **{f"targets_{how}": name_some(names) for how, names in targets.items()},
        "settings_changed": name_some(changed),
    }
    found = {name: names for name, names in changes.items() if names}
    return found or {"changes": "none"}


def _compare(before: Mapping[str, object], after: Mapping[str, object]) -> dict[str, set[str]]:
    return {
        "added": {name for name in after if name not in before},
        "removed": {name for name in before if name not in after},
        "changed": {name for name in after if name in before and before[name] != after[name]},
    }


def build_endpoint(configuration: config.Config) -> Endpoint:
    """Build the endpoint that a configuration sends its requests to."""
    api = configuration.api
    return Endpoint(api.url, api.timeout, api.max_workers, api.ca_file)


def _build_account(account: config.AccountConfig) -> AccountSettings:
    return AccountSettings(
        account.name,
        account.cdn,
        _SecretReader(account.name, account.api_key, account.api_secret),
        account.disk_usage.quotas,
        account.labels,
        tuple(
            dict.fromkeys(
                secret.file.parent for secret in account.secrets if secret.file is not None
            )
        ),
    )


def _build_targets(account: config.AccountConfig) -> Iterator[Target]:
    usage, files = account.disk_usage, account.files
    if usage.enabled:
        yield DiskUsageTarget(account.name, usage.interval, usage.stale_after, usage.cpu_users)
    for counted in files.paths:
        schedule = files.find_schedule(counted)
        for file_type in counted.file_types:
            yield FilesTarget(
                account.name,
                schedule.interval,
                schedule.stale_after,
                counted.path,
                file_type,
                counted.folder_depth,
                counted.max_folders,
            )


@dataclass(frozen=True, slots=True)
class _SecretReader:
    """The secrets of an account, where the configuration has them; called, it reads them."""

    account: str
    api_key: config.Secret
    api_secret: config.Secret

    def __call__(self) -> Credentials:
        try:
            return Credentials(self.api_key.read(), self.api_secret.read())
        except config.SecretError as error:
            if error.limit is not None:
                raise ResourceLimitError(
                    "credentials", error.limit.cause, error.limit.advice
                ) from None
            raise AuthError(
                "credentials",
                f"a secret of account {self.account!r} could not be read ({error})",
                "put the secret there, readable for the exporter; it is read again at every poll",
            ) from None
