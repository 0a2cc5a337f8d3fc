"""What is lost where several activators share replicas is hops of messages and nothing else, whatever the load."""

from __future__ import annotations

import pytest

from tests.unit.activator.sharing_model import SharingModel
from tests.unit.activator.sharing_time import (
    Job,
    TimedSharing,
    ideal_waits,
    longest_idle_while_waiting,
    poisson_jobs,
    quantile,
)

HOP = 0.0005
SHARES = (6, 3, 1)


def played(jobs: list[Job], activators: int, replicas: int) -> list[Job]:
    """All of them, each of which has run."""
    TimedSharing(SharingModel(activators, replicas, limit=1), HOP).play(jobs)
    assert all(job.replica >= 0 for job in jobs)
    return jobs


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("replicas", "load", "mean"),
    [(8, 0.8, 0.2), (8, 0.5, 0.005), (2, 0.95, 0.05)],
    ids=["busy", "short requests", "nearly too much"],
)
def test_nobody_waits_while_a_replica_is_idle_for_longer_than_messages_take(
    replicas: int, load: float, mean: float, seed: int
) -> None:
    """A slot that another keeps: bid, recall, return, grant, and the request itself are five hops. When a grant meets
    nobody, because another replica was faster, three more follow; each bid may be put off by the pause between bids."""
    jobs = played(poisson_jobs(250, seed, SHARES, replicas, load, mean), len(SHARES), replicas)
    pause = 0.0001 * replicas
    assert longest_idle_while_waiting(jobs, replicas) <= 11 * HOP + 3 * pause


def test_three_activators_and_eight_replicas_wait_as_in_one_ideal_queue() -> None:
    jobs = played(poisson_jobs(1_500, 7, SHARES, 8, 0.8, 0.2), len(SHARES), 8)
    ideal = ideal_waits(((job.at, job.seconds) for job in jobs), 8)
    for share in (0.9, 0.95, 0.99):
        assert quantile((job.wait for job in jobs), share) <= 1.1 * quantile(ideal, share) + 3 * HOP
