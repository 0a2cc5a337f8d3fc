"""Spans, made from records and exported over OTLP by the OpenTelemetry SDK.

Loaded only when asked for: it takes half a second and 20 MB. All settings are the SDK's own environment variables. What
the SDK does during a request is left out: spans are made when all is over, in the thread that exports them, with ids
that were chosen on the path.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, Sampler
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context
from opentelemetry.trace.span import TraceState
from opentelemetry.trace.status import Status, StatusCode

from queue_proxy.observability.record import RequestOutcome, RequestRecord
from queue_proxy.observability.trace_context import Caller

log = logging.getLogger(__name__)

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_UNSAMPLED = TraceFlags(TraceFlags.DEFAULT)
_SCOPE = InstrumentationScope("pilotlight")
_OK = Status()
_WITHOUT_WAITING = 0.000_5
_SERVER_ERRORS = 500


class TracingError(Exception):
    """The environment asks for what is not there; the message names the variable and what is allowed."""


class BatchSettings(NamedTuple):
    """`OTEL_BSP_*`: seconds between two batches, the largest batch, and how many may wait."""

    seconds: float
    size: int
    most: int


def batch_settings() -> BatchSettings:
    """From the environment. Raises TracingError."""
    delay = _number("OTEL_BSP_SCHEDULE_DELAY", 5_000)
    size = _number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)
    return BatchSettings(delay / 1_000, size, _number("OTEL_BSP_MAX_QUEUE_SIZE", 2_048))


class Samples:
    """`OTEL_TRACES_SAMPLER`, by default what the caller has decided, and yes without one."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        # Asking the SDK costs more than all else that a request pays here. Its own samplers compare the id with a
        # bound, if they look at it at all: when the lowest and the highest get the same answer, so does every one.
        self._always: dict[bool | None, bool] = {}
        if type(sampler).__module__ == Sampler.__module__:
            for kind in (None, False, True):
                lowest, highest = (self._ask(kind, trace_id, 1) for trace_id in (1, 2**128 - 1))
                if lowest is highest:
                    self._always[kind] = lowest

    def __call__(self, caller: Caller | None, trace_id: str) -> bool:
        """See `trace_context.Samples`."""
        sampled = None if caller is None else caller.sampled
        known = self._always.get(sampled)
        if known is not None:
            return known
        return self._ask(sampled, int(trace_id, 16), 1 if caller is None else int(caller.span_id, 16))

    def _ask(self, sampled: bool | None, trace_id: int, caller_span_id: int) -> bool:
        """`sampled` is None without a caller."""
        parent = None
        if sampled is not None:
            flags = _SAMPLED if sampled else _UNSAMPLED
            context = SpanContext(trace_id, caller_span_id, is_remote=True, trace_flags=flags)
            parent = set_span_in_context(NonRecordingSpan(context))
        result = self._sampler.should_sample(parent, trace_id, "proxy")
        return result.decision is Decision.RECORD_AND_SAMPLE


