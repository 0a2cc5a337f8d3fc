"""How long requests wait where several activators share replicas, beside one ideal queue for the same requests.

Real processes: three activators, of which one gets most of the load, before eight replicas that take one request at a
time. The ideal is one central queue, first come first served, that loses no time between an end and the next start; it
is given the arrivals and service times as they were measured.

    python -m benchmarks.sharing [--requests N] [--load SHARE]

A machine that is busy with other things idles replicas, too: judge figures of an idle one. That order itself loses no
more than a few hops is proven where time is virtual (tests/unit/activator/test_activator_sharing_time.py).
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from pathlib import Path

from tests.integration.activator.sharing_world import Job, shared_world
from tests.unit.activator.sharing_time import ideal_waits, poisson_jobs, quantile

SHARES = (6, 3, 1)
REPLICAS = 8
MEAN_SERVICE_SECONDS = 0.2
AIM = 1.10


async def measured(requests: int, load: float, folder: Path) -> list[Job]:
    """All of them, sent and answered."""
    planned = poisson_jobs(requests, 7, SHARES, REPLICAS, load, MEAN_SERVICE_SECONDS)
    async with shared_world(folder, len(SHARES), REPLICAS) as world:
        await world.run([Job(job.at, job.through, job.seconds) for job in planned])
        return world.jobs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_500)
    parser.add_argument("--load", type=float, default=0.8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pilotlight-sharing-") as name:
        jobs = asyncio.run(measured(options.requests, options.load, Path(name)))
    if any(job.status != 200 for job in jobs):
        raise SystemExit("a request was lost")
    ours = [job.wait for job in jobs]
    ideal = ideal_waits(((job.sent, job.ended - job.started) for job in jobs), REPLICAS)
    print(f"{len(jobs)} requests, {len(SHARES)} activators, {REPLICAS} replicas, load {options.load}")
    for share in (0.5, 0.9, 0.95, 0.99):
        mine, best = 1e3 * quantile(ours, share), 1e3 * quantile(ideal, share)
        print(f"p{100 * share:.0f} wait: {mine:.1f} ms, ideal {best:.1f} ms")
    print(f"mean wait: {1e3 * statistics.mean(ours):.1f} ms, ideal {1e3 * statistics.mean(ideal):.1f} ms")
    ratio = quantile(ours, 0.95) / quantile(ideal, 0.95)
    print(f"p95 to ideal: {ratio:.3f} (aim: at most {AIM})")


if __name__ == "__main__":
    main()
