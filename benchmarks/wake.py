"""What a wake adds: from a replica's first successful readiness answer to the first held request reaching it.

Real components (`pilotlight up`), one wake for each of many services that start at zero, one after the other. Both
ends of the interval are written down by the model itself, in one process on one clock, so nothing of ours is trusted
for the figure.

    python -m benchmarks.wake [--wakes 50]

Floor: the readiness answer has to reach the queue proxy, the held `/ready` answer the activator, and the request the
model: four hops on loopback, each a wake-up of a sleeping process, about 0.1 ms each on an idle machine.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from tests.integration.main_job.harness import Up, journal_service, read_journal, running_up, wait_for
from tests.integration.main_job.request_swarm import run, send_all

AIM_P50_MS, AIM_P95_MS = 10.0, 20.0


def one_wake(up: Up, name: str, journal: Path, held: int) -> tuple[float, float]:
    """Seconds from request to answer, and from the model's readiness to the first request reaching it."""
    started = time.monotonic()
    answers = run(send_all("127.0.0.1", up.ports[f"default/{name}"], held))
    took = time.monotonic() - started
    if any(answer.lost or answer.statuses != [200] for answer in answers):
        raise SystemExit(f"{name}: a request was lost in the wake: {answers}")
    events = wait_for("the journal", lambda: read_journal(journal))
    ready = next(event.at for event in events if event.kind == "ready")
    first = next(event.at for event in events if event.kind == "arrived")
    return took, first - ready


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wakes", type=int, default=50)
    parser.add_argument("--held", type=int, default=5, help="requests that wait for each wake")
    parser.add_argument("--load-seconds", type=float, default=0.3, help="how long the model loads")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pilotlight-wake-") as name:
        folder = Path(name)
        services = [
            journal_service(
                f"wake-{number}",
                folder / f"journal-{number}",
                load_seconds=options.load_seconds,
                predictor={"minReplicas": 0, "maxReplicas": 1},
                annotations={"pilotlight.dev/stable-window": "6s", "pilotlight.dev/scale-to-zero-grace-period": "1s"},
            )
            for number in range(options.wakes)
        ]
        with running_up(folder, services) as up:
            wakes = [
                one_wake(up, f"wake-{number}", folder / f"journal-{number}", options.held)
                for number in range(options.wakes)
            ]
    added = sorted(1000 * added for _, added in wakes)
    whole = sorted(1000 * took for took, _ in wakes)
    p50, p95 = statistics.median(added), added[min(len(added) - 1, round(0.95 * len(added)))]
    print(f"{len(wakes)} wakes of a model that loads {options.load_seconds} s, {options.held} requests held for each")
    print(f"  request to last answer      p50 {statistics.median(whole):7.1f} ms   max {whole[-1]:7.1f} ms")
    print(f"  added after readiness       p50 {p50:7.2f} ms   p95 {p95:7.2f} ms   max {added[-1]:7.2f} ms")
    print(f"  aim                         p50 {AIM_P50_MS:7.2f} ms   p95 {AIM_P95_MS:7.2f} ms")


if __name__ == "__main__":
    main()
