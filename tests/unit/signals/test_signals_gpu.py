"""What exporters say of GPUs, as samples and readings: DCGM, AMD, MIG, partitions, and everything that is not there."""

from __future__ import annotations

import math

import pytest

from autoscaler.signals.gpu import GpuReadings, by_pod, gpu_means
from autoscaler.signals.gpu_series import GpuSample, GpuTable, Quantity, read_samples
from autoscaler.signals.reading import Known, Missing, Reading, Stale

NOW = 1_700_000_000.0
A, B = "ml/chat-a", "ml/chat-b"

Labels = dict[str, str]


def series(name: str, *values: object, at: float = NOW, **labels: str) -> dict[str, object]:
    """A series of a matrix; values ten seconds apart, the last one at `at`."""
    times = [at - 10.0 * (len(values) - 1 - index) for index in range(len(values))]
    return {"metric": {"__name__": name, **labels}, "values": [[t, str(v)] for t, v in zip(times, values, strict=True)]}


def dcgm(name: str, *values: object, gpu: str = "GPU-1", pod: str = "chat-a", at: float = NOW, **labels: str) -> object:
    usual = {"gpu": "0", "UUID": gpu, "modelName": "NVIDIA H100", "Hostname": "n1", "pod": pod, "namespace": "ml"}
    return series(f"DCGM_FI_{name}", *values, at=at, **{**usual, **labels})


def amd(name: str, *values: object, prefix: str = "", at: float = NOW, **labels: str) -> object:
    usual = {"gpu_id": "0", "gpu_uuid": "a-1", "gpu_partition_id": "0", "pod": "chat-a", "namespace": "ml"}
    return series(prefix + name, *values, at=at, **{**usual, **labels})


def read(*result: object, ready: tuple[str, ...] = (A,), now: float = NOW, prefix: str = "amd_") -> GpuReadings:
    return gpu_means(by_pod(read_samples(GpuTable(prefix), list(result), 0.0)), ready).at(now)


IN_ITS_POD = {"pod": "dcgm-exporter-x", "namespace": "gpu", "exported_pod": "chat-a", "exported_namespace": "ml"}
BUSY: list[tuple[str, list[object], float]] = [
    ("DCGM, in percent", [dcgm("DEV_GPU_UTIL", 93)], 0.93),
    ("the newest of several", [dcgm("DEV_GPU_UTIL", 10, 20, 30)], 0.3),
    ("as a share, under MIG", [dcgm("PROF_GR_ENGINE_ACTIVE", 0.5, GPU_I_ID="3", GPU_I_PROFILE="1g.10gb")], 0.5),
    ("the first name that has a number", [dcgm("PROF_GR_ENGINE_ACTIVE", 0.2), dcgm("DEV_GPU_UTIL", 80)], 0.8),
    ("the last name, where it is the only one", [dcgm("PROF_SM_ACTIVE", 0.25)], 0.25),
    (
        "a name that ended is not the first",
        [dcgm("DEV_GPU_UTIL", 80, at=NOW - 100), dcgm("PROF_GR_ENGINE_ACTIVE", 0.2)],
        0.2,
    ),
    (
        "exported labels before Prometheus' own",
        [series("DCGM_FI_DEV_GPU_UTIL", 40, at=NOW, UUID="GPU-1", **IN_ITS_POD)],
        0.4,
    ),
    ("several GPUs of a pod", [dcgm("DEV_GPU_UTIL", 100), dcgm("DEV_GPU_UTIL", 50, gpu="GPU-2")], 0.75),
    (
        "several instances of a GPU",
        [dcgm("PROF_GR_ENGINE_ACTIVE", 1, GPU_I_ID="1"), dcgm("PROF_GR_ENGINE_ACTIVE", 0, GPU_I_ID="2")],
        0.5,
    ),
    (
        "one exporter scraped by two jobs is one device",
        [dcgm("DEV_GPU_UTIL", 60, job="a"), dcgm("DEV_GPU_UTIL", 40, job="b"), dcgm("DEV_GPU_UTIL", 20, gpu="GPU-2")],
        0.4,
    ),
    ("AMD", [amd("gpu_gfx_activity", 70)], 0.7),
    ("AMD with the usual prefix", [amd("gpu_gfx_activity", 70, prefix="amd_")], 0.7),
    (
        "of a GPU in partitions the first speaks for all",
        [
            amd("gpu_gfx_activity", 70),
            amd("gpu_gfx_activity", 0, gpu_partition_id="1"),
            amd("gpu_used_vram", 10),
            amd("gpu_used_vram", 10, gpu_partition_id="1"),
        ],
        0.7,
    ),
    ("idle is 0", [dcgm("DEV_GPU_UTIL", 0)], 0.0),
    ("a little above full is full", [dcgm("PROF_GR_ENGINE_ACTIVE", 1.004)], 1.0),
    ("other pods do not count", [dcgm("DEV_GPU_UTIL", 10), dcgm("DEV_GPU_UTIL", 99, pod="chat-z")], 0.1),
    ("nor do other namespaces", [dcgm("DEV_GPU_UTIL", 10), dcgm("DEV_GPU_UTIL", 99, namespace="other")], 0.1),
    ("nor GPUs of nobody", [dcgm("DEV_GPU_UTIL", 10), dcgm("DEV_GPU_UTIL", 99, pod="", gpu="GPU-2")], 0.1),
    ("nor other metrics", [dcgm("DEV_GPU_UTIL", 10), dcgm("DEV_GPU_TEMP", 60)], 0.1),
    ("devices without an identity of their own", [dcgm("DEV_GPU_UTIL", 30, UUID="")], 0.3),
]


