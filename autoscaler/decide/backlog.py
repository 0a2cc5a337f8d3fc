"""Backlog: what waits because no replica was there yet is worked off; it is not load that will go on.

From zero, every request waits until a model has loaded, for minutes on a GPU. Counted as concurrency, that queue asks
for as many replicas as would serve all of it at the same moment: hundreds, for seconds of work. What is needed is to
drain it in time. A replica that works on p requests at a time and on each for S seconds drains p·D/S requests in
D seconds, so `held` requests need ceil(held·S / (p·D)) replicas.

Two rules follow, each one of the named improvements:

- backlog_sizing: from the moment nothing is ready until the queue of that time has drained, a waiting request
  weighs min(1, S/D) of a slot, in the candidate made for it and in the windows, which otherwise would remember the
  queue for a whole stable window as if it had been load.
- starting_replicas_count: while replicas are on their way, a queue that grows for want of them is not a reason to
  order more, beyond what arrives (Little: rate·S) and what is needed to drain the queue.

Without a measured S nothing is known about draining, and a waiting request counts as any other.
"""

from __future__ import annotations

from autoscaler.decide.decision import Candidate, Signal
from autoscaler.decide.state import Backlog, Readings, replicas_on_their_way
from autoscaler.decide.target import parallelism, replicas_for, total_target, utilized_target
from autoscaler.policy.scaling_policy import Metric, ScalingPolicy
from autoscaler.signals.observation import Observation
from autoscaler.signals.reading import Known


def track_backlog(policy: ScalingPolicy, backlog: Backlog, observation: Observation, now: float) -> Backlog:
    """Whether waiting requests are a backlog, as of this observation.

    They become one when nothing is ready. They stop being one when a replica is ready and nothing waits, or
    `backlog_drain_seconds` after the last replica ordered meanwhile became ready.
    """
    replicas = observation.replicas
    if not policy.improvements.backlog_sizing:
        return Backlog()
    if replicas.ready == 0:
        return Backlog(draining=True)
    if not backlog.draining:
        return backlog
    waiting = waiting_now(observation)
    if waiting is not None and waiting < 1.0:
        return Backlog()
    if replicas_on_their_way(replicas):
        return Backlog(draining=True)
    until = now + policy.backlog_drain_seconds if backlog.until is None else backlog.until
    return Backlog(draining=True, until=until) if now < until else Backlog()


def waiting_weight(policy: ScalingPolicy, backlog: Backlog, service_seconds: float | None) -> float:
    """How much of a running request a waiting one counts in the windows.

    Such that the windows, divided by the target, ask for the same number as the backlog's own candidate.
    """
    if not backlog.draining or service_seconds is None:
        return 1.0
    return min(1.0, utilized_target(policy) / _drained_by_one(policy, service_seconds))


def backlog_candidate(policy: ScalingPolicy, readings: Readings) -> Candidate | None:
    """Replicas that drain what is held; None where the improvement is off or there is no backlog to size."""
    observation = readings.observation
    held = observation.held
    if not readings.backlog.draining:
        return None
    if not isinstance(held, Known):
        return Candidate(Signal.BACKLOG, held, utilized_target(policy), None)
    if held.value <= 0.0:
        return None
    service_seconds, target = observation.service_seconds, utilized_target(policy)
    if policy.metric is Metric.RPS:
        target = max(target, total_target(policy) * policy.backlog_drain_seconds)
    elif service_seconds is not None:
        target = max(target, _drained_by_one(policy, service_seconds))
    return Candidate(Signal.BACKLOG, held, target, replicas_for(held.value, target))


def enough_with_starting(policy: ScalingPolicy, readings: Readings) -> int | None:
    """While replicas are on their way: the number beyond which only a queue for want of them asks for more.

    None where that is not known or does not apply.
    """
    observation = readings.observation
    replicas, service_seconds = observation.replicas, observation.service_seconds
    if (
        not policy.improvements.starting_replicas_count
        or policy.metric is not Metric.CONCURRENCY
        or readings.backlog.draining
        or replicas.ready == 0
        or replicas_on_their_way(replicas) == 0
        or service_seconds is None
        or not isinstance(readings.arrival_rate, Known)
    ):
        return None
    waiting, in_flight, queued = waiting_now(observation), observation.in_flight, observation.queued
    if waiting is None or not isinstance(in_flight, Known) or not isinstance(queued, Known):
        return None
    running = max(0.0, in_flight.value - queued.value)
    lasting = max(running, readings.arrival_rate.value * service_seconds)
    draining = waiting * min(1.0, service_seconds / policy.backlog_drain_seconds)
    return max(replicas.wanted, replicas_for(lasting + draining, utilized_target(policy)))


def waiting_now(observation: Observation) -> float | None:
    """Requests that wait anywhere, None when somebody is unheard."""
    held, queued = observation.held, observation.queued
    return held.value + queued.value if isinstance(held, Known) and isinstance(queued, Known) else None


def _drained_by_one(policy: ScalingPolicy, service_seconds: float) -> float:
    """How many waiting requests one replica works off in `backlog_drain_seconds`; at least those it takes at once."""
    at_once = parallelism(policy)
    if service_seconds <= 0.0:
        return at_once * policy.backlog_drain_seconds / 1e-3  # faster than a millisecond is not measured
    return at_once * max(1.0, policy.backlog_drain_seconds / service_seconds)
