"""Throughput: never fewer replicas than complete what arrives, by what full ones were measured to complete.

A target of concurrency takes the requests that are there for the load. How many those are follows from how long each
takes (Little's law, L = λ·W), and where requests slow each other down, as prompts do that one engine reads one after
another, W is itself what the replicas make of it: ten have 70 requests, which looks like work for four; four have 200
with the same arrivals, and ask for fifteen. So replicas go and are missed, again and again. What does not move is μ,
the rate at which a full replica completes requests: fewer than λ/μ replicas fall behind for as long as λ lasts.

μ is measured in spans in which all ready replicas were full:

    full        requests in replicas ≥ ready·(T + C)/2, half-way between what a replica is given and what it can take:
                at T itself it could complete more
    span        at least 15 s and ten completions, in which none became ready or went
    μ           (completed + growth of what is in replicas) / seconds / ready: what has just come cannot be completed
                yet, and while requests become more the completed ones are those of a lower rate. The median of the
                last fifteen spans, none of which is older than 20 minutes
    disproved   all of that is forgotten when replicas that are not full complete 2.5·μ in such a span: a full one
                completes no less, so requests are others now, and shorter
    λ           what arrived over the stable window
    floor       ceil(λ/μ − 1/2): half a replica is less than any of this is known to

The floor says only what may not be taken away: it orders nobody, and a service that nobody uses goes to zero as ever.
What can be measured wrongly is therefore bounded. μ too high (errors that come at once, replicas that serve and are not
counted as ready): the floor is lower, down to none. μ too low (an engine that hangs, requests that used to be longer):
what is there stays, within the maximum, while as much arrives, and for 20 minutes after the last full span at most:
replicas that are kept in vain are not full, and nothing renews what keeps them.
"""

from __future__ import annotations

import math
from statistics import median

from autoscaler.decide.decision import LimitName
from autoscaler.decide.limits import Tally
from autoscaler.decide.state import Readings, Throughput
from autoscaler.decide.target import MOST_REPLICAS, total_target, utilized_target
from autoscaler.policy.scaling_policy import Metric, ScalingPolicy
from autoscaler.signals.observation import Observation
from autoscaler.signals.reading import Known

_SPAN_SECONDS = 15.0
_SPAN_COMPLETIONS = 10.0
_SPANS_KEPT = 15
_KEPT_SECONDS = 1200.0
_SLACK = 0.5
_DISPROVED = 2.5


def measures_throughput(policy: ScalingPolicy) -> bool:
    """Whether the law applies: a target of requests per second is itself a throughput, which somebody has measured."""
    return policy.improvements.throughput_floor and policy.metric is Metric.CONCURRENCY


def track_throughput(policy: ScalingPolicy, throughput: Throughput, observation: Observation, now: float) -> Throughput:
    """What has been measured as of this observation."""
    in_flight, completed, replicas = observation.in_flight, observation.completed, observation.replicas
    measured, ready = throughput.measured, replicas.ready
    if (
        completed is None
        or ready == 0
        or replicas.draining
        or not isinstance(in_flight, Known)
        or not measures_throughput(policy)
    ):
        return Throughput(measured=measured) if throughput.ready else throughput
    full = in_flight.value >= ready * full_load(policy)
    if not full and not measured:
        return Throughput() if throughput.ready else throughput
    if ready == throughput.ready and full is throughput.full and completed >= throughput.completed:
        if now < span_ends(throughput, completed):
            return throughput
        replica_seconds = (now - throughput.since) * ready
        if full:
            rate = _taken(throughput, completed, in_flight.value) / replica_seconds
            measured = (*_remembered(measured, now)[1 - _SPANS_KEPT :], (now, rate))
        elif _disproved(_remembered(measured, now), (completed - throughput.completed) / replica_seconds):
            measured = ()
    return Throughput(ready, full, now, completed, in_flight.value, measured)


def span_ends(throughput: Throughput, completed: float) -> float:
    """When the span that is measured has lasted long enough; math.inf while too few requests were completed in it."""
    enough = completed - throughput.completed >= _SPAN_COMPLETIONS
    return throughput.since + _SPAN_SECONDS if enough else math.inf


def full_load(policy: ScalingPolicy) -> float:
    """Requests in one replica from which on it counts as full."""
    return (utilized_target(policy) + total_target(policy)) / 2.0


def _remembered(measured: tuple[tuple[float, float], ...], now: float) -> tuple[tuple[float, float], ...]:
    return tuple(each for each in measured if each[0] > now - _KEPT_SECONDS)


def _median(measured: tuple[tuple[float, float], ...]) -> float:
    return median(rate for _, rate in measured)


def _disproved(measured: tuple[tuple[float, float], ...], rate: float) -> bool:
    return not measured or rate > _DISPROVED * _median(measured)


def _taken(throughput: Throughput, completed: float, in_flight: float) -> float:
    return completed - throughput.completed + max(0.0, in_flight - throughput.in_flight)


def completed_by_one(readings: Readings) -> float | None:
    """μ: requests per second that a full replica completes; None where that has not been measured lately."""
    remembered = _remembered(readings.throughput.measured, readings.observation.at)
    return _median(remembered) if remembered else None


def throughput_floor(readings: Readings) -> int:
    """How many replicas it takes to complete what arrives; 0 where that is not known."""
    by_one = completed_by_one(readings)
    if by_one is None:
        return 0
    return min(MOST_REPLICAS, math.ceil(max(0.0, readings.arriving / by_one - _SLACK)))


def keep_what_completes_arrivals(tally: Tally, policy: ScalingPolicy, readings: Readings) -> None:
    """Take away no replica without which the others would fall behind. Says nothing of going to zero."""
    wanted = readings.observation.replicas.wanted
    if 0 < tally.replicas < wanted and readings.throughput.measured and measures_throughput(policy):
        tally.set(LimitName.THROUGHPUT, max(tally.replicas, min(wanted, throughput_floor(readings))))
