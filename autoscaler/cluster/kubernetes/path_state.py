"""One service's place between pods and activators: what is, what shall be, and what has spread.

No I/O and no clock here: facts come in with the time they came at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from autoscaler.cluster.kubernetes.activator_pods import Activators
from autoscaler.cluster.kubernetes.slices import SliceFacts, Target, Wanted


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be known of a service.

    target    KServe's Service for its predictor, None while there is none
    managed   we scale it; otherwise it is handed back: started if we had put it to sleep, and then left alone
    replicas  asked of its Deployment
    ready     pods that are
    ready_generation  the newest generation of which a pod was ready, −1: none
    """

    target: Target | None
    managed: bool
    replicas: int
    ready: int
    ready_generation: int = -1


class PathState:
    """One service, or what is left of it when its InferenceService is gone (`subject` None, since `gone_at`).

    wish    whether the activator shall be in the path; None: as it is
    policy  that shall be recorded; empty: the one that is
    """

    def __init__(self, service: str, now: float) -> None:
        self.service = service
        self.subject: Subject | None = None
        self.gone_at = now
        self.wish: bool | None = None
        self.policy = ""
        self._ready_since = math.inf
        self._slices: dict[str, SliceFacts] = {}
        self._led_since: dict[str, float] = {}
        self._empty_since = -math.inf

    # What is

    @property
    def target(self) -> Target | None:
        """KServe's Service, while there is one."""
        return None if self.subject is None else self.subject.target

    @property
    def slices(self) -> tuple[SliceFacts, ...]:
        """All slices of ours for it, the right ones and others."""
        return tuple(self._slices.values())

    @property
    def names_activators(self) -> bool:
        """Some slice names an activator."""
        return any(facts.endpoints for facts in self._slices.values())

    @property
    def ready_generation(self) -> int:
        """As recorded; −1: not."""
        return max((g for facts in self._slices.values() if (g := facts.ready_generation) is not None), default=-1)

    @property
    def recorded_policy(self) -> str:
        """As recorded; empty: not."""
        return next((facts.policy for facts in self._slices.values() if facts.policy), "")

    @property
    def to_be_handed_back(self) -> bool:
        """We had put it to sleep (nothing is ordered of its Deployment, who connects reaches an activator), and may do
        so no longer."""
        subject = self.subject
        if subject is None or subject.replicas > 0 or not self.names_activators:
            return False
        return not subject.managed or (subject.target is not None and bool(subject.target.problem))

    def in_path(self, activators: Activators, now: float, spread: float) -> bool:
        """For each family of addresses, a ready activator has been led to for as long as it takes to spread."""
        if self.target is None:
            return False
        since = now - spread
        return all(
            any(
                endpoint.address in activators.ready and self._led_since.get(endpoint.address, now) <= since
                for endpoint in activators.of_family(family)
            )
            for family in self.target.families
        )

    def left(self, now: float, spread: float) -> bool:
        """No slice has named an activator for as long as it takes to spread."""
        return self._empty_since <= now - spread

    def leaves_at(self, settle: float) -> float:
        """When activators may leave a service that has pods ready: Kubernetes leads connections to a pod some time
        after it became ready, and until then nobody else takes them. Infinite while none is ready."""
        return self._ready_since + settle

    # What comes in

    def follow(self, subject: Subject | None, now: float) -> None:
        """The service is as told; None: there is none."""
        if subject is None:
            self.gone_at = now
        if subject is None or subject.ready == 0:
            self._ready_since = math.inf
        elif self._ready_since == math.inf:
            self._ready_since = now
        self.subject = subject

    def hear(self, before: SliceFacts | None, after: SliceFacts | None) -> bool:
        """A watch tells of a slice; False when we know better, because we have written since.

        That one is gone is always believed: a slice that is not there must never be taken for one that is.
        """
        if after is None:
            if before is not None:
                self.take(before.name, None)
            return before is not None
        known = self._slices.get(after.name)
        if known is not None and _is_older(after, known):
            return False
        self.take(after.name, after)
        return True

    def take(self, name: str, facts: SliceFacts | None) -> None:
        """A slice is so, by the API server's own answer; None: there is none of that name."""
        if facts is None:
            self._slices.pop(name, None)
        else:
            self._slices[name] = facts

    def look(self, port: int, now: float) -> None:
        """Note since when whom is led to; to be called after each change. `port` is the activator's for it."""
        led = {
            endpoint.address
            for facts in self._slices.values()
            if self.target is not None and _leads(facts, self.target, port)
            for endpoint in facts.endpoints
        }
        self._led_since = {address: self._led_since.get(address, now) for address in led}
        if self.names_activators:
            self._empty_since = math.inf
        elif self._empty_since == math.inf:
            self._empty_since = now

    # What shall be

    def wanted(self, port: int, activators: Activators, now: float, settle: float) -> tuple[Wanted, ...]:
        """What its slices shall say; nothing: there shall be none.

        Whatever is wished for, nobody is sent away from a service that has no pod ready, or none for long enough. Who
        is not led to is the fallback.
        """
        subject, target = self.subject, self.target
        if subject is None or target is None or target.problem:
            return ()
        if self.wish is None:
            self.wish = self.names_activators
        kept = self.names_activators and now < self.leaves_at(settle)
        if not subject.managed and not kept:
            return ()
        led = kept or subject.ready == 0 or self.wish
        generation = max(subject.ready_generation, self.ready_generation)
        return tuple(
            Wanted(
                service=self.service,
                target=target,
                family=family,
                port=port,
                endpoints=activators.of_family(family) if led else (),
                fallback=() if led else activators.of_family(family),
                ready_generation=None if generation < 0 else generation,
                policy=self.policy or self.recorded_policy,
            )
            for family in target.families
        )


def _leads(facts: SliceFacts, target: Target, port: int) -> bool:
    """A slice that leads connections of this Service, of all its ports that can be led, to our port."""
    led = tuple((one, port) for one in target.ports)
    return facts.service_name == target.name and facts.family in target.families and facts.ports == led


def _is_older(facts: SliceFacts, known: SliceFacts) -> bool:
    """Versions are opaque, but of one object they grow as decimal numbers; where they do not, an event counts."""
    if facts.created != known.created or not (facts.version.isdigit() and known.version.isdigit()):
        return False
    return int(facts.version) < int(known.version)
