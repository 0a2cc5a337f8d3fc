"""What the API says of a service, as JSON objects. Pure: the same knowledge gives the same report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from autoscaler.cluster.interface import Replica, ReplicaPhase, ServiceView
from autoscaler.controller.service.control import ServiceControl
from autoscaler.controller.service.deletion_order import Heard
from autoscaler.controller.service.faults import Fault
from autoscaler.controller.service.wakes import Wake
from autoscaler.decide.decision_json import decision_to_json
from autoscaler.decide.observation_json import observation_to_json
from autoscaler.policy.canonical import policy_to_json
from autoscaler.policy.scaling_policy import ScalingMode
from autoscaler.signals.observation import Observation
from autoscaler.signals.reading import Known, Reading

JsonObject = dict[str, object]


def summary(control: ServiceControl, now: float) -> JsonObject:
    """One service's entry in `/services`, as of `now`. Numbers that are not known are null, never 0."""
    view, live, phase, gpus = control.view, control.live(now), control.phase, control.gpus(now)
    # A decision that was made before scaling was switched off says nothing of now.
    idle = control.policy.mode is ScalingMode.OFF or bool(view.refused) or not view.deployed
    decision = None if idle else control.history.latest
    phases = Counter(replica.phase for replica in view.replicas)
    worst = control.faults.worst
    return {
        "service": view.service,
        "mode": control.policy.mode.value,
        "phase": None if phase is None else phase.value,
        "reason": None if decision is None else decision.reason.value,
        "explanation": _explanation(control),
        "desired": None if decision is None else decision.desired,
        "wanted": control.wanted,
        **{phase.value: phases[phase] for phase in ReplicaPhase},
        "in_flight": _known(live.in_flight()),
        "held": _known(live.held()),
        "gpu_utilization": _known(gpus.utilization),
        "gpu_memory": _known(gpus.memory),
        "panic": decision is not None and decision.panic,
        "expected_wake_seconds": control.wakes.expected_seconds(),
        "port": view.port,
        "url": url_of(view),
        "refused": [asdict(refusal) for refusal in view.refused],
        "error": None if worst is None else worst.message,
        "trouble": _trouble(view),
    }


def explanation(control: ServiceControl, last: int, now: float, connected: Iterable[str]) -> JsonObject:
    """Everything that `/explain` says, with the newest `last` decisions."""
    view, policy = control.view, control.policy
    return {
        **summary(control, now),
        "at": now,
        "generation": view.generation,
        "policy": {
            "in_force": None if policy.policy is None else policy_to_json(policy.policy),
            "generation": policy.generation if policy.policy is not None else None,
            "origins": [asdict(origin) for origin in policy.origins],
            "mistakes": list(policy.mistakes),
        },
        "readings": None if control.observation is None else _readings(control.observation),
        "decisions": [decision_to_json(decision) for decision in control.history.last(last)],
        "changes": [decision_to_json(decision) for decision in control.history.last_changes(last)],
        "replicas": [_replica(replica, control, now) for replica in view.replicas],
        "start_phases": {phase.value: asdict(times) for phase, times in control.starts.distributions.items()},
        "start_samples": {phase.value: list(seconds) for phase, seconds in control.starts.samples.items()},
        "wakes": [_wake(wake) for wake in control.wakes.last(last)],
        "activators": [_activator(name, control, now, set(connected)) for name in _activators(control, connected)],
        "faults": [_fault(fault) for fault in control.faults.current],
    }


def _trouble(view: ServiceView) -> str | None:
    """What keeps its newest replica from being ready, in one line; None while all goes as it should."""
    kept = [r for r in view.replicas if r.reason and r.phase not in (ReplicaPhase.READY, ReplicaPhase.DRAINING)]
    if not kept:
        return None
    newest = max(kept, key=lambda replica: replica.created_at)
    what, *more = str(newest.reason).splitlines()
    # Where a log is quoted, its last line is the one that says most: exceptions end with their message.
    return f"{newest.name} is {newest.phase.value}: {what}{f' {more[-1]}' if more and what.endswith(':') else ''}"


def url_of(view: ServiceView) -> str | None:
    """Where clients send requests: what the object's status says, else the activator's port on this machine. Not known
    of a service that asks nothing of us any more, as nothing is kept of its object."""
    if not view.inference_service:
        return None
    status = view.inference_service.get("status")
    if isinstance(status, Mapping) and isinstance(status.get("url"), str):
        return str(status["url"])
    return f"http://127.0.0.1:{view.port}" if view.port else None


def _explanation(control: ServiceControl) -> str:
    decision = control.history.latest
    if control.view.refused:
        return "not scaled: " + "; ".join(refusal.message for refusal in control.view.refused)
    if control.policy.policy is None:
        return "not scaled: its policy cannot be read"
    if control.policy.mode is ScalingMode.OFF:
        return "not scaled: the policy says off"
    if not control.view.deployed:
        return "nothing to scale yet: KServe has made no Deployment for it"
    if decision is None:
        return "nothing decided yet: waiting for the first numbers"
    shadow = "in shadow, nothing is ordered: " if control.policy.mode is ScalingMode.SHADOW else ""
    return shadow + decision.explanation


def _replica(replica: Replica, control: ServiceControl, now: float) -> JsonObject:
    heard = control.replicas_heard.get(replica.name)
    return {
        "name": replica.name,
        "phase": replica.phase.value,
        "created_at": replica.created_at,
        "ready_at": replica.ready_at,
        "address": None if replica.host is None else f"{replica.host}:{replica.port}",
        "reason": replica.reason,
        **_heard(heard, now),
        "service_seconds": _mean_service_seconds(heard),
    }


def _activator(name: str, control: ServiceControl, now: float, connected: set[str]) -> JsonObject:
    return {"name": name, "connected": name in connected, **_heard(control.activators_heard.get(name), now)}


def _activators(control: ServiceControl, connected: Iterable[str]) -> list[str]:
    return sorted({*control.activators_heard, *connected})


def _heard(heard: Heard | None, now: float) -> JsonObject:
    """The last numbers of a source, and how old they are; null when there are none."""
    stats = None if heard is None else heard.stats
    return {
        "heard_seconds_ago": None if heard is None else max(0.0, now - heard.at),
        "running": None if stats is None else stats.running,
        "waiting": None if stats is None else stats.waiting,
        "arrived": None if stats is None else stats.arrived,
        "completed": None if stats is None else stats.completed,
        "refused": None if stats is None else stats.refused,
        "failed": None if stats is None else stats.failed,
        "abandoned": None if stats is None else stats.abandoned,
    }


def _mean_service_seconds(heard: Heard | None) -> float | None:
    if heard is None or not heard.stats.completed:
        return None
    return heard.stats.service_seconds / heard.stats.completed


def _wake(wake: Wake) -> JsonObject:
    return {**asdict(wake), "seconds": wake.seconds}


def _fault(fault: Fault) -> JsonObject:
    return {**asdict(fault), "kind": fault.kind.value}


def _known(reading: Reading) -> float | None:
    return reading.value if isinstance(reading, Known) else None


def _readings(observation: Observation) -> JsonObject:
    """As a recording has them, without the samples, which the windows have taken in."""
    return {name: value for name, value in observation_to_json(observation).items() if name != "samples"}
