"""One service and its tasks: one that decides, and two that place orders.

It decides every two seconds, and at once when somebody waits for a service that sleeps, each service on its own: one
that fails, or whose orders are not taken, disturbs no other. Nothing is decided on what is not known yet: see `warmup`.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from autoscaler.cluster.interface import Cluster
from autoscaler.controller.clock import Clock
from autoscaler.controller.metrics import Metrics
from autoscaler.controller.pauses import FewAtOnce
from autoscaler.controller.recorder import Recorder
from autoscaler.controller.service.actor import Actor, Order, PathOrder
from autoscaler.controller.service.bell import Bell
from autoscaler.controller.service.control import Evaluation, ServiceControl
from autoscaler.controller.service.events import of_order
from autoscaler.controller.service.faults import FaultKind
from autoscaler.controller.service.warmup import ActivatorsHeard
from autoscaler.controller.settings import Cadence
from autoscaler.decide.records import record_line

_log = logging.getLogger(__name__)

# What is waited for comes with news of the service; only that an activator is gone, or that it tells no more, does not.
_WARM_UP_LOOK = 0.5
# By as much at most, as the event loop counts in milliseconds. Who then waited for the rest would spin.
_TIMERS_ARE_EARLY = 0.001
# All services have their turn one after the other: alone, between readings of replicas, each would find the processor's
# caches cold and take half as long again. Everything else has its own turn after so many of them, which hold it up by
# some milliseconds; all of a thousand would by a tenth of a second.
EVALUATED_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What services have in common.

    heard     whether activators have said whom they hold
    untried   whether a replica of a service was not asked yet for its numbers
    turns     of those that evaluate
    """

    cluster: Cluster
    clock: Clock
    cadence: Cadence
    recorder: Recorder | None
    metrics: Metrics
    heard: ActivatorsHeard
    untried: Callable[[str], bool]
    turns: FewAtOnce


class ServiceTasks:
    """Runs from the moment it is made until it is ended; to be made within an event loop."""

    def __init__(self, control: ServiceControl, around: Surroundings) -> None:
        """`control` has been shown the service once."""
        self.control = control
        self._around = around
        self._actor: Actor[Order] = Actor(around.cluster, self._placed, self._failed)
        self._path: Actor[PathOrder] = Actor(around.cluster, self._path_placed, self._path_failed)
        self._urgent = Bell()
        self._news = Bell()
        service = control.view.service
        self._tasks = (
            asyncio.create_task(self._decide_for_ever(), name=f"decide {service}"),
            asyncio.create_task(self._actor.run(), name=f"act {service}"),
            asyncio.create_task(self._path.run(), name=f"lead {service}"),
        )

    def end(self) -> None:
        """Decide and order nothing more."""
        for task in self._tasks:
            task.cancel()

    def heard(self, *, urgent: bool = False) -> None:
        """A source has told of it; `urgent`: somebody waits, and it sleeps."""
        if urgent:
            self._urgent.ring()
        self._news.ring()

    def lead_connections(self) -> None:
        """Have connections led as the control says now."""
        order = self.control.path_order(self._around.clock())
        if order is None:
            self._path.withdraw()
        else:
            self._path.order(order)

    # Orders

    def _placed(self, order: Order) -> None:
        _log.info("%s: ordered %d replicas", order.service, order.replicas)
        if order.decision is not None:
            self._around.cluster.tell(order.service, of_order(order.decision))
        self.control.order_placed(order.replicas, self._around.clock())

    def _failed(self, order: Order, why: str) -> None:
        self.control.order_failed(order.replicas, why, self._around.clock())

    def _path_placed(self, order: PathOrder) -> None:
        self.control.path_placed(order.in_path, self._around.clock())

    def _path_failed(self, order: PathOrder, why: str) -> None:
        self.control.path_failed(order.in_path, why, self._around.clock())

    # Deciding

    async def _decide_for_ever(self) -> None:
        await self._warmed_up()
        # Thousands of services are warm at the same moment, when the last activator has had its time.
        await self._around.turns.my_turn(urgent=self.control.waited_for)
        self._evaluate()
        clock = asyncio.get_running_loop().time
        period = self._around.cadence.evaluation
        due = next_turn(period, clock())
        again = clock()  # when the next urgent push may be evaluated
        while True:
            urgent = await self._urgent.rung_within(due - clock())
            if urgent:
                # What has come since the last one is worth an evaluation, but not one for each request.
                await asyncio.sleep(max(0.0, min(again, due) - clock()))
                self._urgent.hush()
                again = clock() + self._around.cadence.urgent_gap
            if clock() >= due - _TIMERS_ARE_EARLY:
                # Periods that were missed, because the machine slept, are not made up for.
                due = next_turn(period, clock() + _TIMERS_ARE_EARLY)
            if urgent or not self.control.quiescence.lasts(self._around.clock()):
                await self._around.turns.my_turn(urgent=urgent)
                self._evaluate()

    async def _warmed_up(self) -> None:
        """Returns once what is not known yet is not worth waiting for."""
        around, control = self._around, self.control
        while True:
            queued = around.untried(control.view.service)
            until = max(around.heard.until(control.activators_heard), control.warm_from(queued=queued))
            left = until - around.clock()
            if left <= 0:
                return
            self._news.hush()
            await self._news.rung_within(min(left, _WARM_UP_LOOK))

    def _evaluate(self) -> None:
        began = perf_counter()
        control, metrics = self.control, self._around.metrics
        with control.faults.contained(self._around.clock, FaultKind.EVALUATION):
            evaluation = control.evaluate(self._around.clock())
            if evaluation is None:
                self._actor.withdraw()
            else:
                self._carry_out(evaluation)
            self.lead_connections()
            if measured := control.starts.take():
                metrics.started(control.view.service, [(time.phase.value, time.seconds) for time in measured])
        metrics.evaluated(perf_counter() - began)

    def _carry_out(self, evaluation: Evaluation) -> None:
        # Written down first: a recording must hold every decision that had an effect.
        if self._around.recorder is not None:
            self._write_down(evaluation, self._around.recorder)
        if evaluation.order is not None:
            self._actor.order(evaluation.order)
        else:
            self._actor.withdraw()
        if evaluation.changed:
            made = evaluation.decision
            _log.info("%s: %s, %d replicas: %s", made.service, made.reason.value, made.desired, made.explanation)

    def _write_down(self, evaluation: Evaluation, recorder: Recorder) -> None:
        faults, clock = self.control.faults, self._around.clock
        with faults.contained(clock, FaultKind.RECORDING):
            recorder.write(*map(record_line, evaluation.records))
            if recorder.problem is None:
                faults.clear(FaultKind.RECORDING)
            else:  # a log that nobody reads is not enough: who asked for a recording counts on having it
                faults.add(FaultKind.RECORDING, recorder.problem, clock())


def next_turn(period: float, after: float) -> float:
    """When services are decided on next: the first multiple of `period`, by the event loop's clock, after `after`."""
    return period * (math.floor(after / period) + 1)
