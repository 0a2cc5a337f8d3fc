"""GPUs: what their utilization may add to a decision. A guard and a second opinion, never the only signal.

A GPU at work says that something runs, not how much waits: an engine with one request can keep it at 100 %, and one
that waits for its clients leaves it at 0. So utilization wakes nobody and shrinks nothing. It may ask for more while
requests ask too, and it may hold back what would be taken away. Both are off unless a policy names a share, and both
look at ready replicas only: where none is ready, no GPU is at work for anybody.
"""

from __future__ import annotations

from autoscaler.decide.decision import Candidate, LimitName, Signal
from autoscaler.decide.limits import Tally
from autoscaler.decide.target import replicas_for
from autoscaler.policy.scaling_policy import ScalingPolicy
from autoscaler.signals.observation import Observation
from autoscaler.signals.reading import Known


def gpu_candidate(policy: ScalingPolicy, observation: Observation) -> Candidate | None:
    """ceil(ready · utilization / target), as the HorizontalPodAutoscaler counts; None where it is off."""
    target, reading, ready = policy.gpu_utilization_target, observation.gpu_utilization, observation.replicas.ready
    if target <= 0.0 or ready == 0:
        return None
    # Six digits: 3 · 0.7 / 0.7 must not come out as a little more than 3.
    asked = replicas_for(round(ready * reading.value / target, 6), 1.0) if isinstance(reading, Known) else None
    return Candidate(Signal.GPU_UTILIZATION, reading, target, asked)


def keep_while_gpus_work(tally: Tally, policy: ScalingPolicy, observation: Observation) -> None:
    """Take nothing away from GPUs that are busy, nor from those of which a policy that looks at them knows nothing.

    Replicas that are not ready yet may go: nothing runs on their GPUs.
    """
    if policy.gpu_busy <= 0.0 and policy.gpu_utilization_target <= 0.0:
        return
    replicas, reading = observation.replicas, observation.gpu_utilization
    if replicas.ready == 0:
        return
    if not isinstance(reading, Known):
        tally.set(LimitName.GPU_UNKNOWN, max(tally.replicas, replicas.wanted))
    elif 0.0 < policy.gpu_busy <= reading.value:
        tally.set(LimitName.GPU_BUSY, max(tally.replicas, min(replicas.wanted, replicas.ready)))
