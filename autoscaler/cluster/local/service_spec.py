"""ServiceSpec: one service as the agent runs it, with all that was read, checked and found before the start."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoscaler.cluster.local.launch_error import LaunchError
from autoscaler.cluster.local.launch_plan import Launch, LaunchPlan, plan_launch
from autoscaler.cluster.local.machine import Machine
from autoscaler.cluster.local.preflight import Footing, check_launch
from autoscaler.policy.parse import read_policy
from autoscaler.policy.scaling_policy import ScalingPolicy
from autoscaler.serving.queue_proxy_flags import DRAIN_SECONDS, model_flags, policy_flags


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """`port` is where the activator listens for it; `inference_service` the object as written, without its status.

    The status of an object that was taken from a cluster says where it is served there.
    """

    inference_service: Mapping[str, object]
    plan: LaunchPlan
    footing: Footing
    policy: ScalingPolicy
    port: int

    @property
    def service(self) -> str:
        """`namespace/name`"""
        return self.plan.service

    @property
    def make(self) -> tuple[object, ...]:
        """Everything that a replica gets at its start. Where it differs, a running replica is of an older make."""
        policy = self.policy
        return self.plan, self.footing, self.drain_seconds, policy.container_concurrency, policy.queue, policy.timeouts

    @property
    def drain_seconds(self) -> float:
        """How long a replica that goes may work on what it has accepted: what the manifest says, else its timeout."""
        if self.plan.drain_seconds is not None:
            return self.plan.drain_seconds
        return self.policy.timeouts.total or DRAIN_SECONDS


def read_services(
    inference_services: Sequence[Mapping[str, object]],
    runtimes: Sequence[Mapping[str, object]],
    machine: Machine,
    ports: Mapping[str, int],
    base: Path,
) -> tuple[ServiceSpec, ...]:
    """All services, ready to be run; `ports` gives each (`namespace/name`) its port, `base` is where paths count from.

    Raises LaunchError with a line for every mistake of every service, PolicyErrors for a policy that cannot be.
    """
    specs: dict[str, ServiceSpec] = {}
    problems: list[str] = []
    for body in inference_services:
        try:
            plan = plan_launch(body, runtimes)
            if plan.service in specs:
                raise LaunchError(f"{plan.service} is given twice; names must be unique in a namespace")
            footing = check_launch(plan, machine, base)
        except LaunchError as error:
            problems.append(str(error))
            continue
        written = {name: value for name, value in body.items() if name != "status"}
        specs[plan.service] = ServiceSpec(written, plan, footing, read_policy(body), ports.get(plan.service, 0))
    if problems:
        raise LaunchError("\n".join(problems))
    return tuple(specs.values())


def queue_proxy_command(spec: ServiceSpec, replica: str, launch: Launch, listen: int, admin: int) -> tuple[str, ...]:
    """The command line of the queue proxy in front of one replica; `listen` and `admin` are inherited sockets."""
    # -P: nothing in the folder that the user happens to be in may pose as one of our modules.
    return (
        *(sys.executable, "-P", "-m", "queue_proxy", "--name", replica, "--service", spec.plan.service),
        *("--listen", f"fd:{listen}", "--admin", f"fd:{admin}"),
        *model_flags(launch.port, speaks_h2c=launch.speaks_h2c, probe=launch.probe, metrics_url=launch.metrics_url),
        *policy_flags(spec.policy, spec.drain_seconds),
    )
