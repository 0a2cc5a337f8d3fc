"""Quantities, what the machine has, dealing of GPUs, and whether a plan can run here."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.cluster.local.gpus import GpuPool
from autoscaler.cluster.local.launch_error import LaunchError
from autoscaler.cluster.local.launch_plan import LaunchPlan, plan_launch
from autoscaler.cluster.local.machine import Machine, read_machine, select_visible
from autoscaler.cluster.local.preflight import check_launch, search_path
from autoscaler.cluster.local.quantities import parse_quantity, show_bytes


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", "2"),
        ("500m", "0.5"),
        ("2Gi", str(2 * 2**30)),
        ("1e3", "1000"),
        ("1E", "1e18"),
        ("1E2", "100"),
        ("1.5Ki", "1536"),
        ("100k", "100000"),
        (".5", "0.5"),
        ("5.", "5"),
        ("3Ei", str(3 * 2**60)),
        ("250u", "0.00025"),
        (4, "4"),
        (0.5, "0.5"),
    ],
)
def test_quantities_are_read_as_kubernetes_reads_them(text: object, value: str) -> None:
    assert parse_quantity(text, "x") == Decimal(value)


@pytest.mark.parametrize(
    "text", ["", "Gi", "2GB", "1 Gi", "-1", "1e", "1e3Ki", "NaN", "inf", "0x10", None, True, [], "9" * 80]
)
def test_what_is_not_a_quantity_is_refused_with_its_place(text: object) -> None:
    with pytest.raises(LaunchError, match=r"^limits\.cpu "):
        parse_quantity(text, "limits.cpu")


@pytest.mark.parametrize(
    ("value", "shown"), [(2**30, "1Gi"), (1536 * 2**20, "1.5Gi"), (512, "512"), (100 * 2**20, "100Mi")]
)
def test_bytes_are_shown_for_people(value: int, shown: str) -> None:
    assert show_bytes(Decimal(value)) == shown


@given(st.data())
def test_a_gpu_is_never_dealt_twice_and_none_is_lost(data: st.DataObject) -> None:
    total = data.draw(st.integers(0, 8))
    pool = GpuPool([str(n) for n in range(total)])
    held: dict[str, tuple[str, ...]] = {}
    for step in range(data.draw(st.integers(0, 30))):
        gives_back: bool = data.draw(st.booleans())
        if held and gives_back:
            name = data.draw(st.sampled_from(sorted(held)))
            pool.give_back(name)
            del held[name]
        else:
            count = data.draw(st.integers(1, 4))
            dealt = pool.deal(str(step), count)
            assert (dealt is None) == (count > total - sum(map(len, held.values())))
            if dealt is not None:
                held[str(step)] = dealt
        taken = [device for devices in held.values() for device in devices]
        assert len(taken) == len(set(taken))
        assert sorted(taken + list(pool.free)) == [str(n) for n in range(total)]


def test_a_shortage_says_how_many_are_free() -> None:
    pool = GpuPool(("0", "1"))
    pool.deal("a", 1)
    assert pool.shortage(2) == "1 of 2 GPUs free, 2 needed"


def test_a_replica_cannot_be_dealt_to_twice() -> None:
    pool = GpuPool(("0", "1"))
    pool.deal("a", 1)
    with pytest.raises(ValueError, match="already has 1 GPUs"):
        pool.deal("a", 1)


@pytest.mark.parametrize(
    ("visible", "chosen"),
    [
        ("0,1", ("0", "1")),
        ("1", ("1",)),
        (" 1 , 0 ", ("1", "0")),
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
        ("0,9,1", ("0",)),
        ("0,0", ("0",)),
        ("GPU-bb", ("GPU-bb",)),
        ("GPU-", ()),
        ("MIG-123", ("MIG-123",)),
    ],
)
def test_visible_devices_are_read_as_cuda_reads_them(visible: str, chosen: tuple[str, ...]) -> None:
    assert select_visible(visible, ("GPU-aa11", "GPU-bb22")) == chosen


def test_this_machine_has_processors_and_memory_and_says_why_it_has_no_gpu() -> None:
    machine = read_machine({})
    assert machine.cpus >= 1
    assert machine.memory_bytes > 2**20
    assert machine.gpus or machine.no_gpu_reason


@pytest.mark.parametrize(
    ("asked", "shortages"),
    [
        ({"cpu": "4", "memory": "8Gi"}, ()),
        ({"cpu": "4.5"}, ("limits beyond the machine: cpu: asked 4.5, available 4",)),
        ({"memory": "9Gi"}, ("limits beyond the machine: memory: asked 9Gi, available 8Gi",)),
        ({"nvidia.com/gpu": "1"}, ("limits beyond the machine: nvidia.com/gpu: asked 1, available 0 (no driver)",)),
        ({"amd.com/gpu": "1"}, ("limits beyond the machine: amd.com/gpu: asked 1, available none of this kind",)),
        ({"nvidia.com/gpu": "0", "ephemeral-storage": "9Ti"}, ()),
    ],
)
def test_limits_beyond_the_machine_name_resource_asked_and_available(
    asked: dict[str, str], shortages: tuple[str, ...]
) -> None:
    machine = Machine(cpus=4, memory_bytes=8 * 2**30, no_gpu_reason="no driver")
    assert machine.shortages({name: parse_quantity(value, name) for name, value in asked.items()}) == shortages


def plan(**container: object) -> LaunchPlan:
    container = {"name": "kserve-container", "command": ["python"], **container}
    return plan_launch({"metadata": {"name": "chat"}, "spec": {"predictor": {"containers": [container]}}}, [])


MACHINE = Machine(cpus=4, memory_bytes=2**33)


def test_python_resolves_without_an_activated_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Path(check_launch(plan(), MACHINE, tmp_path).executable).parent == Path(sys.executable).parent


def test_what_the_user_has_in_front_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "python"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check_launch(plan(), MACHINE, tmp_path).executable == str(own)


def test_the_search_path_ends_with_our_pythons_folder_once() -> None:
    ours = str(Path(sys.executable).parent)
    assert search_path("/bin") == f"/bin:{ours}"
    assert search_path(f"{ours}:/bin") == f"{ours}:/bin"


def test_everything_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    asked = plan(
        command=["no-such-program"],
        workingDir="nowhere",
        env=[{"name": "STORAGE_URI", "value": "weights"}],
        resources={"limits": {"cpu": "64"}},
    )
    with pytest.raises(LaunchError) as raised:
        check_launch(asked, MACHINE, tmp_path)
    lines = str(raised.value).splitlines()
    assert len(lines) == 4
    assert all(line.startswith("default/chat: ") for line in lines)
    assert "available 4" in lines[0]
    assert f"workingDir {tmp_path / 'nowhere'} is not a folder" in lines[1]
    assert f"{tmp_path / 'weights'} does not exist" in lines[2]
    assert "command 'no-such-program' is not found in PATH" in lines[3]


def test_relative_paths_count_from_the_manifests_folder(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    footing = check_launch(plan(env=[{"name": "STORAGE_URI", "value": "weights"}]), MACHINE, tmp_path)
    assert footing.model_directory == str(tmp_path / "weights")
    assert footing.working_directory == tmp_path
