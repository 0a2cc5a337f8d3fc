"""Stats: what a queue proxy or an activator has seen, in a form that survives lost messages.

Every quantity is a cumulative counter. The average over any interval is the difference of two readings
divided by the time between them, so a scrape that is lost loses nothing: the next one covers its interval
too. A proxy also keeps the last minutes by the second and hands them over when asked, so that a controller
that has just started fills its windows with its first scrape.

What arrives here came over a network from a pod: `parse_stats` believes nothing that is not a finite,
non-negative number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields


class MessageError(ValueError):
    """A message is not what its sender should have sent: names the field, the value, what is allowed."""


@dataclass(frozen=True, slots=True)
class EngineStats:
    """What the inference engine reports of itself, in one vocabulary whatever the engine is.

    `running` and `waiting` are requests inside the engine; `kv_cache_usage` is a fraction in 0..1.
    None means that this engine does not report it.
    """

    running: float | None = None
    waiting: float | None = None
    kv_cache_usage: float | None = None


@dataclass(frozen=True, slots=True)
class SecondStats:
    """One whole second of history.

    `age` is how many seconds before the message's `at` that second ended; `busy` and `waited` are
    request-seconds spent running and waiting within it (so: the average numbers in that second);
    `arrived` is the number of requests that came in it.
    """

    age: float
    busy: float
    waited: float
    arrived: int


@dataclass(frozen=True, slots=True)
class Stats:
    """One reading of one source for one service.

    source         replica name, or `activator/<name>`
    epoch          drawn anew at each start of the source: counters began at zero then
    at             the source's own monotonic seconds; only differences within one epoch mean anything
    busy_seconds   request-seconds spent running (in an activator: forwarded to a replica)
    waiting_seconds  request-seconds spent waiting in this source's queue or hold
    arrived        requests that came in (probes never count)
    completed      requests that ended with a whole answer from the model
    refused        requests answered by us because a bound was reached (429, 503)
    failed         requests that were accepted and could not be finished (502, 504, cut streams)
    abandoned      requests whose client left before the answer was whole
    service_seconds  sum over completed requests of the time from forwarding to the last byte
    running, waiting  how many are running and waiting now
    held_bytes     bytes of request bodies buffered while waiting
    ready_at       when the model first answered its readiness probe (source's clock), None before
    first_request_at  when the first request was forwarded to the model, None before
    engine         the engine's own numbers, None when it exposes none or they could not be read
    seconds        history, oldest first; empty unless asked for. Between two rows nothing happened in the seconds that
                   have none
    """

    source: str
    epoch: str
    at: float
    busy_seconds: float = 0.0
    waiting_seconds: float = 0.0
    arrived: int = 0
    completed: int = 0
    refused: int = 0
    failed: int = 0
    abandoned: int = 0
    service_seconds: float = 0.0
    running: int = 0
    waiting: int = 0
    held_bytes: int = 0
    ready_at: float | None = None
    first_request_at: float | None = None
    engine: EngineStats | None = None
    seconds: tuple[SecondStats, ...] = ()

    def to_json(self) -> dict[str, object]:
        """A JSON object with every field; `parse_stats` reads it back to an equal value."""
        body: dict[str, object] = {field.name: getattr(self, field.name) for field in fields(self)}
        body["engine"] = None if self.engine is None else asdict(self.engine)
        body["seconds"] = [[s.age, s.busy, s.waited, s.arrived] for s in self.seconds]
        return body


_LONGEST_HISTORY = 3_600
_LONGEST_NAME = 512


def parse_stats(body: object) -> Stats:
    """Read a Stats from decoded JSON.

    Raises MessageError, naming the field, when something is missing, of the wrong type, negative,
    NaN or infinite, or larger than a proxy could honestly report.
    """
    if not isinstance(body, Mapping):
        raise MessageError(f"stats must be an object, not {type(body).__name__}")
    engine = body.get("engine")
    return Stats(
        source=_text(body, "source"),
        epoch=_text(body, "epoch"),
        at=_number(body, "at"),
        busy_seconds=_number(body, "busy_seconds"),
        waiting_seconds=_number(body, "waiting_seconds"),
        arrived=_count(body, "arrived"),
        completed=_count(body, "completed"),
        refused=_count(body, "refused"),
        failed=_count(body, "failed"),
        abandoned=_count(body, "abandoned"),
        service_seconds=_number(body, "service_seconds"),
        running=_count(body, "running"),
        waiting=_count(body, "waiting"),
        held_bytes=_count(body, "held_bytes"),
        ready_at=_optional(body, "ready_at"),
        first_request_at=_optional(body, "first_request_at"),
        engine=None if engine is None else _engine(engine),
        seconds=_history(body.get("seconds", [])),
    )


def _engine(body: object) -> EngineStats:
    if not isinstance(body, Mapping):
        raise MessageError(f"engine must be an object, not {type(body).__name__}")
    stats = EngineStats(
        running=_optional(body, "running"),
        waiting=_optional(body, "waiting"),
        kv_cache_usage=_optional(body, "kv_cache_usage"),
    )
    if stats.kv_cache_usage is not None and stats.kv_cache_usage > 1:
        raise MessageError(f"kv_cache_usage must be within 0..1, not {stats.kv_cache_usage}")
    return stats


def _history(rows: object) -> tuple[SecondStats, ...]:
    if not isinstance(rows, list) or len(rows) > _LONGEST_HISTORY:
        raise MessageError(f"seconds must be a list of at most {_LONGEST_HISTORY} rows")
    return tuple(_second(row) for row in rows)


def _second(row: object) -> SecondStats:
    if not isinstance(row, list) or len(row) != 4:
        raise MessageError("each row of seconds must be [age, busy, waited, arrived]")
    named = dict(zip(("age", "busy", "waited", "arrived"), row, strict=True))
    return SecondStats(
        age=_number(named, "age"),
        busy=_number(named, "busy"),
        waited=_number(named, "waited"),
        arrived=_count(named, "arrived"),
    )


def _text(body: Mapping[str, object], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME:
        raise MessageError(f"{name} must be a text of 1 to {_LONGEST_NAME} characters, not {value!r:.80}")
    return value


def _number(body: Mapping[str, object], name: str) -> float:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MessageError(f"{name} must be a number, not {value!r:.80}")
    if not math.isfinite(value) or value < 0:
        raise MessageError(f"{name} must be finite and not negative, not {value!r:.80}")
    return float(value)


def _count(body: Mapping[str, object], name: str) -> int:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise MessageError(f"{name} must be a whole number that is not negative, not {value!r:.80}")
    return value


def _optional(body: Mapping[str, object], name: str) -> float | None:
    return None if body.get(name) is None else _number(body, name)
