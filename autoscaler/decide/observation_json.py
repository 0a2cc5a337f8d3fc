"""An Observation as JSON and back.

Floats are written as floats even where somebody gave a whole number: bytes must not depend on that.
"""

from __future__ import annotations

from dataclasses import asdict

from autoscaler.decide.json_fields import Fields, RecordError, as_number, as_object, as_whole
from autoscaler.signals.gpu import NOT_READ
from autoscaler.signals.observation import Observation, ReplicaCounts, Sample
from autoscaler.signals.reading import Known, Missing, Reading, Stale

_COUNTS = ("wanted", "ready", "starting", "pending", "draining", "failed")


def observation_to_json(observation: Observation) -> dict[str, object]:
    """What `observation_from_json` reads back to an equal value."""
    return {
        "at": float(observation.at),
        "samples": [_sample_to_json(sample) for sample in observation.samples],
        "in_flight": reading_to_json(observation.in_flight),
        "held": reading_to_json(observation.held),
        "queued": reading_to_json(observation.queued),
        "engine_running": reading_to_json(observation.engine_running),
        "engine_waiting": reading_to_json(observation.engine_waiting),
        "kv_cache_usage": reading_to_json(observation.kv_cache_usage),
        "replicas": counts_to_json(observation.replicas),
        "service_seconds": _float_or_none(observation.service_seconds),
        "wake_seconds": _float_or_none(observation.wake_seconds),
        "activator_confirmed": observation.activator_confirmed,
        "ever_ready": observation.ever_ready,
        **_gpus_to_json(observation),
        **({} if observation.completed is None else {"completed": float(observation.completed)}),
    }


def observation_from_json(body: object) -> Observation:
    """Raises RecordError."""
    fields = Fields(as_object(body, "readings"), "readings")
    fields.only(*Observation.__dataclass_fields__)
    return Observation(
        at=fields.number("at"),
        samples=fields.items("samples", _sample_from_json),
        in_flight=reading_from_json(fields.inner("in_flight")),
        held=reading_from_json(fields.inner("held")),
        queued=reading_from_json(fields.inner("queued")),
        engine_running=reading_from_json(fields.inner("engine_running")),
        engine_waiting=reading_from_json(fields.inner("engine_waiting")),
        kv_cache_usage=reading_from_json(fields.inner("kv_cache_usage")),
        replicas=counts_from_json(fields.inner("replicas")),
        service_seconds=fields.number_or_none("service_seconds"),
        wake_seconds=fields.number_or_none("wake_seconds"),
        activator_confirmed=fields.flag("activator_confirmed"),
        ever_ready=fields.flag("ever_ready"),
        gpu_utilization=_gpu_reading(fields, "gpu_utilization"),
        gpu_memory=_gpu_reading(fields, "gpu_memory"),
        completed=fields.number_or_none("completed") if "completed" in fields.body else None,
    )


def _gpus_to_json(observation: Observation) -> dict[str, object]:
    """Left out where nobody reads them, so that a line is what it was before there were such readings."""
    readings = (("gpu_utilization", observation.gpu_utilization), ("gpu_memory", observation.gpu_memory))
    return {name: reading_to_json(reading) for name, reading in readings if reading != NOT_READ}


def _gpu_reading(fields: Fields, name: str) -> Reading:
    return reading_from_json(fields.inner(name)) if name in fields.body else NOT_READ


def reading_to_json(reading: Reading) -> dict[str, object]:
    """{"known": v, "age": s}, {"stale": v, "age": s} or {"missing": why}."""
    match reading:
        case Known(value, age):
            return {"known": float(value), "age": float(age)}
        case Stale(value, age):
            return {"stale": float(value), "age": float(age)}
        case Missing(why):
            return {"missing": why}


def reading_from_json(fields: Fields) -> Reading:
    """Raises RecordError."""
    if "missing" in fields.body:
        fields.only("missing")
        return Missing(fields.text("missing"))
    if "known" in fields.body:
        fields.only("known", "age")
        return Known(fields.number("known"), fields.number("age"))
    if "stale" in fields.body:
        fields.only("stale", "age")
        return Stale(fields.number("stale"), fields.number("age"))
    raise RecordError(f"{fields.path} must say known, stale or missing")


def counts_to_json(replicas: ReplicaCounts) -> dict[str, object]:
    """One number for each phase."""
    return asdict(replicas)


def counts_from_json(fields: Fields) -> ReplicaCounts:
    """Raises RecordError."""
    fields.only(*_COUNTS)
    return ReplicaCounts(
        wanted=fields.count("wanted"),
        ready=fields.count("ready"),
        starting=fields.count("starting"),
        pending=fields.count("pending"),
        draining=fields.count("draining"),
        failed=fields.count("failed"),
    )


def _sample_to_json(sample: Sample) -> list[object]:
    return [sample.second, float(sample.concurrency), float(sample.rps), float(sample.waiting)]


def _sample_from_json(row: object, path: str) -> Sample:
    if not isinstance(row, list) or len(row) != 4:
        raise RecordError(f"{path} must be [second, concurrency, rps, waiting], not {row!r:.80}")
    second, concurrency, rps, waiting = row
    return Sample(as_whole(second, path), as_number(concurrency, path), as_number(rps, path), as_number(waiting, path))


def _float_or_none(value: float | None) -> float | None:
    return None if value is None else float(value)
