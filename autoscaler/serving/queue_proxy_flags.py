"""What a queue proxy is told about its service: one place for a process on this machine and for a container in a pod.

Addresses differ between the two and are added by whoever starts it; everything that follows from the policy and from
the model's container is written here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from autoscaler.policy.scaling_policy import ScalingPolicy

DRAIN_SECONDS = 300.0
"""How long a replica that goes may finish what it has begun when neither manifest nor policy bounds it.
Kubernetes' 30 s would cut a long generation; waiting costs nothing but a GPU that is at work anyway."""


def policy_flags(policy: ScalingPolicy, drain_seconds: float) -> tuple[str, ...]:
    """The flags that the policy decides."""
    numbers = {
        "--limit": policy.container_concurrency,
        "--queue-requests": policy.queue.requests,
        "--queue-seconds": policy.queue.seconds,
        "--timeout": policy.timeouts.total,
        "--response-start-timeout": policy.timeouts.response_start,
        "--idle-timeout": policy.timeouts.idle,
        "--drain-seconds": drain_seconds,
    }
    return tuple(text for flag, number in numbers.items() for text in (flag, _written(number)))


def model_flags(
    port: int, *, speaks_h2c: bool, probe: Mapping[str, object] | None, metrics_url: str | None
) -> tuple[str, ...]:
    """The flags that the model's container decides; it listens on loopback at `port`."""
    flags = ["--upstream", f"127.0.0.1:{port}"]
    if speaks_h2c:
        flags += ["--upstream-protocol", "h2c"]
    if probe is not None:
        flags += ["--probe", json.dumps(probe, separators=(",", ":"))]
    if metrics_url is not None:
        flags += ["--engine-metrics", metrics_url]
    return tuple(flags)


def _written(number: float) -> str:
    return f"{number:g}" if isinstance(number, float) else str(number)
