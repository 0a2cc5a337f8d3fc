"""Observability: the request log and the spans of one process, as its flags ask for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from queue_proxy.observability.flags import Flags

if TYPE_CHECKING:
    from queue_proxy.http.contract import Observer
    from queue_proxy.observability.batches import Batches
    from queue_proxy.observability.record import RequestRecord
    from queue_proxy.observability.trace_context import Samples

_LOG_SECONDS = 0.2
_LOG_BATCH = 256
_LOG_MOST = 20_000
_LAST_RECORDS_SECONDS = 2.0
_AT_ONCE_SECONDS = 0.05


class ObservabilityError(Exception):
    """The flags ask for what cannot be had; the message names the flag and what is wrong."""


class Observability:
    """What one process tells of its requests.

    log, spans  None where that is off
    """

    def __init__(self, component: str, instance: str, flags: Flags, clock: Callable[[], float]) -> None:
        """`component` is `activator` or `queue_proxy`, `instance` its name. Raises ObservabilityError."""
        self._clock = clock
        self._probes = flags.request_log_probes
        self._samples: Samples | None = None
        self.log: Batches[RequestRecord] | None = None
        self.spans: Batches[RequestRecord] | None = None
        if flags.request_log is not None:
            self.log = _log(component, flags.request_log, clock)
        if flags.tracing:
            self._trace(component, instance)

    def observer(self, service: str, replica: str = "", *, retries_wait: bool = False) -> Observer | None:
        """For the exchanges of one service; None when nothing is to be told. `retries_wait`: a request that reached
        nobody waits again, so that a refusal that follows is one, and no failure."""
        if self.log is None and self.spans is None:
            return None
        from queue_proxy.observability.observer import RequestObserver
        from queue_proxy.observability.record import RequestOutcome

        return RequestObserver(
            service,
            replica,
            RequestOutcome.REFUSED if retries_wait else RequestOutcome.FAILED,
            self._clock,
            log=self.log,
            probes=self._probes,
            spans=self.spans,
            samples=self._samples,
        )

    def close(self, *, at_once: bool = False) -> None:
        """Write what is left; blocks, for two seconds at most, or for next to nothing if it must be `at_once`."""
        ends_at = time.monotonic() + (_AT_ONCE_SECONDS if at_once else _LAST_RECORDS_SECONDS)
        open_ones = [batches for batches in (self.log, self.spans) if batches is not None]
        for batches in open_ones:
            batches.finish()
        for batches in open_ones:
            batches.close(max(0.0, ends_at - time.monotonic()))

    def _trace(self, component: str, instance: str) -> None:
        try:
            from queue_proxy.observability import otel
            from queue_proxy.observability.batches import Batches
        except ImportError as error:
            raise ObservabilityError(f"--tracing needs the extra `otel` of pilotlight: {error}") from error
        try:
            resource = otel.resource_of(component, instance)
            asked = otel.sampler_and_exporter(resource)
            if asked is None:
                return
            self._samples, exporter = asked
            seconds, size, most = otel.batch_settings()
        except (otel.TracingError, ValueError) as error:
            raise ObservabilityError(f"--tracing: {error}") from error
        wait = "hold" if component == "activator" else "queue"
        sink = otel.SpanSink(exporter, resource, wait, self._clock)
        self.spans = Batches("spans", sink, seconds=seconds, size=size, most=most)


def _log(component: str, target: str, clock: Callable[[], float]) -> Batches[RequestRecord]:
    from queue_proxy.observability.batches import Batches
    from queue_proxy.observability.request_log import RequestLog

    try:
        sink = RequestLog(component, target, clock)
    except OSError as error:
        raise ObservabilityError(f"--request-log {target}: {error.strerror}") from error
    return Batches("request log", sink, seconds=_LOG_SECONDS, size=_LOG_BATCH, most=_LOG_MOST)
