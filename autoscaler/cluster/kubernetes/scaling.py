"""Scaling: the one number that we write, and who is to go first.

The number goes to the Deployment's scale subresource as a merge patch of `spec.replicas`: nothing else of the object
can be changed by it, and KServe (0.15.1 and later, class external) leaves it alone.

When there shall be fewer replicas, the Deployment's ReplicaSet chooses: those without a node, then those not ready, and
among the ready ones those with the lowest pod-deletion-cost. So those who shall go are given a cost before the number
is written, in their order, and who is still there when nobody has to go any more has it taken away again: it is no
property of a pod but of one order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence

from autoscaler.cluster.interface import ClusterError
from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.connection import MERGE_PATCH, Requests
from autoscaler.cluster.kubernetes.facts import DeploymentFacts, PodFacts
from autoscaler.cluster.kubernetes.write_turns import Urgency, WriteTurns

_log = logging.getLogger(__name__)

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
# Lower than anybody gives by hand, so that ours can be told from others'; ranks are added to it.
_FIRST_TO_GO = -1_000_000_000
_CONFLICT = 409
_NOT_FOUND = 404
_TRIES = 5


def goes_first(pod: PodFacts) -> bool:
    """The pod carries a cost of ours."""
    cost = pod.deletion_cost
    return cost.startswith("-") and cost[1:].isdigit() and int(cost) <= _FIRST_TO_GO // 2


def costs(replicas: int, pods: Iterable[PodFacts], go_first: Sequence[str]) -> dict[str, str]:
    """The cost that each pod needs, by name, so that the right ones go: none when all go or none does.

    Pods that are not ready go before all others in any case, and their number counts.
    """
    live = [pod for pod in pods if not pod.deleted]
    leaving = len(live) - replicas
    if leaving <= 0 or replicas == 0:
        return {}
    not_ready = sum(1 for pod in live if pod.ready_at is None)
    ready = {pod.name: pod for pod in live if pod.ready_at is not None}
    chosen = [name for name in go_first if name in ready][: max(0, leaving - not_ready)]
    wanted = {name: str(_FIRST_TO_GO + rank) for rank, name in enumerate(chosen)}
    return {name: cost for name, cost in wanted.items() if ready[name].deletion_cost != cost}


class Scaling:
    """Writes replicas and costs to one cluster, when it is their turn."""

    def __init__(self, connection: Requests, turns: WriteTurns) -> None:
        self._connection = connection
        self._turns = turns

    async def scale(
        self, deployment: DeploymentFacts, replicas: int, pods: Sequence[PodFacts], go_first: Sequence[str]
    ) -> None:
        """Write the number, after the costs. Raises ClusterError when the number could not be written."""
        wanted = costs(replicas, pods, go_first)
        await asyncio.gather(
            *(self._put_cost(deployment.namespace, name, cost, Urgency.ORDER) for name, cost in wanted.items())
        )
        urgency = Urgency.WAKE if replicas > deployment.replicas else Urgency.ORDER
        try:
            async with self._turns.turn(urgency):
                await self._put_replicas(deployment, replicas)
        except ApiError as error:
            raise ClusterError(f"Deployment {deployment.name}: {error.message}") from error

    async def _put_replicas(self, deployment: DeploymentFacts, replicas: int) -> None:
        path = f"/apis/apps/v1/namespaces/{deployment.namespace}/deployments/{deployment.name}/scale"
        for tries_left in reversed(range(_TRIES)):
            try:
                await self._connection.request(
                    "PATCH", path, body={"spec": {"replicas": replicas}}, content_type=MERGE_PATCH, within=4.0
                )
            except ApiError as error:
                # The server merges anew each time, so a conflict is only a matter of trying again.
                if error.status != _CONFLICT or not tries_left:
                    raise
            else:
                return

    async def clear_costs(self, pods: Iterable[PodFacts]) -> None:
        """Take our costs from pods that stay. What fails now is done the next time."""
        marked = [pod for pod in pods if not pod.deleted and goes_first(pod)]
        await asyncio.gather(*(self._put_cost(pod.namespace, pod.name, None, Urgency.UPKEEP) for pod in marked))

    async def _put_cost(self, namespace: str, name: str, cost: str | None, urgency: Urgency) -> None:
        """A replica too many that goes is a lesser evil than one too many that stays: failing here is only logged."""
        body = {"metadata": {"annotations": {DELETION_COST: cost}}}
        path = f"/api/v1/namespaces/{namespace}/pods/{name}"
        try:
            async with self._turns.turn(urgency):
                await self._connection.request("PATCH", path, body=body, content_type=MERGE_PATCH, within=1.5)
        except ApiError as error:
            if error.status != _NOT_FOUND:
                _log.warning("%s/%s: its deletion cost could not be written: %s", namespace, name, error.message)
