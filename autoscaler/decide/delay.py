"""Scale-down delay: a smaller number must have been wanted for a while before it is taken."""

from __future__ import annotations

import math

from autoscaler.decide.decision import Candidate, Signal
from autoscaler.decide.state import Readings
from autoscaler.decide.target import replicas_for, utilized_target
from autoscaler.policy.scaling_policy import Metric, ScalingPolicy
from autoscaler.signals.observation import Observation
from autoscaler.signals.reading import Known

_SLOT_SECONDS = 2.0


def delay_before(policy: ScalingPolicy, wish: int) -> float:
    """The delay of going down while `wish` replicas are asked for, in seconds.

    With `one_before_zero` what nobody asks for any more has none: the last replica has timers of its own, and those
    before it are not kept longer than it. Without, as in Knative, zero waits for the delay too.
    """
    return 0.0 if wish == 0 and policy.improvements.one_before_zero else policy.scale_down_delay_seconds


def remembered(policy: ScalingPolicy, readings: Readings, wanted: int, winner: Candidate, of_load: int) -> int:
    """How many of the `wanted` replicas the delay remembers: not those that are there to work off a queue.

    A queue that grew while replicas were starting is gone soon after they are ready, and what it took need not stay for
    the whole delay. What goes on is no more than the windows ask for (`of_load`), nor than what arrives times how long
    it is worked on (Little). Arrivals say nothing of requests that outlast the stable window: none may have come for
    a long time while many are worked on. All are remembered where GPUs ask for them, and without `backlog_sizing`, as
    in Knative.
    """
    if not policy.improvements.backlog_sizing or winner.signal is Signal.GPU_UTILIZATION:
        return wanted
    lasting = min(wanted, of_load)
    rate, service_seconds = readings.arrival_rate, readings.observation.service_seconds
    if policy.metric is not Metric.CONCURRENCY or service_seconds is None or not isinstance(rate, Known):
        return lasting
    if service_seconds > policy.stable_window_seconds:
        return lasting
    return min(lasting, replicas_for(rate.value * service_seconds, utilized_target(policy)))


def needed_at_first(policy: ScalingPolicy, observation: Observation) -> tuple[tuple[int, int], ...]:
    """What the delay remembers when nothing is known of before, as after a controller's restart: that what is ready was
    needed just now. Panic, where it begins then, holds it for a stable window only. In Knative nothing else does."""
    ready = observation.replicas.ready
    if ready <= 1 or not policy.improvements.one_before_zero:
        return ()
    return delayed((), ready, policy.scale_down_delay_seconds, observation.at)[0]


def delayed(
    slots: tuple[tuple[int, int], ...], wanted: int, delay_seconds: float, now: float
) -> tuple[tuple[tuple[int, int], ...], int]:
    """The largest number wanted in the last ceil(delay / 2 s) slots of two seconds, this one included.

    So a delay of 5 s acts as one of 6 s. Slots are kept newest last, without those that a newer one is at least as
    large as; the largest is therefore the first. A delay of 0 remembers nothing. A changed delay holds from the
    next decision on (Knative: once the decider is made anew).
    """
    if delay_seconds <= 0.0:
        return (), wanted
    slot = math.floor(now / _SLOT_SECONDS)
    oldest = slot - math.ceil(delay_seconds / _SLOT_SECONDS) + 1
    kept = tuple([entry for entry in slots if entry[0] >= oldest and entry[1] > wanted])
    if not kept or kept[-1][0] != slot:  # else a larger one of this very slot outweighs this one
        kept = (*kept, (slot, wanted))
    return kept, kept[0][1]
