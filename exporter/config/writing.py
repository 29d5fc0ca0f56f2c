"""From a configuration back to the text of a file, without its secrets."""

from collections.abc import Mapping
from typing import Final

import yaml

from exporter.config.credentials import NAMES
from exporter.config.model import Account, Config
from exporter.yamlfile.files import escape_surrogates

REDACTED: Final = "***"
"""What is written for a secret that stands in the configuration itself."""

_DUMPER: Final = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # libyaml's, ten times as fast


def write_config(config: Config) -> str:
    """Return a configuration as YAML, with every default.

    A secret is `***`; of one in a file the file is named, as `api_secret_file` does.
    """
    written = config.model_dump(mode="json", exclude={"accounts"})
    if config.api.ca_file is not None:
        written["api"]["ca_file"] = escape_surrogates(str(config.api.ca_file))
    written["accounts"] = [_write_account(account) for account in config.accounts]
    text: str = yaml.dump(written, Dumper=_DUMPER, sort_keys=False, allow_unicode=True, width=100)
    return text


def _write_account(account: Account) -> Mapping[str, object]:
    written = account.model_dump(mode="json", exclude=set(NAMES))
    for name in NAMES:
        file = getattr(account, name).file
        if file is None:
            written[name] = REDACTED
        else:
            written[f"{name}_file"] = escape_surrogates(str(file))
    return {"name": written.pop("name"), "cdn": written.pop("cdn"), **written}
