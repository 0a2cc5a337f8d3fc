"""What the inference engine says of itself, in one vocabulary.

Engines count the same things under different names. One table holds the names; everything else here is the same
for all. Only lines that the table knows are parsed: an engine's page has thousands of samples, and parsing them
all each second would cost the requests that pass through this process milliseconds. They are parsed here: to load the
Prometheus library costs 8 MiB, in each replica's proxy, and 40 ms while the model wakes.

What an engine does not report is None, and so is what is not a number: unknown is not zero.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from queue_proxy.http_get import FetchError, Request, get
from queue_proxy.messages import EngineStats

_MOST_BYTES: Final = 4 << 20
_FETCH_SECONDS: Final = 1.0
_INTERVAL: Final = 1.0
_WANTED_FOR: Final = 10.0
"""Seconds after the last reader of /stats for which the engine is still asked."""
_FRESH_FOR: Final = 3.0
"""Seconds for which the engine's last answer is passed on; after that its numbers are unknown."""


class Quantity(Enum):
    """What a metric tells. Requests add up over a metric's label sets; of cache usage the fullest counts."""

    RUNNING = "running"
    WAITING = "waiting"
    KV_CACHE_USAGE = "kv_cache_usage"


@dataclass(frozen=True, slots=True)
class EngineMetric:
    """One metric of one engine. Samples count only when each label of `where`, if there, has one of the values."""

    engine: str
    name: str
    quantity: Quantity
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()
    required: tuple[tuple[str, str], ...] = ()


# One rank speaks for all, and priority "" for all priorities: others would count the same requests again.
_SGLANG_ONCE: Final = (("tp_rank", ("0", "")), ("pp_rank", ("0", "")), ("priority", ("",)))
_TRT_REQUESTS: Final = "nv_trt_llm_request_metrics"

ENGINE_METRICS: Final = (
    EngineMetric("vllm", "vllm:num_requests_running", Quantity.RUNNING),
    EngineMetric("vllm", "vllm:num_requests_waiting", Quantity.WAITING),
    EngineMetric("vllm", "vllm:kv_cache_usage_perc", Quantity.KV_CACHE_USAGE),
    EngineMetric("vllm", "vllm:gpu_cache_usage_perc", Quantity.KV_CACHE_USAGE),
    EngineMetric("sglang", "sglang:num_running_reqs", Quantity.RUNNING, _SGLANG_ONCE),
    EngineMetric("sglang", "sglang:num_queue_reqs", Quantity.WAITING, _SGLANG_ONCE),
    EngineMetric("sglang", "sglang:token_usage", Quantity.KV_CACHE_USAGE, _SGLANG_ONCE),
    EngineMetric("sglang", "sglang_num_running_reqs", Quantity.RUNNING, _SGLANG_ONCE),
    EngineMetric("sglang", "sglang_num_queue_reqs", Quantity.WAITING, _SGLANG_ONCE),
    EngineMetric("sglang", "sglang_token_usage", Quantity.KV_CACHE_USAGE, _SGLANG_ONCE),
    EngineMetric("tgi", "tgi_batch_current_size", Quantity.RUNNING),
    EngineMetric("tgi", "tgi_queue_size", Quantity.WAITING),
    EngineMetric("triton", "nv_inference_pending_request_count", Quantity.WAITING),
    EngineMetric("trt-llm", _TRT_REQUESTS, Quantity.RUNNING, required=(("request_type", "scheduled"),)),
    EngineMetric("trt-llm", _TRT_REQUESTS, Quantity.WAITING, required=(("request_type", "waiting"),)),
    EngineMetric(
        "trt-llm",
        "nv_trt_llm_kv_cache_block_metrics",
        Quantity.KV_CACHE_USAGE,
        required=(("kv_cache_block_type", "fraction"),),
    ),
    EngineMetric("generic", "inference_requests_running", Quantity.RUNNING),
    EngineMetric("generic", "inference_requests_waiting", Quantity.WAITING),
    EngineMetric("generic", "inference_kv_cache_usage_ratio", Quantity.KV_CACHE_USAGE),
)
"""For each engine and quantity the first name that is on the page counts; of engines, the first with any name."""

_NAMES: Final = tuple(dict.fromkeys(metric.name for metric in ENGINE_METRICS))
_Samples = dict[str, list[tuple[dict[str, str], float]]]

