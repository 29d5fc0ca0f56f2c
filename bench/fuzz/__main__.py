"""Check random inputs for some time, target after target; print the smallest that fails.

A failure is made again by the command that is printed with it.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final, cast

from bench.fuzz.api_responses import api_content, api_http
from bench.fuzz.files import configuration, web_config
from bench.fuzz.http_front import http_front
from bench.fuzz.target import ROUND, OpenTarget, Target, run_round

TARGETS: Final[Mapping[str, OpenTarget]] = cast(
    "Mapping[str, OpenTarget]",
    {
        "http-front": http_front,
        "api-content": api_content,
        "api-http": api_http,
        "configuration": configuration,
        "web-config": web_config,
    },
)


def fuzz(name: str, open_target: OpenTarget, seed: int, seconds: float) -> bool:
    """Run rounds for ``seconds``, each with the next seed; return whether every law held."""
    deadline = time.monotonic() + seconds
    first = seed
    opened: AbstractContextManager[Target[object]] = open_target()
    with opened as target:
        while True:
            failure = run_round(target, seed)
            if failure is not None:
                print(f"FAIL {name}: {type(failure.error).__name__}: {failure.error}")
                print(f"     smallest input: {failure.smallest!r}")
                print(f"     again: python -m bench.fuzz --only={name} --seed={seed} --seconds=0")
                return False
            seed += 1
            if time.monotonic() >= deadline:
                break
    print(f"ok   {name}: {(seed - first) * ROUND} inputs, seeds {first} to {seed - 1}", flush=True)
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and fuzz; return 1 if a law was broken."""
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="for all targets together")
    parser.add_argument("--seed", type=int, help="of the first round (default: another each time)")
    parser.add_argument("--only", action="append", choices=TARGETS, help="repeatable")
    given = parser.parse_args(arguments)
    seed = given.seed if given.seed is not None else int(time.time()) % 10**9
    names = given.only or list(TARGETS)
    held = [fuzz(name, TARGETS[name], seed, given.seconds / len(names)) for name in names]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
