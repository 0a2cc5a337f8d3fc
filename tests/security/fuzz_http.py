"""Look for requests that the engine and a strict server read differently, for as long as you like.

    python -m tests.security.fuzz_http --seconds 600 [--seed N] [--clients N]

Each case has a seed of its own, which a difference names: `--seed N --seconds 0` plays that case alone.
Ends with 1 at the first finding.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time

from tests.security import http_grammar
from tests.security.differential import DifferenceError, Differential


def play(seed: int) -> int:
    """One case; returns how many requests came through. Raises DifferenceError, or what broke."""
    rng = random.Random(seed)
    clients = rng.choice((1, 1, 2, 3))
    steps = http_grammar.steps(rng, clients)
    run = Differential(clients, switches=rng.random() < 0.3)
    try:
        run.play(steps)
        return run.check()
    except Exception as error:
        error.add_note(f"seed {seed}: {steps}")
        raise
    finally:
        run.end()


async def fuzz(first_seed: int, seconds: float) -> None:
    """Play case after case and say how many there were."""
    began = time.monotonic()
    cases = requests = 0
    while not cases or time.monotonic() - began < seconds:
        requests += play(first_seed + cases)
        cases += 1
        if cases % 256 == 0:
            await asyncio.sleep(0)
    print(f"{cases} cases from seed {first_seed}, {requests} requests came through, no difference")


def main() -> int:
    """Run until the time is over or something is found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    try:
        asyncio.run(fuzz(given.seed, given.seconds))
    except DifferenceError as finding:
        print(f"FOUND {finding}", *getattr(finding, "__notes__", ()), sep="\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
