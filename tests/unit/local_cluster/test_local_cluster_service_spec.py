"""What is kept of an InferenceService that this machine shall serve."""

from __future__ import annotations

import sys
from pathlib import Path

from autoscaler.cluster.local.machine import Machine
from autoscaler.cluster.local.service_spec import read_services

MACHINE = Machine(cpus=2, memory_bytes=2**33)


def test_the_status_of_an_object_taken_from_a_cluster_is_not_taken_for_ours(tmp_path: Path) -> None:
    spec = {"predictor": {"containers": [{"name": "kserve-container", "command": [sys.executable]}]}}
    written = {"metadata": {"name": "chat", "namespace": "default"}, "spec": spec}
    taken = {**written, "status": {"url": "http://chat.default.example.com"}}
    (service,) = read_services([taken], [], MACHINE, {"default/chat": 8081}, tmp_path)
    assert service.inference_service == written