@pytest.mark.parametrize(("result", "share"), [row[1:] for row in BUSY], ids=[row[0] for row in BUSY])
def test_utilization_is_the_mean_share_over_the_devices(result: list[object], share: float) -> None:
    reading = read(*result).utilization
    assert isinstance(reading, Known)
    assert reading.value == pytest.approx(share)


FULL: list[tuple[str, list[object], float]] = [
    ("DCGM", [dcgm("DEV_FB_USED", 20_000), dcgm("DEV_FB_FREE", 60_000)], 0.25),
    (
        "MIG instances, each its own",
        [
            dcgm("DEV_FB_USED", 5, GPU_I_ID="1"),
            dcgm("DEV_FB_FREE", 5, GPU_I_ID="1"),
            dcgm("DEV_FB_USED", 0, GPU_I_ID="2"),
            dcgm("DEV_FB_FREE", 10, GPU_I_ID="2"),
        ],
        0.25,
    ),
    ("AMD's total", [amd("gpu_used_vram", 48), amd("gpu_total_vram", 192)], 0.25),
    (
        "the total before what is free",
        [amd("gpu_used_vram", 48), amd("gpu_free_vram", 1), amd("gpu_total_vram", 192)],
        0.25,
    ),
    (
        "AMD's partitions",
        [
            amd("gpu_used_vram", 1, gpu_partition_id="0"),
            amd("gpu_total_vram", 2, gpu_partition_id="0"),
            amd("gpu_used_vram", 0, gpu_partition_id="1"),
            amd("gpu_total_vram", 2, gpu_partition_id="1"),
        ],
        0.25,
    ),
]


@pytest.mark.parametrize(("result", "share"), [row[1:] for row in FULL], ids=[row[0] for row in FULL])
def test_memory_is_the_mean_share_over_the_devices(result: list[object], share: float) -> None:
    reading = read(*result).memory
    assert isinstance(reading, Known)
    assert reading.value == pytest.approx(share)


UNKNOWN: list[tuple[str, list[object], str]] = [
    ("no series at all", [], "no GPU metric speaks of chat-a"),
    ("only memory", [dcgm("DEV_FB_USED", 1), dcgm("DEV_FB_FREE", 1)], "GPU utilization of chat-a is not reported"),
    ("NaN", [dcgm("DEV_GPU_UTIL", "NaN")], "not reported"),
    ("infinity", [dcgm("DEV_GPU_UTIL", "+Inf")], "not reported"),
    ("DCGM's word for nothing", [dcgm("DEV_GPU_UTIL", 2_147_483_632)], "not reported"),
    ("AMD's word for nothing", [amd("gpu_gfx_activity", 65_535)], "not reported"),
    ("negative", [dcgm("DEV_GPU_UTIL", -1)], "not reported"),
    ("one device of two", [dcgm("DEV_GPU_UTIL", 5), dcgm("DEV_FB_USED", 1, gpu="GPU-2")], "not reported"),
    ("a partition that is not the first", [amd("gpu_gfx_activity", 0, gpu_partition_id="1")], "speaks of chat-a"),
    ("the exporter's own pod", [dcgm("DEV_GPU_UTIL", 5, exported_namespace="")], "speaks of chat-a"),
    ("measured in the future", [dcgm("DEV_GPU_UTIL", 5, at=NOW + 600)], "600 s from now: clocks differ"),
]


