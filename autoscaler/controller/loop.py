"""The loop: observe, decide, act, for every service, each on its own.

Three things feed it: the cluster's views, the scrapes of replicas, the pushes of activators. Each is put where it
belongs at once; what comes of it is decided and done by each service's own tasks (`service.tasks`).

`run` may be cancelled at any time and leaves nothing behind: whoever leads runs it, whoever does not, does not.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Iterator, Mapping

from activator.messages import StatsPush
from autoscaler.cluster.interface import Cluster, ServiceView
from autoscaler.controller.clock import Clock
from autoscaler.controller.metrics import Metrics, Sample
from autoscaler.controller.pauses import FewAtOnce, with_pauses
from autoscaler.controller.readings.activator_connections import ActivatorConnections
from autoscaler.controller.readings.early_pushes import EarlyPush, EarlyPushes
from autoscaler.controller.readings.gpu_metrics import GpuMetrics
from autoscaler.controller.readings.scrape import Scraper
from autoscaler.controller.recorder import Recorder
from autoscaler.controller.service.control import ServiceControl
from autoscaler.controller.service.events import of_policy, of_refusals
from autoscaler.controller.service.faults import FaultKind
from autoscaler.controller.service.routes import RoutingTable
from autoscaler.controller.service.tasks import EVALUATED_AT_ONCE, ServiceTasks, Surroundings
from autoscaler.controller.service.warmup import ActivatorsHeard
from autoscaler.controller.service_samples import service_samples
from autoscaler.controller.settings import Cadence
from autoscaler.decide.decider import seconds_remembered
from queue_proxy.messages import Stats

_log = logging.getLogger(__name__)

_WATCH_PAUSE = 0.5
# How many services' views are taken in before everything else has its turn. A controller that is busy with a thousand
# of them for a second answers nobody, and does not renew the lease that it has just been given.
_VIEWS_AT_ONCE = 10


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
        self._services: dict[str, ServiceTasks] = {}
        self._table = RoutingTable(epoch)
        self._published = -1
        self._heard = ActivatorsHeard(cadence, clock())
        self._early = EarlyPushes()
        self._scraper = Scraper(self, cadence)
        self.connections = ActivatorConnections(self)
        self._metrics = Metrics(self)
        self._around = Surroundings(
            cluster,
            clock,
            cadence,
            recorder,
            self._metrics,
            self._heard,
            self._scraper.untried,
            FewAtOnce(EVALUATED_AT_ONCE),
        )
        self._gpus = gpus
        self.seen_cluster = False
        self._messages_refused = 0

    # What is shown

    @property
    def services(self) -> Mapping[str, ServiceControl]:
        """What is known of each service, in order of their names."""
        return {name: self._services[name].control for name in sorted(self._services)}

    @property
    def activators(self) -> tuple[str, ...]:
        """Names of the activators that are connected."""
        return self.connections.connected

    @property
    def cluster_trouble(self) -> tuple[str, ...]:
        """Why what the cluster shows may be old."""
        return self._cluster.trouble

    @property
    def recording(self) -> str | None:
        """Where a recording is written, or why it is no longer; None when none was asked for."""
        return None if self._recorder is None else self._recorder.problem or str(self._recorder.path)

    async def metrics_text(self) -> bytes:
        """The page of `/metrics`."""
        return await self._metrics.text()

    # See metrics.Shown

    def of_the_controller(self) -> Iterator[Sample]:
        """See Shown."""
        yield "pilotlight_cluster_trouble", (), len(self._cluster.trouble)
        yield "pilotlight_activators_connected", (), len(self.connections.connected)
        yield "pilotlight_activator_messages_refused", (), self._messages_refused
        if self._gpus is not None:
            if self._gpus.up is not None:
                yield "pilotlight_gpu_metrics_up", (), self._gpus.up
            yield "pilotlight_gpu_metrics_failures", (), self._gpus.failures
        if self._recorder is not None:
            yield "pilotlight_recording", (), self._recorder.problem is None

    def names(self) -> list[str]:
        """See Shown."""
        return sorted(self._services)

    def of_a_service(self, service: str) -> Iterator[Sample]:
        """See Shown."""
        if service in self._services:
            yield from service_samples(self._services[service].control, self._clock())

    # Running

    async def run(self) -> None:
        """Control everything the cluster shows, until cancelled."""
        reading_gpus = None if self._gpus is None else asyncio.create_task(self._gpus.run(), name="read GPU metrics")
        try:
            while True:
                try:
                    async for views in self._cluster.watch():
                        await self._take_views(views)
                    return  # the cluster was closed
                except Exception as error:
                    # A cluster reconnects by itself; one that fails nevertheless must not end the control of what runs.
                    _log.error("watching the cluster: %s: %s; again in a moment", type(error).__name__, error)
                    _log.debug("%s", traceback.format_exc())
                    await asyncio.sleep(_WATCH_PAUSE)
        finally:
            for name in list(self._services):
                self._end(name)
            if reading_gpus is not None:
                reading_gpus.cancel()
            await self._scraper.close()

    # The cluster

    async def _take_views(self, views: tuple[ServiceView, ...]) -> None:
        """Whoever is heard meanwhile is heard. The table is published once, when everything is in it: one with half
        of the services would take away the endpoints of the others."""
        await with_pauses(self._take_each(views), _VIEWS_AT_ONCE)
        self.seen_cluster = True
        self._early.forget()
        self._publish()

    def _take_each(self, views: tuple[ServiceView, ...]) -> Iterator[None]:
        for name in self._services.keys() - {view.service for view in views}:
            _log.info("%s: is gone", name)
            self._end(name)
            self._metrics.forget(name)
            self._table.remove(name)
            yield
        for view in views:
            tasks = self._services.get(view.service)
            # Of many services few change at a time, and those that do not are the same objects.
            if tasks is None or (tasks.control.view is not view and tasks.control.view != view):
                self._take_view(view, self._clock())
                yield

    def _take_view(self, view: ServiceView, now: float) -> None:
        tasks = self._services.get(view.service)
        before = None if tasks is None else tasks.control.view
        if tasks is None:
            tasks = self._begin(view)
        with tasks.control.faults.contained(self._clock, FaultKind.VIEW):
            policy = tasks.control.policy
            measured = tasks.control.viewed(view, now)
            for event in (*of_refusals(before, view), *of_policy(policy, tasks.control.policy)):
                self._cluster.tell(view.service, event)
            if (record := tasks.control.policy.record) not in ("", view.recorded_policy):
                self._cluster.record_policy(view.service, record)
            self._metrics.measured(view.service, measured.starts, measured.wakes)
            route = tasks.control.route()
            if self._table.put(route):
                self.connections.prepare(route)
            tasks.lead_connections()
        self._scraper.follow(view.service, view.replicas, seconds_remembered(tasks.control.policy.to_serve_by))
        for early in self._early.take(view.service):
            self._hand_on(tasks, early.activator, early.stats, early.at, urgent=early.urgent)

    def _publish(self) -> None:
        """Tell the activators what is new. An empty table is told too, but none before the cluster was seen: it
        would take away the endpoints that they serve from."""
        if self._table.version != self._published:
            self._published = self._table.version
            self.connections.publish(self._table.routes())

    def _begin(self, view: ServiceView) -> ServiceTasks:
        control = ServiceControl(view, self._cadence, self._clock(), self._gpus)
        _log.info("%s: seen with %d replicas wanted, %d listed", view.service, view.wanted, len(view.replicas))
        tasks = self._services[view.service] = ServiceTasks(control, self._around)
        return tasks

    def _end(self, name: str) -> None:
        self._services.pop(name).end()
        self._scraper.follow(name, (), 0)

    # Replicas' numbers

    def scraped(self, service: str, replica: str, stats: Stats) -> None:
        """See ScrapeListener."""
        tasks = self._services.get(service)
        if tasks is not None:
            with tasks.control.faults.contained(self._clock, FaultKind.NUMBERS):
                tasks.control.scraped(replica, stats, self._clock())
            tasks.heard()

    def scrape_failed(self, service: str, replica: str, why: str) -> None:
        """See ScrapeListener."""
        tasks = self._services.get(service)
        if tasks is not None:
            tasks.control.scrape_failed(replica, why, self._clock())

    # Activators

    def activator_connected(self, activator: str) -> None:
        """See ActivatorListener."""
        _log.info("activator %s connected", activator)
        self._heard.connected(activator, self._clock())
        self._cluster.activator_heard(activator, speaks=True)

    def activator_pushed(self, activator: str, push: StatsPush) -> None:
        """See ActivatorListener."""
        now = self._clock()
        self._heard.pushed(activator, now)
        for name, stats in push.services.items():
            tasks = self._services.get(name)
            if tasks is not None:
                self._hand_on(tasks, activator, stats, now, urgent=push.urgent)
            elif not self.seen_cluster:
                self._early.keep(name, EarlyPush(activator, stats, now, push.urgent))
            # else it has not heard yet that the service is gone

    def _hand_on(self, tasks: ServiceTasks, activator: str, stats: Stats, at: float, *, urgent: bool) -> None:
        with tasks.control.faults.contained(self._clock, FaultKind.NUMBERS):
            tasks.heard(urgent=tasks.control.pushed(activator, stats, at, urgent=urgent))

    def activator_disconnected(self, activator: str, *, left: bool) -> None:
        """Its numbers stay, older and older: whom it holds is unknown then, not nobody; unless it said goodbye."""
        self._heard.disconnected(activator)
        if not left:
            _log.warning("activator %s disconnected", activator)
            self._cluster.activator_heard(activator, speaks=False)
            return
        _log.info("activator %s has ended", activator)
        self._early.left(activator)
        for tasks in self._services.values():
            tasks.control.activator_left(activator)

    def activator_message_refused(self, activator: str, why: str) -> None:
        """See ActivatorListener."""
        self._messages_refused += 1
        _log.warning("activator %s sent a message that is refused: %s", activator, why)
