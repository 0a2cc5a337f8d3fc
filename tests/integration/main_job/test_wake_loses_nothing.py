"""The promise the project stands on: ten thousand requests through a wake, a replica killed on the way, none lost."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.main_job.harness import Event, journal_service, read_journal, running_up, wait_for
from tests.integration.main_job.request_swarm import run, send_all

REQUESTS = 10_000
LIMIT = 20


@pytest.mark.slow
def test_ten_thousand_requests_survive_a_wake_and_a_killed_replica(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    service = journal_service(
        "swarm",
        journal,
        load_seconds=1.0,
        service_seconds=0.02,
        predictor={"minReplicas": 0, "maxReplicas": 5, "containerConcurrency": LIMIT},
        annotations={"pilotlight.dev/backlog-drain-objective": "1s", "pilotlight.dev/hold-requests": "20000"},
    )
    with running_up(tmp_path, [service]) as up:
        assert up.service("default/swarm")["ready"] == 0
        killed: list[int] = []

        def kill_the_first_that_answers() -> None:
            first = wait_for("a first answer", lambda: _answered(journal), within=90)
            os.kill(first.pid, signal.SIGKILL)
            killed.append(first.pid)

        killer = threading.Thread(target=kill_the_first_that_answers)
        killer.start()
        answers = run(send_all("127.0.0.1", up.ports["default/swarm"], REQUESTS))
        killer.join()

    statuses = Counter(answer.statuses[0] for answer in answers if answer.statuses)
    print(f"\n{REQUESTS} requests: {dict(statuses)}, lost {sum(answer.lost for answer in answers)}")
    assert killed
    assert [answer.request for answer in answers if answer.lost] == []
    # What the killed replica had in hand gets an honest answer, and nothing else does.
    cut = [answer for answer in answers if answer.statuses != [200]]
    assert set(statuses) <= {200, 502, 503}
    assert len(cut) <= 2 * LIMIT
    # Nobody's request was repeated: each reached a model at most once, and each 200 exactly once.
    arrived = Counter(event.request for event in read_journal(journal) if event.kind == "arrived")
    assert set(arrived.values()) == {1}
    assert all(arrived[answer.request] == 1 for answer in answers if answer.statuses == [200])
    # More than one replica shared the work.
    assert len({answer.pid for answer in answers if answer.statuses == [200]}) >= 5


def _answered(journal: Path) -> Event | None:
    return next((event for event in read_journal(journal) if event.kind == "answered"), None)