@pytest.mark.parametrize(("result", "why"), [row[1:] for row in UNKNOWN], ids=[row[0] for row in UNKNOWN])
def test_what_nobody_says_is_missing_and_not_zero(result: list[object], why: str) -> None:
    reading = read(*result).utilization
    assert isinstance(reading, Missing)
    assert why in reading.why


@pytest.mark.parametrize(
    "result",
    [
        [dcgm("DEV_FB_USED", 1)],
        [dcgm("DEV_FB_FREE", 1)],
        [dcgm("DEV_FB_USED", 0), dcgm("DEV_FB_FREE", 0)],
        [dcgm("DEV_FB_USED", "NaN"), dcgm("DEV_FB_FREE", 5)],
        [dcgm("DEV_FB_USED", 5), dcgm("DEV_FB_FREE", "NaN")],
        [amd("gpu_used_vram", 5), amd("gpu_total_vram", 0)],
    ],
)
def test_half_of_what_memory_needs_is_missing(result: list[object]) -> None:
    assert isinstance(read(*result).memory, Missing)


@pytest.mark.parametrize(("age", "kind"), [(0.0, Known), (-10.0, Known), (75.0, Known), (76.0, Stale), (600.0, Stale)])
def test_age_is_that_of_the_sample_itself(age: float, kind: type[Reading]) -> None:
    reading = read(dcgm("DEV_GPU_UTIL", 50, at=NOW - age)).utilization
    assert isinstance(reading, kind)
    assert not isinstance(reading, Missing)
    assert (reading.value, reading.age) == (0.5, max(0.0, age))


def test_the_oldest_device_says_how_old_the_mean_is() -> None:
    reading = read(dcgm("DEV_GPU_UTIL", 50, at=NOW - 200), dcgm("DEV_GPU_UTIL", 50, gpu="GPU-2")).utilization
    assert reading == Stale(0.5, 200.0)


def test_a_mean_without_one_of_the_ready_replicas_is_missing() -> None:
    both = (A, B)
    assert isinstance(read(dcgm("DEV_GPU_UTIL", 10), ready=both).utilization, Missing)
    whole = read(dcgm("DEV_GPU_UTIL", 10), dcgm("DEV_GPU_UTIL", 30, pod="chat-b", gpu="GPU-2"), ready=both)
    assert isinstance(whole.utilization, Known)
    assert whole.utilization.value == pytest.approx(0.2)


def test_where_nothing_is_ready_there_is_no_reading() -> None:
    assert read(dcgm("DEV_GPU_UTIL", 10), ready=()).utilization == Missing("no replica is ready")


@pytest.mark.parametrize(
    "result",
    [
        {"result": []},
        "text",
        None,
        ["series"],
        [{"metric": {}}],
        [{"metric": [], "values": []}],
        [{"metric": {"__name__": "DCGM_FI_DEV_GPU_UTIL", "pod": "a", "namespace": "b", "gpu": "0"}, "values": [[1]]}],
        [dcgm("DEV_GPU_UTIL", "many")],
        [
            {
                "metric": {"__name__": "DCGM_FI_DEV_GPU_UTIL", "pod": "a", "namespace": "b", "gpu": "0"},
                "values": [[True, "1"]],
            }
        ],
    ],
)
def test_an_answer_that_is_no_matrix_is_refused(result: object) -> None:
    with pytest.raises(ValueError, match=r"expected|a series has|a sample is"):
        list(read_samples(GpuTable(), result, 0.0))


def test_timestamps_are_moved_to_our_clock() -> None:
    (sample,) = read_samples(GpuTable(), [dcgm("DEV_GPU_UTIL", 1)], -NOW)
    assert sample.at == 0.0


@pytest.mark.parametrize("flip", [False, True])
def test_of_two_that_are_as_new_the_larger_counts_in_either_order(flip: bool) -> None:
    values = (math.nan, 0.3)
    samples = [GpuSample(A, "g", "", Quantity.UTILIZATION, value, NOW) for value in (values[::-1] if flip else values)]
    assert gpu_means(by_pod(samples), (A,)).at(NOW).utilization == Known(0.3)