# https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
# Nothing is tried in two ways, so that a page takes time in proportion to its length whatever is on it.
_LABEL = r'[ \t]*+([A-Za-z_][A-Za-z0-9_]*+)[ \t]*+=[ \t]*+"((?:[^"\\]|\\.)*+)"[ \t]*+'
_LABELS = re.compile(_LABEL).findall
_SAMPLE = re.compile(
    rf"(?P<name>[A-Za-z_:][A-Za-z0-9_:]*+)[ \t]*+(?:\{{(?P<labels>(?:{_LABEL}(?:,|(?=\}})))*+[ \t]*+)\}}[ \t]*+)?"
    r"(?<=[ \t}])(?P<value>[^ \t{]++)(?:[ \t]++-?[0-9.]++)?[ \t]*+"
).fullmatch


def read_engine(page: str) -> EngineStats | None:
    """The engine's numbers from its page in Prometheus' text format; None when no name of the table is on it.

    A quantity of which one sample is NaN, infinite or negative, or a cache usage above 1, is None.
    """
    samples = _samples(page.splitlines())
    for engine in dict.fromkeys(metric.engine for metric in ENGINE_METRICS):
        own = [metric for metric in ENGINE_METRICS if metric.engine == engine and metric.name in samples]
        if own:
            running, waiting, usage = (_quantity(own, samples, quantity) for quantity in Quantity)
            return EngineStats(running, waiting, usage)
    return None


def _samples(lines: Iterable[str]) -> _Samples:
    samples: _Samples = {}
    for line in lines:
        if not line.startswith(_NAMES):
            continue
        name, labels, value = _read(line)
        if name in _NAMES:
            samples.setdefault(name, []).append((labels, value))
    return samples


def _read(line: str) -> tuple[str, dict[str, str], float]:
    """Name, labels and value. Of a line that cannot be read the value is NaN: it is one of ours, and so unknown."""
    match = _SAMPLE(line)
    if match is None or not match["value"].isascii() or "_" in match["value"]:
        return next(name for name in _NAMES if line.startswith(name)), {}, math.nan
    # As they are written: none that the table asks for has anything to escape.
    labels = dict(_LABELS(match["labels"] or ""))
    try:
        return match["name"], labels, float(match["value"])
    except ValueError:
        return match["name"], labels, math.nan


def _quantity(metrics: list[EngineMetric], samples: _Samples, quantity: Quantity) -> float | None:
    for metric in metrics:
        if metric.quantity is not quantity:
            continue
        values = [value for labels, value in samples[metric.name] if _counts(metric, labels)]
        if not values:
            continue
        result = max(values) if quantity is Quantity.KV_CACHE_USAGE else sum(values)
        plausible = all(math.isfinite(value) and value >= 0 for value in values)
        if not plausible or (quantity is Quantity.KV_CACHE_USAGE and result > 1):
            return None
        return result
    return None


def _counts(metric: EngineMetric, labels: dict[str, str]) -> bool:
    return all(labels[name] in values for name, values in metric.where if name in labels) and all(
        labels.get(name) == value for name, value in metric.required
    )


class EngineReader:
    """Asks the engine once a second, but only while somebody wants to know."""

    def __init__(self, source: Request, clock: Callable[[], float]) -> None:
        """`source` is the engine's metrics page."""
        self._source = source
        self._clock = clock
        self._wanted_until = -math.inf
        self._latest: EngineStats | None = None
        self._latest_at = -math.inf
        self._task: asyncio.Task[None] | None = None
        self.failures = 0

    def latest(self) -> EngineStats | None:
        """The engine's numbers, at most a few seconds old; None while they are not known. Keeps the asking up."""
        now = self._clock()
        self._wanted_until = now + _WANTED_FOR
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._ask_while_wanted(), name="engine metrics")
        return self._latest if now - self._latest_at <= _FRESH_FOR else None

    async def stop(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _ask_while_wanted(self) -> None:
        while self._clock() < self._wanted_until:
            try:
                async with asyncio.timeout(_FETCH_SECONDS):
                    reply = await get(self._source, _MOST_BYTES)
                if reply.status != 200:
                    raise FetchError(f"the engine's metrics were answered with {reply.status}")
                self._latest = read_engine(reply.body.decode("utf-8", "replace"))
                self._latest_at = self._clock()
            except (FetchError, OSError):  # OSError includes TimeoutError
                self.failures += 1
            await asyncio.sleep(_INTERVAL)
