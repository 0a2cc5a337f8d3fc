"""A service that sleeps is decided on less often, and nothing that is decided is other than it would have been."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from activator.messages import StatsPush
from autoscaler.controller.loop import Controller
from autoscaler.controller.service.control import ServiceControl
from autoscaler.controller.settings import Cadence
from autoscaler.decide.decision import Reason
from autoscaler.decide.records import record_line
from tests.unit.controller.controller_builders import CHAT, MemoryCluster, inference_service, replica, stats, view

START = 1_700_000_000.0
CADENCE = Cadence()
ASLEEP = replace(view(isvc=inference_service(stable_window="6s")), ever_ready=True)


class Sleeper:
    """A service with an activator that tells its numbers every second; evaluated as the loop does it."""

    def __init__(self, *, every_time: bool) -> None:
        self.control = ServiceControl(ASLEEP, CADENCE, START)
        self.control.viewed(ASLEEP, START)
        self.now = 0.0
        self.evaluations = 0
        self.lines: list[str] = []
        self._every_time = every_time
        self._arrived = 0

    def tell(self, waiting: int = 0, arrived: int = 0) -> None:
        self._arrived += arrived
        told = stats("activator/one", self.now, waiting=waiting, arrived=self._arrived)
        # Who waits has begun to wait just now.
        told = replace(told, waiting_seconds=0.0)
        if self.control.pushed("one", told, START + self.now, urgent=waiting > 0):
            self.evaluate()

    def evaluate(self) -> None:
        self.evaluations += 1
        evaluation = self.control.evaluate(START + self.now)
        assert evaluation is not None
        self.lines.append(record_line(evaluation.records[-1]))

    def seconds(self, count: int) -> None:
        for _ in range(count):
            self.now += 1.0
            self.tell()
            self.now += 0.25  # numbers have an age when they are decided on
            if int(self.now) % 2 == 0 and (self._every_time or not self.control.quiescence.lasts(START + self.now)):
                self.evaluate()
            self.now -= 0.25

    @property
    def reason(self) -> Reason:
        decision = self.control.history.latest
        assert decision is not None
        return decision.reason


@pytest.fixture
def sleeper() -> Sleeper:
    made = Sleeper(every_time=False)
    made.seconds(20)
    assert made.reason is Reason.ASLEEP
    return made


def test_what_sleeps_is_decided_on_every_ten_seconds(sleeper: Sleeper) -> None:
    before = sleeper.evaluations
    sleeper.seconds(60)
    assert sleeper.evaluations - before == 60 / CADENCE.asleep


def test_a_request_a_view_a_replica_or_other_numbers_end_it(sleeper: Sleeper) -> None:
    quiescence, now = sleeper.control.quiescence, START + sleeper.now
    assert quiescence.lasts(now)
    sleeper.tell(arrived=1)
    assert not quiescence.lasts(now), "somebody came, and has gone"
    sleeper.evaluate()
    sleeper.control.viewed(ASLEEP, now)
    assert not quiescence.lasts(now), "a view came"
    sleeper.evaluate()
    sleeper.control.activator_left("one")
    assert not quiescence.lasts(now), "an activator left"


def test_who_has_replicas_or_load_does_not_sleep() -> None:
    serving = Sleeper(every_time=False)
    serving.control.viewed(view(replica()), START)
    serving.seconds(40)
    assert serving.evaluations == 20


@pytest.mark.looptime
async def test_the_loop_lets_it_sleep_and_decides_at_the_next_period_when_somebody_came() -> None:
    loop = asyncio.get_running_loop()
    controller = Controller(MemoryCluster(ASLEEP), None, lambda: START + loop.time(), Cadence(), "epoch")
    running = asyncio.create_task(controller.run())
    controller.activator_connected("one")
    arrived, heard = 0, []
    for second in range(60):
        arrived += second == 40
        push = StatsPush(False, {CHAT: stats("activator/one", float(second), arrived=arrived)})
        controller.activator_pushed("one", push)
        await asyncio.sleep(1)
        heard.append(len(controller.services[CHAT].history.last(100)))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert heard[39] - heard[19] == 2
    assert heard[42] - heard[39] >= 1


@pytest.mark.parametrize("slept", [21, 26, 33, 47])
def test_what_is_decided_after_sleep_is_to_the_byte_what_would_have_been(slept: int) -> None:
    lines = []
    for every_time in (True, False):
        service = Sleeper(every_time=every_time)
        service.seconds(slept)
        service.lines.clear()
        service.now += 0.5
        service.tell(waiting=7, arrived=7)
        service.evaluate()
        lines.append(service.lines)
    assert len(lines[0]) == 2
    assert lines[0] == lines[1]
