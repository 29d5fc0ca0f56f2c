"""``/api/v1/status``: the status as JSON, and the JSON Schema of it."""

import json
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from exporter.web.status.building import build_account, build_overview
from exporter.web.status.observation import Observation
from exporter.web.status.status_model import AccountStatus, Overview, Status

_TAIL: Final = b"]}"
"""How the document ends: the accounts are its last member."""

SCHEMA_FILE: Final = Path(__file__).with_name("schema.json")
"""The JSON Schema of the document, as it is installed."""


def write_status_json(
    observation: Observation, account: str | None = None
) -> Iterator[bytes] | None:
    """Return the document in parts, which end with a line break; None where no account is so named.

    It has all accounts, or the one that is named. They are written one by one: no other thread runs
    meanwhile, and 1,000 accounts at once would make a scrape wait.
    """
    only = None if account is None else observation.accounts.get(account)
    if account is not None and only is None:
        return None
    return _write_parts(
        observation, build_overview(observation, only), with_requests=only is not None
    )


def _write_parts(
    observation: Observation, overview: Overview, *, with_requests: bool
) -> Iterator[bytes]:
    frame = Status(
        time=overview.time,
        state=overview.state,
        problems=overview.problems,
        exporter=overview.exporter,
        accounts=(),
    )
    yield _make_status_adapter().dump_json(frame).removesuffix(_TAIL)
    for number, summary in enumerate(overview.summaries):
        account = build_account(
            observation, observation.accounts[summary.name], with_requests=with_requests
        )
        yield (b"," if number else b"") + _make_account_adapter().dump_json(account)
    yield _TAIL + b"\n"


@cache
def _make_status_adapter() -> TypeAdapter[Status]:
    return TypeAdapter(Status)


@cache
def _make_account_adapter() -> TypeAdapter[AccountStatus]:
    return TypeAdapter(AccountStatus)


def format_status_schema() -> str:
    """Return the text of ``schema.json``."""
    schema = _make_status_adapter().json_schema(mode="serialization")
    dialect = {"$schema": GenerateJsonSchema.schema_dialect}
    return json.dumps(dialect | schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(format_status_schema())
    sys.stdout.write(f"{SCHEMA_FILE} is written\n")
