"""One service's side of the loop: what is known of it, what was decided, what is to be done.

No I/O and no clock here: views, scrapes and pushes come in with the time they came at; an evaluation returns what was
decided and what to order. Whatever is wrong with the service ends here, as a fault that is kept and shown.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from activator.messages import Route
from autoscaler.cluster.interface import ServiceView
from autoscaler.controller.readings.gpu_metrics import GpuMetrics
from autoscaler.controller.service.actor import Order, PathOrder
from autoscaler.controller.service.deletion_order import Heard, go_first, heard
from autoscaler.controller.service.faults import FaultKind, Faults
from autoscaler.controller.service.history import DecisionHistory
from autoscaler.controller.service.listed import listed
from autoscaler.controller.service.placed_orders import PlacedPath, PlacedReplicas
from autoscaler.controller.service.policy_in_force import PolicyInForce
from autoscaler.controller.service.quiescence import Quiescence
from autoscaler.controller.service.routes import route_for
from autoscaler.controller.service.start_phases import StartLog
from autoscaler.controller.service.wakes import Measured, WakeLog
from autoscaler.controller.service.warmup import ReplicasHeard
from autoscaler.controller.settings import Cadence
from autoscaler.decide.decide import phase_of
from autoscaler.decide.decider import Decider
from autoscaler.decide.decision import Decision, Phase, Reason
from autoscaler.decide.records import DecisionRecord, PolicyRecord, ReadingsRecord, Record, StartRecord
from autoscaler.policy.scaling_policy import ScalingMode
from autoscaler.signals.collector import Collector
from autoscaler.signals.gpu import NO_GPU_READINGS, GpuReadings
from autoscaler.signals.observation import Observation, ReplicaCounts
from autoscaler.signals.present import LiveSources
from autoscaler.signals.value_type import value_type
from queue_proxy.messages import Stats


@value_type(frozen=True)
class Evaluation:
    """What came of one evaluation.

    policies  by what it was decided, where that is another policy than at the last one
    changed   the decision differs from the one before
    order     what to place now
    """

    policies: tuple[StartRecord | PolicyRecord, ...]
    observation: Observation
    decision: Decision
    changed: bool
    order: Order | None

    @property
    def records(self) -> tuple[Record, ...]:
        """What a recording holds of it."""
        service = self.decision.service
        return (*self.policies, ReadingsRecord(service, self.observation), DecisionRecord(self.decision))


class ServiceControl:
    """Everything the controller knows of one service."""

    def __init__(self, view: ServiceView, cadence: Cadence, now: float, gpus: GpuMetrics | None = None) -> None:
        self.view = view
        self._listed = listed(view)
        self._gpus = gpus
        self.policy = PolicyInForce()
        self.faults = Faults(view.service)
        self.history = DecisionHistory(cadence.decisions_kept)
        self.reasons: Counter[Reason] = Counter()
        self.wakes = WakeLog()
        self.starts = StartLog()
        self.replicas_heard: dict[str, Heard] = {}
        self.activators_heard: dict[str, Heard] = {}
        self.observation: Observation | None = None
        self._collector = Collector(self.policy.to_serve_by.stale_after_seconds)
        self._decider: Decider | None = None
        self._new_policies: tuple[StartRecord | PolicyRecord, ...] = ()
        self._ever_ready = False
        self._placed = PlacedReplicas()
        self._path = PlacedPath()
        self._replicas_warm = ReplicasHeard(cadence, self._listed.ready, now)
        self.quiescence = Quiescence(cadence.asleep)

    # What comes in

    def viewed(self, view: ServiceView, now: float) -> Measured:
        """Take the cluster's view; returns what it tells of start times."""
        before, self.view, self._listed = self.view, view, listed(view)
        self.quiescence.disturb()
        says = (before.inference_service, before.profiles) != (view.inference_service, view.profiles)
        if self.policy.policy is None or says:
            self._take_policy(now)
        if before.generation != view.generation:
            self._ever_ready = False
        self.faults.clear(FaultKind.VIEW)
        names = self._listed.names
        ready_now = any(replica.ready_at is not None for replica in view.replicas)
        self._ever_ready = self._ever_ready or view.ever_ready or ready_now
        self._replicas_warm.keep(names)
        self.faults.keep_subjects(FaultKind.SCRAPE, names)
        self.replicas_heard = {name: last for name, last in self.replicas_heard.items() if name in names}
        self._placed.seen(view.wanted)
        self.starts.viewed(view.replicas, now)
        return self.wakes.replicas(self.starts.corrected(replica) for replica in view.replicas)

    def scraped(self, replica: str, stats: Stats, now: float) -> None:
        """A replica's queue proxy answered."""
        self.quiescence.disturb()
        self._collector.receive(stats, now)
        self.replicas_heard[replica] = heard(stats, now)
        self._replicas_warm.scraped(replica)
        self.faults.clear(FaultKind.SCRAPE, replica)
        # The proxy's clock is its own: only how long ago it was can be told here.
        if stats.ready_at is not None:
            self.starts.model_ready(replica, now - max(0.0, stats.at - stats.ready_at))
        if stats.first_request_at is not None:
            at = now - max(0.0, stats.at - stats.first_request_at)
            self.wakes.first_request(replica, at)
            self.starts.first_request(replica, at)

    def scrape_failed(self, replica: str, why: str, now: float) -> None:
        """A replica's queue proxy did not answer."""
        self.faults.add(FaultKind.SCRAPE, why, now, subject=replica)

    def pushed(self, activator: str, stats: Stats, now: float, *, urgent: bool) -> bool:
        """An activator told of this service; True when somebody waits there and should be decided on at once."""
        # The name is the connection's, whatever the message says: one activator cannot speak for another.
        source = f"activator/{activator}"
        if stats.source != source:
            stats = replace(stats, source=source)
        waits = urgent and stats.waiting > 0 and not self._listed.ready
        before = self.activators_heard.get(activator)
        self.quiescence.hear(None if before is None else before.stats, stats)
        self._collector.receive(stats, now, urgent=waits)
        self.activators_heard[activator] = heard(stats, now)
        return waits

    def activator_left(self, activator: str) -> None:
        """An activator has ended, and holds nobody any more."""
        self.quiescence.disturb()
        self._collector.leave(f"activator/{activator}")
        self.activators_heard.pop(activator, None)

    def order_placed(self, replicas: int, now: float) -> None:
        """The cluster took an order."""
        self._placed.taken(replicas, self.view.wanted, now)
        self.faults.clear(FaultKind.ORDER)

    def order_failed(self, replicas: int, why: str, now: float) -> None:
        """The cluster did not take an order; it is tried again."""
        self.faults.add(FaultKind.ORDER, f"{replicas} replicas could not be ordered: {why}", now)

    def path_placed(self, in_path: bool, now: float) -> None:
        """The cluster took it that the activator shall be in the path, or out of it."""
        self._path.taken(in_path, now)
        self.faults.clear(FaultKind.PATH)

    def path_failed(self, in_path: bool, why: str, now: float) -> None:
        """The cluster did not do that; it is tried again."""
        what = "put in the path" if in_path else "taken out of the path"
        self.faults.add(FaultKind.PATH, f"the activator could not be {what}: {why}", now)

    # What goes out

    @property
    def wanted(self) -> int:
        """Replicas last ordered, whether or not the cluster shows it yet."""
        return self._placed.wanted(self.view.wanted)

    @property
    def counts(self) -> ReplicaCounts:
        """Replicas by phase, as the cluster shows them."""
        counts, wanted = self._listed.counts, self.wanted
        return counts if counts.wanted == wanted else replace(counts, wanted=wanted)

    @property
    def phase(self) -> Phase | None:
        """Where in its life the service is now; None while nothing is decided for it.

        Not what the last decision said: a replica may have become ready since. In shadow it is what is there.
        """
        decision = self.history.latest
        if decision is None or self._left_alone:
            return None
        return phase_of(self.counts, decision.desired if self.policy.mode is ScalingMode.ON else self.wanted)

    @property
    def _left_alone(self) -> bool:
        """Nothing is decided. Without a Deployment the numbers look like sleep, and one that is made a moment later
        would be scaled to zero before its model has ever been ready."""
        return self.policy.mode is ScalingMode.OFF or bool(self.view.refused) or not self.view.deployed

    def live(self, now: float) -> LiveSources:
        """What is in flight and held now: what each source said last, which is later than the last evaluation."""
        return self._collector.live(now, ready=self._listed.ready, present=self._listed.names)

    def gpus(self, now: float) -> GpuReadings:
        """What the GPUs of its ready replicas do, by what was read last."""
        if self._gpus is None:
            return NO_GPU_READINGS
        return self._gpus.readings(self.view.service, self._listed.ready, now)

    def warm_from(self, *, queued: bool) -> float:
        """From when on every replica that was there at the start has been heard, or has had its time; `queued`: one
        was not even asked yet."""
        return self._replicas_warm.until(queued=queued)

    @property
    def waited_for(self) -> bool:
        """Somebody waits, and it sleeps."""
        return not self._listed.ready and any(last.stats.waiting > 0 for last in self.activators_heard.values())

    def evaluate(self, now: float) -> Evaluation | None:
        """Decide; None when this service is not to be decided on. May raise whatever deciding raises."""
        self._placed.settle(now)
        observation = self._collector.collect(
            now,
            ready=self._listed.ready,
            present=self._listed.names,
            replicas=self.counts,
            wake_seconds=self.wakes.expected_seconds(),
            # In shadow it is in nobody's path; what would be done is asked, and it would be put there first.
            activator_confirmed=self.view.activator_in_path or self.policy.mode is ScalingMode.SHADOW,
            ever_ready=self._ever_ready,
            gpus=self.gpus(now),
        )
        self.observation = observation
        self.starts.settle(now)
        return self.decide(observation, now)

    def decide(self, observation: Observation, now: float) -> Evaluation | None:
        """What follows from these readings, collected now or recorded once; None where nothing is to be decided."""
        if self._decider is None or self._left_alone:
            return None
        decision = self._decider.step(observation)
        # What is awake is heard of all the time, so that to prove anything of it would be for nothing.
        self.quiescence.decided(
            self._decider.repeats_until(observation, decision) if decision.desired == 0 else None, now
        )
        changed = self.history.add(decision)
        self.reasons[decision.reason] += 1
        self.faults.clear(FaultKind.EVALUATION)
        self.faults.clear(FaultKind.NUMBERS)
        order, wanted = None, self.wanted
        if self.policy.mode is ScalingMode.ON and decision.desired != wanted:
            order = Order(self.view.service, decision.desired, self.go_first(), decision)
            if decision.desired > wanted:
                self.starts.decided(now, decision.desired)
            self.wakes.decided(now, wanted, decision.desired, self._listed.names)
        policies, self._new_policies = self._new_policies, ()
        return Evaluation(policies, observation, decision, changed, order)

    def path_order(self, now: float) -> PathOrder | None:
        """Where the activator shall be, as long as the cluster was not told.

        In the path as soon as nothing is ready, decided or not: until it is, connections are refused. Otherwise as the
        last decision says.
        """
        if self._decider is None or self.policy.mode is not ScalingMode.ON or self.view.refused:
            self._path.forget()
            return None
        decision = self.history.latest
        if not self._listed.ready:
            in_path = True
        elif decision is not None:
            in_path = decision.activator_in_path
        else:
            return None
        return PathOrder(self.view.service, in_path) if self._path.due(in_path, now) else None

    def route(self) -> Route:
        """How activators shall serve it."""
        return route_for(self.view, self.policy.to_serve_by, self.wakes.expected_seconds())

    def go_first(self) -> tuple[str, ...]:
        """All replicas, those that can best be spared first."""
        return go_first(self.view.replicas, self.replicas_heard)

    def _take_policy(self, now: float) -> None:
        before, view = self.policy, self.view
        self.policy = before.following(view.inference_service, view.generation, view.profiles, view.recorded_policy)
        if self.policy.mistakes:
            self.faults.add(FaultKind.POLICY, "; ".join(self.policy.mistakes), now)
        else:
            self.faults.clear(FaultKind.POLICY)
        policy = self.policy.policy
        if policy is None or policy == before.policy:
            return
        self._collector.stale_after_seconds = policy.stale_after_seconds
        if self._decider is None:
            self._decider = Decider(self.view.service, policy)
            self._new_policies = (StartRecord(self.view.service, policy),)
        else:
            self._decider.change_policy(policy)
            self._new_policies += (PolicyRecord(self.view.service, policy),)
