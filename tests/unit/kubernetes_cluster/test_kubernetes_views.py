"""What a pod's conditions and container states come to, as tables."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autoscaler.cluster.interface import ReplicaPhase
from autoscaler.cluster.kubernetes.facts import PodFacts
from autoscaler.cluster.kubernetes.reduction import deployment_facts, inference_service_facts, pod_facts
from autoscaler.cluster.kubernetes.views import Path, phase_of, replica_of, replicas_of, view_of
from tests.unit.kubernetes_cluster import kubernetes_objects as given

SCHEDULED = {"PodScheduled": "True", "Initialized": "True", "Ready": "False"}
CRASHED = {"exitCode": 1, "reason": "Error", "message": "CUDA out of memory"}


def facts(**states: Any) -> PodFacts:
    reduced = pod_facts(given.pod(**states))
    assert reduced is not None
    return reduced


@pytest.mark.parametrize(
    ("states", "phase", "reason"),
    [
        pytest.param({}, ReplicaPhase.READY, None, id="its Ready condition is true"),
        pytest.param({"deleted": True}, ReplicaPhase.DRAINING, None, id="it was told to end, ready or not"),
        pytest.param(
            {"conditions": {"PodScheduled": "False"}, "unschedulable": "0/2 nodes: 2 Insufficient nvidia.com/gpu."},
            ReplicaPhase.PENDING,
            "0/2 nodes: 2 Insufficient nvidia.com/gpu.",
            id="no node has what it asks for",
        ),
        pytest.param({"conditions": {}}, ReplicaPhase.PENDING, None, id="nobody has looked at it yet"),
        pytest.param({"conditions": SCHEDULED}, ReplicaPhase.STARTING, None, id="its model loads"),
        pytest.param(
            {"conditions": SCHEDULED, "containers": [given.container(waiting={"reason": "ContainerCreating"})]},
            ReplicaPhase.STARTING,
            None,
            id="its image is pulled",
        ),
        pytest.param(
            {
                "conditions": {"PodScheduled": "True", "Initialized": "False", "Ready": "False"},
                "init_containers": [given.container("storage-initializer", running={"startedAt": given.CREATED})],
                "containers": [given.container(waiting={"reason": "PodInitializing"})],
            },
            ReplicaPhase.STARTING,
            None,
            id="its model is fetched",
        ),
        pytest.param(
            {
                "conditions": SCHEDULED,
                "containers": [given.container(waiting={"reason": "ImagePullBackOff", "message": "not found"})],
            },
            ReplicaPhase.FAILED,
            "kserve-container: ImagePullBackOff: not found",
            id="its image cannot be had",
        ),
        pytest.param(
            {
                "conditions": SCHEDULED,
                "containers": [
                    given.container(
                        restarts=3, waiting={"reason": "CrashLoopBackOff", "message": "back-off"}, last=CRASHED
                    )
                ],
            },
            ReplicaPhase.FAILED,
            "kserve-container: CrashLoopBackOff, exit code 1, 3 restarts: CUDA out of memory",
            id="it crashes again and again",
        ),
        pytest.param(
            {
                "conditions": SCHEDULED,
                "containers": [given.container(terminated={"exitCode": 137, "reason": "OOMKilled"})],
            },
            ReplicaPhase.FAILED,
            "kserve-container: exit code 137 (OOMKilled)",
            id="it was killed for its memory a moment ago",
        ),
        pytest.param(
            {
                "conditions": {"PodScheduled": "True", "Ready": "False"},
                "init_containers": [given.container("storage-initializer", terminated=CRASHED)],
            },
            ReplicaPhase.FAILED,
            "storage-initializer: exit code 1: CUDA out of memory",
            id="its model could not be fetched",
        ),
        pytest.param(
            {
                "conditions": SCHEDULED,
                "init_containers": [given.container("storage-initializer", terminated={"exitCode": 0})],
            },
            ReplicaPhase.STARTING,
            None,
            id="a step before it has ended well",
        ),
        pytest.param(
            {"conditions": SCHEDULED, "phase": "Failed", "status": {"reason": "Evicted"}},
            ReplicaPhase.FAILED,
            "Evicted",
            id="its node threw it out",
        ),
    ],
)
def test_a_pods_phase_and_reason(states: dict[str, Any], phase: ReplicaPhase, reason: str | None) -> None:
    assert phase_of(facts(**states)) == (phase, reason)


def test_an_endpoint_is_the_pods_address_and_its_queue_proxys_ports() -> None:
    replica = replica_of(facts())
    assert (replica.host, replica.port, replica.admin_port) == ("10.0.0.1", 8012, 8022)


@pytest.mark.parametrize("states", [{"ip": ""}, {"args": []}, {"args": ["--listen", "0.0.0.0:http", "--admin", "x"]}])
def test_without_an_address_or_a_queue_proxy_there_is_no_endpoint(states: dict[str, Any]) -> None:
    replica = replica_of(facts(**states))
    assert (replica.host, replica.port, replica.admin_port) == (None, None, None)


def test_pods_of_a_canary_or_a_worker_are_no_replicas() -> None:
    own, canary = facts(), facts(name="other", owner="chat-next-predictor-7d4f")
    worker = facts(name="worker", owner="chat-predictor-worker-7d4f")
    assert [r.name for r in replicas_of("chat-predictor", (own, canary, worker))] == [own.name]


def test_a_pod_that_is_over_is_shown_only_while_nothing_newer_took_its_place() -> None:
    evicted = facts(name="old", phase="Failed", conditions={}, status={"reason": "Evicted"})
    newer = facts(name="new", created="2026-11-21T12:05:00Z")
    assert [r.name for r in replicas_of("chat-predictor", (evicted,))] == ["old"]
    assert [r.name for r in replicas_of("chat-predictor", (evicted, newer))] == ["new"]


def test_the_steps_of_a_start_are_told() -> None:
    replica = replica_of(facts(containers=[given.container(running={"startedAt": "2026-11-21T12:00:03Z"})]))
    at = given.CREATED_AT
    assert (replica.created_at, replica.scheduled_at, replica.started_at) == (at, at + 5, at + 3)


def test_a_container_that_was_started_again_does_not_tell_when_the_pods_model_started() -> None:
    again = given.container(restarts=1, running={"startedAt": "2026-11-21T12:00:03Z"})
    assert replica_of(facts(containers=[again])).started_at is None


@pytest.mark.parametrize(
    ("recorded", "updated", "ever_ready"), [(-1, 1, True), (-1, 0, False), (1, 0, True), (0, 0, False)]
)
def test_it_has_been_ready_if_a_pod_of_the_newest_template_is_or_it_is_recorded(
    recorded: int, updated: int, ever_ready: bool
) -> None:
    service = inference_service_facts(given.inference_service())
    status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": updated}
    assert service is not None
    view = view_of(
        service, deployment_facts(given.deployment(status=status)), (facts(),), Path(ready_generation=recorded), ()
    )
    assert view.ever_ready is ever_ready


def test_before_its_deployment_is_made_there_is_nothing_to_scale() -> None:
    service = inference_service_facts(given.inference_service())
    assert service is not None
    assert not view_of(service, None, (), Path(), ()).deployed
    assert view_of(service, deployment_facts(given.deployment()), (), Path(), ()).deployed


def test_replicas_that_the_deployment_does_not_name_are_one() -> None:
    service = inference_service_facts(given.inference_service())
    assert service is not None
    assert view_of(service, deployment_facts(given.deployment(replicas=None)), (), Path(), ()).wanted == 1


@pytest.mark.parametrize(
    ("predictor", "name"), [({}, "chat-predictor"), ({"name": "v2"}, "chat-v2-predictor")], ids=["plain", "named"]
)
def test_the_predictors_name(predictor: dict[str, object], name: str) -> None:
    reduced = inference_service_facts(given.inference_service(predictor=predictor))
    assert reduced is not None
    assert reduced.predictor == name


def test_only_what_a_policy_is_read_from_is_kept_of_an_inference_service() -> None:
    reduced = inference_service_facts(given.inference_service(predictor={"minReplicas": 1, "containers": [{}] * 9}))
    assert reduced is not None
    kept = json.dumps(reduced.body)
    assert "minReplicas" in kept
    assert "containers" not in kept
    assert "last-applied" not in kept
    assert "storageUri" not in kept


def test_of_an_inference_service_that_asks_nothing_only_its_name_is_kept() -> None:
    reduced = inference_service_facts(given.inference_service(annotations={}, predictor={"minReplicas": 1}))
    assert reduced is not None
    assert not reduced.asked_for
    assert reduced.body == {}
