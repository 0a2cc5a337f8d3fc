"""The pretended engine: batch slots, pacing and faults, and the numbers a real engine reports of itself."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pilotlight.example_server.options import Distribution, Options


class PretendedFailureError(Exception):
    """A request that fails because `--error-rate` says that some do."""


@dataclass(slots=True)
class Counts:
    """What is reported as metrics. Times are the machine's monotonic seconds, comparable between processes."""

    running: int = 0
    waiting: int = 0
    kv_tokens: int = 0
    answered: int = 0
    failed: int = 0
    generated_tokens: int = 0
    first_ready_answer: float | None = None
    first_request: float | None = None


class Engine:
    """Work is admitted into slots first come, first served, and then takes the time that the options say."""

    def __init__(self, options: Options, clock: Callable[[], float]) -> None:
        self.options = options
        self.counts = Counts()
        self.loaded = False
        self.draining = False
        self._clock = clock
        self._random = random.Random(options.seed)  # noqa: S311 - service times, not secrets
        self._slots = asyncio.Semaphore(options.slots) if options.slots else None

    @property
    def ready(self) -> bool:
        """Loaded, and not about to end."""
        return self.loaded and not self.draining

    def ready_answered(self) -> None:
        """A readiness probe is being answered with 200: the first of these is when a wake could be over."""
        if self.counts.first_ready_answer is None:
            self.counts.first_ready_answer = self._clock()

    def request_arrived(self) -> None:
        """An inference request has reached this process."""
        if self.counts.first_request is None:
            self.counts.first_request = self._clock()

    @asynccontextmanager
    async def work(self, tokens: int = 0) -> AsyncIterator[None]:
        """One request's stay: waits for a slot, then holds it and `tokens` of the KV cache until the block ends.

        Raises PretendedFailureError, or never goes on, as the failure modes say.
        """
        failing = self._random.random() < self.options.error_rate
        hanging = self._random.random() < self.options.hang_rate
        async with self._slot():
            self.counts.running += 1
            self.counts.kv_tokens += tokens
            try:
                if failing:
                    raise PretendedFailureError("this example server fails on purpose: --error-rate")
                if hanging:
                    await asyncio.Event().wait()
                yield
            except BaseException:
                self.counts.failed += 1
                raise
            finally:
                self.counts.running -= 1
                self.counts.kv_tokens -= tokens
        self.counts.answered += 1
        self._crash_if_due()

    async def serve(self) -> None:
        """The time a request takes, or a chat until its first token."""
        mean = self.options.service_seconds
        if mean and self.options.distribution is Distribution.EXPONENTIAL:
            mean = self._random.expovariate(1 / mean)
        if mean:
            await asyncio.sleep(mean)

    async def next_token(self) -> None:
        """The time between two tokens."""
        if self.options.token_seconds:
            await asyncio.sleep(self.options.token_seconds)

    def _crash_if_due(self) -> None:
        """Die by SIGKILL where `--crash-after-requests` says so, a moment later: the answer itself goes out first."""
        if self.options.crash_after and self.counts.answered >= self.options.crash_after:
            asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGKILL)

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        if self._slots is None:
            yield
            return
        self.counts.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.counts.waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

    def metrics(self) -> str:
        """Prometheus text. The `vllm:` names are vLLM's, so that whoever reads that engine can read this one."""
        counts = self.counts
        label = f'{{model_name="{self.options.model}",engine="0"}}'
        usage = min(1.0, counts.kv_tokens / self.options.kv_tokens)
        lines = [
            *_metric("vllm:num_requests_running", "gauge", "Requests in slots.", label, counts.running),
            *_metric("vllm:num_requests_waiting", "gauge", "Requests waiting for a slot.", label, counts.waiting),
            *_metric("vllm:kv_cache_usage_perc", "gauge", "Pretended KV cache in use, 0..1.", label, usage),
            *_metric("vllm:generation_tokens_total", "counter", "Tokens generated.", label, counts.generated_tokens),
            *_metric("example_requests_answered_total", "counter", "Requests answered.", label, counts.answered),
            *_metric("example_requests_failed_total", "counter", "Requests failed or left.", label, counts.failed),
        ]
        if counts.first_ready_answer is not None:
            name = "example_first_ready_answer_seconds"
            lines += _metric(name, "gauge", "CLOCK_MONOTONIC of the first 200.", label, counts.first_ready_answer)
        if counts.first_request is not None:
            name = "example_first_request_seconds"
            lines += _metric(name, "gauge", "CLOCK_MONOTONIC of the first request.", label, counts.first_request)
        return "\n".join(lines) + "\n"


def _metric(name: str, kind: str, meaning: str, label: str, value: float) -> tuple[str, str, str]:
    return f"# HELP {name} {meaning}", f"# TYPE {name} {kind}", f"{name}{label} {value!r}"
