"""Who goes first, and what is written for it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from autoscaler.cluster.interface import ClusterError
from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.facts import DeploymentFacts, PodFacts
from autoscaler.cluster.kubernetes.json_object import JsonObject
from autoscaler.cluster.kubernetes.reduction import deployment_facts, pod_facts
from autoscaler.cluster.kubernetes.scaling import DELETION_COST, Scaling, costs, goes_first
from autoscaler.cluster.kubernetes.write_turns import WriteTurns
from tests.unit.kubernetes_cluster import kubernetes_objects as given

NOT_READY = {"PodScheduled": "True", "Ready": "False"}


def facts(name: str, *, ready: bool = True, deleted: bool = False, cost: str = "") -> PodFacts:
    annotations = {DELETION_COST: cost} if cost else {}
    item = given.pod(name, conditions=None if ready else NOT_READY, deleted=deleted, annotations=annotations)
    reduced = pod_facts(item)
    assert reduced is not None
    return reduced


class Writes:
    """Takes calls, and refuses those to paths that have an error."""

    def __init__(self, errors: Mapping[str, list[int]] | None = None) -> None:
        self.calls: list[tuple[str, str, JsonObject | None]] = []
        self.errors = dict(errors or {})

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        content_type: str = "application/json",
        within: float = 5.0,
    ) -> JsonObject:
        self.calls.append((method, path, body))
        statuses = next((statuses for part, statuses in self.errors.items() if part in path and statuses), None)
        if statuses:
            raise ApiError(statuses.pop(0), "", f"{method} {path}: refused")
        return {}


def deployment() -> DeploymentFacts:
    reduced = deployment_facts(given.deployment(replicas=3))
    assert reduced is not None
    return reduced


A, B, C = facts("a"), facts("b"), facts("c")


@pytest.mark.parametrize(
    ("replicas", "pods", "go_first", "marked"),
    [
        pytest.param(2, (A, B, C), ("b", "a", "c"), ["b"], id="one goes"),
        pytest.param(1, (A, B, C), ("c", "a", "b"), ["c", "a"], id="two go, in their order"),
        pytest.param(0, (A, B, C), ("c", "a", "b"), [], id="all go: there is nothing to choose"),
        pytest.param(3, (A, B, C), ("c",), [], id="nobody goes"),
        pytest.param(2, (A, B, facts("c", ready=False)), ("c", "a", "b"), [], id="one not ready goes by itself"),
        pytest.param(1, (A, B, facts("c", ready=False)), ("c", "a", "b"), ["a"], id="and then one that is ready"),
        pytest.param(2, (A, B, facts("c", deleted=True)), ("a",), [], id="one is on its way out already"),
        pytest.param(2, (A, B, C), ("gone", "b"), ["b"], id="one that is named is gone"),
    ],
)
def test_who_is_marked(replicas: int, pods: tuple[PodFacts, ...], go_first: tuple[str, ...], marked: list[str]) -> None:
    wanted = costs(replicas, pods, go_first)
    assert sorted(wanted, key=lambda name: int(wanted[name])) == marked


def test_a_cost_of_ours_is_told_from_one_that_somebody_gave() -> None:
    (cost,) = costs(2, (A, B, C), ("a",)).values()
    assert goes_first(facts("a", cost=cost))
    assert not any(goes_first(facts("a", cost=other)) for other in ("", "-1", "-100000", "100", "x"))


def test_who_is_marked_already_is_not_marked_again() -> None:
    (cost,) = costs(2, (A, B, C), ("a",)).values()
    assert costs(2, (facts("a", cost=cost), B, C), ("a",)) == {}


async def test_costs_are_written_before_the_number() -> None:
    writes = Writes()
    await Scaling(writes, WriteTurns()).scale(deployment(), 2, (A, B, C), ("b",))
    assert [path.rpartition("/")[2] for _, path, _ in writes.calls] == ["b", "scale"]
    assert writes.calls[-1][2] == {"spec": {"replicas": 2}}


async def test_a_cost_that_cannot_be_written_does_not_hold_up_the_order() -> None:
    writes = Writes({"/pods/": [403, 403]})
    await Scaling(writes, WriteTurns()).scale(deployment(), 1, (A, B, C), ("b", "c"))
    assert writes.calls[-1][1].endswith("/scale")


async def test_a_conflict_is_tried_again() -> None:
    writes = Writes({"/scale": [409, 409]})
    await Scaling(writes, WriteTurns()).scale(deployment(), 5, (A,), ())
    assert len(writes.calls) == 3


@pytest.mark.parametrize("statuses", [[403], [409] * 5])
async def test_an_order_that_is_not_taken_is_an_error(statuses: list[int]) -> None:
    with pytest.raises(ClusterError, match="refused"):
        await Scaling(Writes({"/scale": statuses}), WriteTurns()).scale(deployment(), 5, (A,), ())


async def test_costs_are_taken_from_those_that_stay() -> None:
    (cost,) = costs(2, (A, B, C), ("a",)).values()
    writes = Writes()
    await Scaling(writes, WriteTurns()).clear_costs(
        (facts("a", cost=cost), facts("b", cost="-5"), facts("c", cost=cost, deleted=True))
    )
    body = {"metadata": {"annotations": {DELETION_COST: None}}}
    assert writes.calls == [("PATCH", "/api/v1/namespaces/default/pods/a", body)]
