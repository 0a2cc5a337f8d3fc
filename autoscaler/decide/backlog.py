"""Backlog: what waits because no replica was there yet is worked off; it is not load that will go on.

From zero, every request waits until a model has loaded, for minutes on a GPU. Counted as concurrency, that queue asks
for as many replicas as would serve all of it at the same moment: hundreds, for seconds of work. What is needed is to
drain it in time. A replica that works on p requests at a time and on each for S seconds drains p·D/S requests in
D seconds, so `held` requests need ceil(held·S / (p·D)) replicas; once some are ready and it is seen that requests go
on arriving at a rate λ, what arrives in those D seconds is to be served too: ceil((held + λ·D)·S / (p·D)).

Two rules follow, each one of the named improvements:

- backlog_sizing: from the moment nothing is ready until the queue of that time has drained, that number of replicas is
  a candidate of its own, which does not shrink as the queue does; and the windows hold of those seconds what
  `backlog_load` says, because they would otherwise remember the queue for a whole stable window as if it had been load.
- starting_replicas_count: while replicas are on their way, a queue that grows for want of them is not a reason to
  order more, beyond what arrives (Little: rate·S) and what is needed to drain the queue.

D is what the user says, else the time of a wake, at most 30 s: those who came while a replica started waited that long
already, replicas that start together are ready together, and one that would be of use for less time than its start
takes costs more than it brings (as in renting skis: what is paid for the start bounds what is paid for the use).

Without a measured S a request is taken to need a place of its own, as one does that takes longer than D: p for each
replica.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from autoscaler.decide.decision import Candidate, Signal
from autoscaler.decide.state import Backlog, Readings, replicas_on_their_way
from autoscaler.decide.target import parallelism, replicas_for, total_target, utilized_target
from autoscaler.policy.scaling_policy import Metric, ScalingPolicy
from autoscaler.signals.observation import Observation
from autoscaler.signals.reading import Known
from autoscaler.signals.windows import arrivals_window_seconds

_LEAST_SERVICE_SECONDS = 1e-3  # faster is not measured
_MOST_DRAIN_SECONDS = 30.0
_LEAST_DRAIN_SECONDS = 1.0  # decisions and readings are not closer


def drain_seconds(policy: ScalingPolicy, observation: Observation) -> float:
    """D: within how many seconds of the first readiness what is held should be served."""
    if policy.backlog_drain_seconds > 0.0:
        return policy.backlog_drain_seconds
    wake = observation.wake_seconds
    return _MOST_DRAIN_SECONDS if wake is None else min(_MOST_DRAIN_SECONDS, max(_LEAST_DRAIN_SECONDS, wake))


def track_backlog(
    policy: ScalingPolicy, backlog: Backlog, observation: Observation, before: float, now: float
) -> Backlog:
    """Whether waiting requests are a backlog, as of this observation; `before` is the time of the one before it.

    They become one when nothing is ready. They stop being one when a replica is ready and nothing waits, or
    `drain_seconds` after the last replica ordered meanwhile became ready. If something still waits then (fewer
    replicas came than were asked for, or they are slower), it counts as load from now on, but the windows do not hold
    it yet: so what was asked for stays until they do, or until nothing waits.
    """
    replicas = observation.replicas
    if not policy.improvements.backlog_sizing:
        return Backlog()
    if replicas.ready == 0:
        # While it still grows or shrinks, what is asked for follows it; it stays from the first readiness on. Seconds
        # of one that is not over yet stay a backlog's, also those that are told later.
        begins = math.floor(before)
        goes_on = backlog.draining or (backlog.last is not None and backlog.last >= begins)
        return Backlog(draining=True, first=backlog.first if goes_on else begins)
    waiting = waiting_now(observation)
    if not backlog.draining:
        over = backlog.last is None or now > backlog.last + policy.stable_window_seconds
        nothing_waits = waiting is not None and waiting < 1.0
        return replace(backlog, most=0) if backlog.most and (over or nothing_waits) else backlog
    if waiting is not None and waiting < 1.0:
        return _drained(policy, backlog, observation, now)
    served_since = now if backlog.served_since is None else backlog.served_since
    if replicas_on_their_way(replicas):
        return replace(backlog, until=None, served_since=served_since)
    until = now + drain_seconds(policy, observation) if backlog.until is None else backlog.until
    if now >= until:
        return Backlog(first=backlog.first, last=math.floor(now), most=backlog.most)
    return replace(backlog, until=until, served_since=served_since)


def _drained(policy: ScalingPolicy, backlog: Backlog, observation: Observation, now: float) -> Backlog:
    """Nothing waits any more; what was let out of the queue last is still worked on for a service time."""
    working = min(observation.service_seconds or 0.0, drain_seconds(policy, observation))
    return Backlog(first=backlog.first, last=math.floor(now + working))


def waiting_weight(policy: ScalingPolicy, observation: Observation) -> float:
    """How much of a running request one counts that waits in a backlog.

    Such that the windows, divided by the target, ask for the same number as the backlog's own candidate.
    """
    return min(1.0, utilized_target(policy) / _drained_by_one(policy, observation))


def backlog_candidate(policy: ScalingPolicy, readings: Readings) -> Candidate | None:
    """Replicas that drain what is held; None where the improvement is off or there is no backlog to size.

    The most that this backlog has asked for stays: fewer would drain its rest no sooner than they would have drained
    all of it.
    """
    observation, backlog = readings.observation, readings.backlog
    held = observation.held
    if not backlog.draining and not backlog.most:
        return None
    if not isinstance(held, Known):
        return Candidate(Signal.BACKLOG, held, utilized_target(policy), None)
    if held.value <= 0.0:
        # What activators have let go may still wait in replicas' own lines.
        held = Known(waiting_now(observation) or 0.0) if backlog.most else held
        if held.value < 1.0:
            return None
    if policy.metric is Metric.RPS:
        drained_by_one = max(utilized_target(policy), total_target(policy) * drain_seconds(policy, observation))
    else:
        drained_by_one = max(utilized_target(policy), _drained_by_one(policy, observation))
    if not backlog.draining:
        return Candidate(Signal.BACKLOG, held, drained_by_one, backlog.most)
    asked = replicas_for(held.value + _arriving(policy, readings), drained_by_one)
    return Candidate(Signal.BACKLOG, held, drained_by_one, max(backlog.most, asked))


def _arriving(policy: ScalingPolicy, readings: Readings) -> float:
    """Requests that will come while the backlog is drained; 0 while the rate still holds what came before."""
    since, rate = readings.backlog.served_since, readings.arrival_rate
    if since is None or not isinstance(rate, Known):
        return 0.0
    window = arrivals_window_seconds(policy.stable_window_seconds, policy.panic_window_fraction)
    seen_enough = readings.observation.at - since > window
    return rate.value * drain_seconds(policy, readings.observation) if seen_enough else 0.0


def keep_most(backlog: Backlog, candidates: Iterable[Candidate]) -> Backlog:
    """The backlog, with the most that was asked for to drain it."""
    if not backlog.draining:
        return backlog
    asked = max((c.replicas or 0 for c in candidates if c.signal is Signal.BACKLOG), default=0)
    return replace(backlog, most=asked) if asked > backlog.most else backlog


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
    draining = waiting * min(1.0, service_seconds / drain_seconds(policy, observation))
    return max(replicas.wanted, replicas_for(lasting + draining, utilized_target(policy)))


def waiting_now(observation: Observation) -> float | None:
    """Requests that wait anywhere, None when somebody is unheard."""
    held, queued = observation.held, observation.queued
    return held.value + queued.value if isinstance(held, Known) and isinstance(queued, Known) else None


def _drained_by_one(policy: ScalingPolicy, observation: Observation) -> float:
    """How many waiting requests one replica works off in `drain_seconds`; at least those it takes at once."""
    if observation.service_seconds is None:
        return parallelism(policy)
    rounds = drain_seconds(policy, observation) / max(observation.service_seconds, _LEAST_SERVICE_SECONDS)
    return parallelism(policy) * max(1.0, rounds)