class SpanSink:
    """Implements `queue_proxy.observability.batches.Sink`. `wait` is how the time before forwarding is called."""

    def __init__(self, exporter: SpanExporter, resource: Resource, wait: str, clock: Callable[[], float]) -> None:
        self._exporter = exporter
        self._resource = resource
        self._wait = wait
        self._clock = clock
        self._complaints = _Complaints()
        self._failing = False

    def write(self, batch: Sequence[RequestRecord]) -> int:
        """See Sink."""
        offset = time.time() - self._clock()
        spans = [span for record in batch for span in self._spans_of(record, offset)]
        if self._exporter.export(spans) is SpanExportResult.SUCCESS:
            self._failing = False
            return 0
        if not self._failing:
            # Once for each time that it begins; how much was lost is a metric.
            self._failing = True
            log.warning("spans cannot be exported: %s", self._complaints.last)
        return len(batch)

    def close(self) -> None:
        """See Sink."""
        self._exporter.shutdown()

    def _spans_of(self, record: RequestRecord, offset: float) -> Iterator[ReadableSpan]:
        trace = record.trace
        assert trace is not None, "only records with a span's id are exported"
        number = int(trace.trace_id, 16)
        state = TraceState.from_header([trace.state])
        caller = None
        if trace.caller_span_id:
            caller = SpanContext(number, int(trace.caller_span_id, 16), True, _SAMPLED, state)
        own = SpanContext(number, int(trace.span_id, 16), False, _SAMPLED, state)
        arrived = _nanoseconds(record.arrived_at + offset)
        failed = record.outcome is RequestOutcome.FAILED or (record.status or 0) >= _SERVER_ERRORS
        yield ReadableSpan(
            "proxy",
            own,
            caller,
            self._resource,
            _attributes(record),
            kind=SpanKind.SERVER,
            status=Status(StatusCode.ERROR, record.outcome.value) if failed else _OK,
            start_time=arrived,
            end_time=_nanoseconds(record.ended_at + offset),
            instrumentation_scope=_SCOPE,
        )
        if record.waited < _WITHOUT_WAITING:
            return
        # Derived, so that nothing more needs to be chosen on the path; differs from its parent's, as it must.
        context = SpanContext(number, int(trace.span_id, 16) ^ 1 or 2, False, _SAMPLED, state)
        yield ReadableSpan(
            self._wait,
            context,
            own,
            self._resource,
            {"pilotlight.service": record.service, "pilotlight.wait_seconds": record.waited},
            start_time=arrived,
            end_time=_nanoseconds(record.arrived_at + record.waited + offset),
            instrumentation_scope=_SCOPE,
        )


class _Complaints(logging.Filter):
    """What the exporter would log, several lines for each batch, as long as a collector is away; keeps the last."""

    def __init__(self) -> None:
        super().__init__()
        self.last = "the collector did not take them"
        logging.getLogger(OTLPSpanExporter.__module__).addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Called by the logger."""
        self.last = f"{record.getMessage():.300}"
        return False


def resource_of(component: str, instance: str) -> Resource:
    """Who we are; what the environment says of that goes first."""
    ours = {SERVICE_NAME: f"pilotlight-{component.replace('_', '-')}", SERVICE_INSTANCE_ID: instance}
    said = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if os.environ.get("OTEL_SERVICE_NAME") or f"{SERVICE_NAME}=" in said:
        del ours[SERVICE_NAME]
    if f"{SERVICE_INSTANCE_ID}=" in said:
        del ours[SERVICE_INSTANCE_ID]
    return Resource.create(dict(ours))


def sampler_and_exporter(resource: Resource) -> tuple[Samples, SpanExporter] | None:
    """What the environment asks for; None when it switches tracing off. Raises TracingError."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    exporter = _one_of("OTEL_TRACES_EXPORTER", "otlp", "none")
    if exporter == "none":
        return None
    for name in ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"):
        _one_of(name, "http/protobuf")
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    return Samples(provider.sampler), OTLPSpanExporter()


def _attributes(record: RequestRecord) -> dict[str, str | int | float]:
    attributes: dict[str, str | int | float] = {
        "http.request.method": record.method.decode("latin-1"),
        "url.path": record.path.decode("latin-1"),
        "pilotlight.outcome": record.outcome.value,
        "pilotlight.wait_seconds": record.waited,
    }
    if record.service:
        attributes["pilotlight.service"] = record.service
    if record.replica:
        attributes["pilotlight.replica"] = record.replica
    if record.status is not None:
        attributes["http.response.status_code"] = record.status
    if record.answered_at is not None:
        attributes["pilotlight.first_byte_seconds"] = record.answered_at - record.arrived_at
    return attributes


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)


def _one_of(name: str, *allowed: str) -> str:
    value = os.environ.get(name, "").strip() or allowed[0]
    if value not in allowed:
        raise TracingError(f"{name} must be {' or '.join(allowed)}, not {value!r:.80}")
    return value


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "").strip() or str(default)
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) <= 1_000_000:
        raise TracingError(f"{name} must be a whole number within 1..1000000, not {text!r:.80}")
    return int(text)
