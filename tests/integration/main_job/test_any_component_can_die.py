"""SIGKILL for every component in turn, at random moments under load: nothing stuck, nothing orphaned, all converges."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.main_job.harness import Up, alive, journal_service, running_up, wait_for
from tests.integration.main_job.request_swarm import Answered, run, send_all

SERVICE = "default/sturdy"
ROUNDS = 20

COMPONENTS: dict[str, Callable[[Up], list[int]]] = {
    "activator": lambda up: up.processes("-m activator"),
    "controller": lambda up: up.processes("autoscaler.controller"),
    "queue proxy": lambda up: up.processes("-m queue_proxy"),
    "model": lambda up: up.processes("journal_model.py"),
    "guardian": lambda up: up.processes("guardian"),
    "node": lambda up: [up.process.pid],
}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_twenty_kills_at_random_moments_leave_nothing_behind_and_nobody_waiting(tmp_path: Path) -> None:
    service = journal_service(
        "sturdy",
        tmp_path / "journal",
        load_seconds=0.2,
        service_seconds=0.05,
        predictor={"minReplicas": 0, "maxReplicas": 2, "containerConcurrency": 4},
        annotations={"pilotlight.dev/stable-window": "6s"},
    )
    chance = random.Random(20)
    with running_up(tmp_path, [service]) as up:
        for number in range(ROUNDS):
            component = list(COMPONENTS)[number % len(COMPONENTS)]
            run(_one_round(up, component, chance))
            _assert_converged(up, component)


async def _one_round(up: Up, component: str, chance: random.Random) -> None:
    """Load, a kill somewhere within it; every request must end, in an answer or in an end of its connection."""
    loop = asyncio.get_running_loop()
    port = up.ports[SERVICE]
    load = asyncio.create_task(send_all("127.0.0.1", port, 60, f"before-{component}", within=60))
    await asyncio.sleep(chance.uniform(0.0, 1.0))  # the random moment
    victims = COMPONENTS[component](up)
    if not victims:
        victims = await loop.run_in_executor(None, wait_for, component, lambda: COMPONENTS[component](up))
    victim = chance.choice(victims)
    os.kill(victim, signal.SIGKILL)
    await loop.run_in_executor(None, wait_for, f"the {component} to be dead", lambda: not alive(victim))
    answers: list[Answered] = await load
    if component in ("controller", "guardian"):
        assert [a.request for a in answers if a.lost or a.statuses != [200]] == [], f"lost when the {component} died"
    elif component in ("queue proxy", "model"):
        assert [a.request for a in answers if a.lost] == [], f"no honest answer when the {component} died"


def _assert_converged(up: Up, component: str) -> None:
    if component == "node":
        up.process.wait(10)
        wait_for("every process to go with the node", lambda: not up.processes(), within=60)
        up.restart()
    answers = run(send_all("127.0.0.1", up.ports[SERVICE], 20, f"after-{component}", within=30))
    wrong = [(a.request, a.statuses, a.body) for a in answers if a.lost or a.statuses != [200]]
    assert wrong == [], f"not serving after the {component} died"
    wait_for("one activator, one controller, one guardian", lambda: _one_of_each(up), within=60)
    wait_for("as many queue proxies as models", lambda: _paired(up), within=60)


def _one_of_each(up: Up) -> bool:
    return all(len(COMPONENTS[name](up)) == 1 for name in ("activator", "controller", "guardian"))


def _paired(up: Up) -> bool:
    models, proxies = len(COMPONENTS["model"](up)), len(COMPONENTS["queue proxy"](up))
    return models == proxies and 1 <= models <= 2
