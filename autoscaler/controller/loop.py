"""The loop: observe, decide, act, for every service, each on its own.

Three things feed it: the cluster's views, the scrapes of replicas, the pushes of activators. Each is put where it
belongs at once. Each service has one task that decides (every two seconds, and at once when somebody waits for a
service that sleeps) and two that place orders, so that a service which fails, or whose orders are not taken,
disturbs no other. Nothing is decided on what is not known yet: see `warmup`.

`run` may be cancelled at any time and leaves nothing behind: whoever leads runs it, whoever does not, does not.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from time import perf_counter

from activator.messages import StatsPush
from autoscaler.cluster.interface import Cluster, ServiceView
from autoscaler.controller.actor import Actor, Order, PathOrder
from autoscaler.controller.clock import Clock
from autoscaler.controller.exposition import service_samples
from autoscaler.controller.faults import FaultKind
from autoscaler.controller.gpu_metrics import GpuMetrics
from autoscaler.controller.intake import Intake
from autoscaler.controller.metrics import Metrics, Sample
from autoscaler.controller.news import of_order, of_policy, of_refusals
from autoscaler.controller.recorder import Recorder
from autoscaler.controller.routes import RoutingTable
from autoscaler.controller.scrape import Scraper
from autoscaler.controller.service import Evaluation, ServiceControl
from autoscaler.controller.settings import Cadence
from autoscaler.controller.warmup import ActivatorsHeard
from autoscaler.decide.records import record_line
from queue_proxy.messages import Stats

_log = logging.getLogger(__name__)

_WARM_UP_LOOK = 0.1
_WATCH_PAUSE = 0.5
# By as much at most, as the event loop counts in milliseconds. Who then waited for the rest would spin.
_TIMERS_ARE_EARLY = 0.001


@dataclass(eq=False, slots=True)
class _Running:
    """One service and its tasks."""

    control: ServiceControl
    actor: Actor[Order]
    path: Actor[PathOrder]
    urgent: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: tuple[asyncio.Task[None], ...] = ()


class Controller:
    """All services of one cluster."""

    def __init__(
        self,
        cluster: Cluster,
        recorder: Recorder | None,
        clock: Clock,
        cadence: Cadence,
        epoch: str,
        gpus: GpuMetrics | None = None,
    ) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._clock = clock
        self._cadence = cadence
        self._running: dict[str, _Running] = {}
        self._table = RoutingTable(epoch)
        self._published = -1
        self._heard = ActivatorsHeard(cadence, clock())
        self._scraper = Scraper(self, cadence)
        self.intake = Intake(self)
        self._metrics = Metrics(self._samples)
        self._gpus = gpus
        self.seen_cluster = False
        self._messages_refused = 0

    # What is shown

    @property
    def services(self) -> Mapping[str, ServiceControl]:
        """What is known of each service, in order of their names."""
        return {name: self._running[name].control for name in sorted(self._running)}

    @property
    def activators(self) -> tuple[str, ...]:
        """Names of the activators that are connected."""
        return self.intake.connected

    @property
    def cluster_trouble(self) -> tuple[str, ...]:
        """Why what the cluster shows may be old."""
        return self._cluster.trouble

    @property
    def recording(self) -> str | None:
        """Where a recording is written, or why it is no longer; None when none was asked for."""
        return None if self._recorder is None else self._recorder.problem or str(self._recorder.path)

    def metrics_text(self) -> bytes:
        """The page of `/metrics`."""
        return self._metrics.text()

    def _samples(self) -> Iterator[Sample]:
        yield "pilotlight_cluster_trouble", (), len(self._cluster.trouble)
        yield "pilotlight_activators_connected", (), len(self.intake.connected)
        yield "pilotlight_activator_messages_refused", (), self._messages_refused
        if self._gpus is not None:
            if self._gpus.up is not None:
                yield "pilotlight_gpu_metrics_up", (), self._gpus.up
            yield "pilotlight_gpu_metrics_failures", (), self._gpus.failures
        if self._recorder is not None:
            yield "pilotlight_recording", (), self._recorder.problem is None
        now = self._clock()
        for control in self.services.values():
            yield from service_samples(control, now)

    # Running

    async def run(self) -> None:
        """Control everything the cluster shows, until cancelled."""
        reading_gpus = None if self._gpus is None else asyncio.create_task(self._gpus.run(), name="read GPU metrics")
        try:
            while True:
                try:
                    async for views in self._cluster.watch():
                        self._take_views(views)
                    return  # the cluster was closed
                except Exception as error:
                    # A cluster reconnects by itself; one that fails nevertheless must not end the control of what runs.
                    _log.error("watching the cluster: %s: %s; again in a moment", type(error).__name__, error)
                    _log.debug("%s", traceback.format_exc())
                    await asyncio.sleep(_WATCH_PAUSE)
        finally:
            for name in list(self._running):
                self._end(name)
            if reading_gpus is not None:
                reading_gpus.cancel()
            await self._scraper.close()

    # The cluster

    def _take_views(self, views: tuple[ServiceView, ...]) -> None:
        now = self._clock()
        gone = self._running.keys() - {view.service for view in views}
        self.seen_cluster = True
        for name in gone:
            _log.info("%s: is gone", name)
            self._end(name)
            self._metrics.forget(name)
            self._table.remove(name)
        for view in views:
            self._take_view(view, now)
        self._publish()

    def _take_view(self, view: ServiceView, now: float) -> None:
        running = self._running.get(view.service)
        before = None
        if running is None:
            running = self._begin(view)
        elif (before := running.control.view) is view or before == view:
            return  # of many services few change at a time, and those that do not are the same objects
        self._scraper.follow(view.service, view.replicas)
        with running.control.faults.contained(self._clock, FaultKind.VIEW):
            policy = running.control.policy
            measured = running.control.viewed(view, now)
            for news in (*of_refusals(before, view), *of_policy(policy, running.control.policy)):
                self._cluster.tell(view.service, news)
            self._metrics.measured(view.service, measured.starts, measured.wakes)
            self._table.put(running.control.route())
            self._lead_connections(running)

    def _publish(self) -> None:
        """Tell the activators what is new. An empty table is told too, but none before the cluster was seen: it
        would take away the endpoints that they serve from."""
        if self._table.version != self._published:
            self._published = self._table.version
            self.intake.publish(self._table.routes())

    def _begin(self, view: ServiceView) -> _Running:
        control = ServiceControl(view, self._cadence, self._clock(), self._gpus)
        _log.info("%s: seen with %d replicas wanted, %d listed", view.service, view.wanted, len(view.replicas))

        def placed(order: Order) -> None:
            _log.info("%s: ordered %d replicas", order.service, order.replicas)
            if order.decision is not None:
                self._cluster.tell(order.service, of_order(order.decision))
            control.order_placed(order.replicas, self._clock())

        def failed(order: Order, why: str) -> None:
            control.order_failed(order.replicas, why, self._clock())

        def path_placed(order: PathOrder) -> None:
            control.path_placed(order.in_path, self._clock())

        def path_failed(order: PathOrder, why: str) -> None:
            control.path_failed(order.in_path, why, self._clock())

        running = _Running(
            control, Actor(self._cluster, placed, failed), Actor(self._cluster, path_placed, path_failed)
        )
        running.tasks = (
            asyncio.create_task(self._decide_for_ever(running), name=f"decide {view.service}"),
            asyncio.create_task(running.actor.run(), name=f"act {view.service}"),
            asyncio.create_task(running.path.run(), name=f"lead {view.service}"),
        )
        self._running[view.service] = running
        return running

    def _end(self, name: str) -> None:
        running = self._running.pop(name)
        for task in running.tasks:
            task.cancel()
        self._scraper.follow(name, ())

    # Deciding

    async def _decide_for_ever(self, running: _Running) -> None:
        clock = asyncio.get_running_loop().time
        while not self._warm(running.control):
            running.news.clear()
            await _within(running.news, _WARM_UP_LOOK)
        period = self._cadence.evaluation
        self._evaluate(running)
        # Services that begin together are spread over the period, so that they do not all want the processor at once.
        due = clock() + period * (0.5 + 0.5 * zlib.crc32(running.control.view.service.encode()) / 2**32)
        again = clock()  # when the next urgent push may be evaluated
        while True:
            urgent = await _within(running.urgent, due - clock())
            if urgent:
                # What has come since the last one is worth an evaluation, but not one for each request.
                await asyncio.sleep(max(0.0, min(again, due) - clock()))
                running.urgent.clear()
                again = clock() + self._cadence.urgent_gap
            if clock() >= due - _TIMERS_ARE_EARLY:
                # Periods that were missed, because the machine slept, are not made up for.
                due += period * (1 + max(0.0, clock() - due) // period)
            if urgent or not running.control.slumber.lasts(self._clock()):
                self._evaluate(running)

    def _warm(self, control: ServiceControl) -> bool:
        now = self._clock()
        return self._heard.enough(control.activators_heard, now) and control.warm(now)

    def _evaluate(self, running: _Running) -> None:
        began = perf_counter()
        control = running.control
        with control.faults.contained(self._clock, FaultKind.EVALUATION):
            evaluation = control.evaluate(self._clock())
            if evaluation is None:
                running.actor.withdraw()
            else:
                self._carry_out(running, evaluation)
            self._lead_connections(running)
            self._metrics.started(control.view.service, control.starts.take())
        self._metrics.evaluated(perf_counter() - began)

    def _carry_out(self, running: _Running, evaluation: Evaluation) -> None:
        # Written down first: a recording must hold every decision that had an effect.
        if self._recorder is not None:
            with running.control.faults.contained(self._clock, FaultKind.RECORDING):
                self._recorder.write(*map(record_line, evaluation.records))
                if self._recorder.problem is None:
                    running.control.faults.clear(FaultKind.RECORDING)
                else:  # a log that nobody reads is not enough: who asked for a recording counts on having it
                    running.control.faults.add(FaultKind.RECORDING, self._recorder.problem, self._clock())
        if evaluation.order is not None:
            running.actor.order(evaluation.order)
        else:
            running.actor.withdraw()
        if evaluation.changed:
            made = evaluation.decision
            _log.info("%s: %s, %d replicas: %s", made.service, made.reason.value, made.desired, made.explanation)

    def _lead_connections(self, running: _Running) -> None:
        order = running.control.path_order(self._clock())
        if order is None:
            running.path.withdraw()
        else:
            running.path.order(order)

    # Replicas' numbers

    def scraped(self, service: str, replica: str, stats: Stats) -> None:
        """See ScrapeListener."""
        running = self._running.get(service)
        if running is not None:
            with running.control.faults.contained(self._clock, FaultKind.NUMBERS):
                running.control.scraped(replica, stats, self._clock())
            running.news.set()

    def scrape_failed(self, service: str, replica: str, why: str) -> None:
        """See ScrapeListener."""
        running = self._running.get(service)
        if running is not None:
            running.control.scrape_failed(replica, why, self._clock())

    # Activators

    def activator_connected(self, activator: str) -> None:
        """See IntakeListener."""
        _log.info("activator %s connected", activator)
        self._heard.connected(activator, self._clock())
        self._cluster.activator_heard(activator, speaks=True)

    def activator_pushed(self, activator: str, push: StatsPush) -> None:
        """See IntakeListener."""
        now = self._clock()
        self._heard.pushed(activator, now)
        for name, stats in push.services.items():
            running = self._running.get(name)
            if running is None:
                continue  # it has not heard yet that the service is gone
            with running.control.faults.contained(self._clock, FaultKind.NUMBERS):
                if running.control.pushed(activator, stats, now, urgent=push.urgent):
                    running.urgent.set()
                running.news.set()

    def activator_disconnected(self, activator: str, *, left: bool) -> None:
        """Its numbers stay, older and older: whom it holds is unknown then, not nobody; unless it said goodbye."""
        self._heard.disconnected(activator)
        if not left:
            _log.warning("activator %s disconnected", activator)
            self._cluster.activator_heard(activator, speaks=False)
            return
        _log.info("activator %s has ended", activator)
        for running in self._running.values():
            running.control.activator_left(activator)

    def activator_message_refused(self, activator: str, why: str) -> None:
        """See IntakeListener."""
        self._messages_refused += 1
        _log.warning("activator %s sent a message that is refused: %s", activator, why)


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """True when the event is set within so many seconds."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await event.wait()
    except TimeoutError:
        return False
    return True
