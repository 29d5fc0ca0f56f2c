"""Print the fault matrix; end with 1 if anything is not as it must be."""

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from structlog.testing import capture_logs

from bench.faults.catalogue import Case, catalogue
from bench.faults.environment import Overrides
from bench.faults.table import heading, log_of, row, summary
from bench.faults.tls_proxy import Certificates, resolving, without_proxy
from bench.faults.trial import LEEWAY, Outcome, When, attempt

_AT_ONCE: Final = 10


@contextmanager
def outcomes(
    cases: Sequence[Case], max_concurrency: int = _AT_ONCE, leeway: float = LEEWAY
) -> Iterator[Iterator[Outcome]]:
    """Try each case at each time, ``max_concurrency`` side by side; give the outcomes in order.

    Those that run alone come last.
    ``leeway`` are the seconds that each may take beyond the schedule until all is good again.
    """
    tries = [
        (case, when) for case in cases for when in When if case.at_start or when is When.AFTER_GOOD
    ]
    with (
        tempfile.TemporaryDirectory() as folder,
        without_proxy(),
        resolving() as names,
        capture_logs() as logged,
        ThreadPoolExecutor(max_concurrency, "case") as threads,
    ):
        overrides = Overrides(names, _certificates(Path(folder)))

        def try_one(number: int, case: Case, when: When) -> Outcome:
            return attempt(case, when, number, overrides, logged, leeway)

        numbered = [(number, case, when) for number, (case, when) in enumerate(tries)]
        together = [tried for tried in numbered if not tried[1].alone]
        alone = [tried for tried in numbered if tried[1].alone]
        yield itertools.chain(
            threads.map(lambda tried: try_one(*tried), together), itertools.starmap(try_one, alone)
        )


def _certificates(folder: Path) -> Certificates | None:
    try:
        return Certificates(folder)
    except FileNotFoundError:
        return None


def main() -> int:
    """Read the command line, try the cases, print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("--only", default="", help="cases whose names have this in them")
    parser.add_argument("--max-concurrency", type=int, default=_AT_ONCE, help="cases side by side")
    parser.add_argument("--log", type=Path, help="the folder for info.log and debug.log")
    given = parser.parse_args()
    cases = [case for case in catalogue() if given.only in case.name]
    began = time.monotonic()
    print(heading(cases))
    with outcomes(cases, given.max_concurrency) as tried:
        done = []
        for outcome in tried:
            print(row(outcome, cases), flush=True)
            done.append(outcome)
    print(summary(done, time.monotonic() - began))
    if given.log is not None:
        given.log.mkdir(parents=True, exist_ok=True)
        for level in ("info", "debug"):
            text = "".join(f"{part}\n" for outcome in done for part in log_of(outcome, level))
            (given.log / f"{level}.log").write_text(text)
    return int(any(outcome.problems for outcome in done))


if __name__ == "__main__":
    sys.exit(main())
