"""Profiles from measurements: samples in a CSV file, or what a live controller says of its wakes.

    phase,seconds
    weights,4.61
    weights,4.48
    engine,27.9

A phase that is in the file replaces that of the profile below it; `total` stands for a whole start and replaces all.
From a controller, `GET /explain/NAMESPACE/NAME` (in a cluster `pilotlight explain --cluster NAME --json`) gives the
last starts phase by phase, or single wakes; `GET /services` only what nine of ten starts kept. All are taken as they
are answered.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from simulations.profiles.cold_start import ColdStartProfile, PhaseSeconds, ProfileError
from simulations.scenario import StartPhase
from simulations.traces import table as tables
from simulations.traces.rows import header_of
from simulations.traces.source import BadRows, Source
from simulations.traces.trace import TraceError

_TOTAL = "total"
_MOST_SECONDS = 1e6
_MOST_SAMPLES = 1_000_000
_MOST_JSON_BYTES = 64 << 20
_PHASES = {phase.value: phase for phase in StartPhase}
# What the controller measures, and where it is in a profile. An image and a process that starts are told as one, and so
# are weights that load and what the engine does with them; a model that is fetched before is told apart.
_MEASURED_AS = {
    "scheduled": StartPhase.SCHEDULE,
    "prepared": StartPhase.WEIGHTS,
    "started": StartPhase.IMAGE,
    "ready": StartPhase.ENGINE,
}


def read_profile(path: Path, base: ColdStartProfile | None = None) -> ColdStartProfile:
    """A file of either kind: samples as CSV, or a controller's answer as JSON. Raises ProfileError."""
    try:
        source = Source.open(path)
        if source.head.lstrip()[:1] in (b"{", b"["):
            text = source.everything(_MOST_JSON_BYTES).decode(errors="replace")
            return from_controller(text, path.name, base)
    except TraceError as error:
        raise ProfileError(str(error)) from error
    return read_samples(path, base)


def read_samples(path: Path, base: ColdStartProfile | None = None) -> ColdStartProfile:
    """Samples of phases, over those of `base`. Raises ProfileError with file, line and what is allowed."""
    try:
        found = _samples(Source.open(path))
    except TraceError as error:
        raise ProfileError(str(error)) from error
    return _profile(path.name, f"samples from {path.name}", found, base)


def from_controller(text: str, name: str = "controller", base: ColdStartProfile | None = None) -> ColdStartProfile:
    """What a controller answered: an explanation with wakes, one service's entry, or the list of them.

    Where starts were measured phase by phase, those are taken. Else, where there are wakes, the time from decision to
    start is SCHEDULE and from there to readiness ENGINE, which then stands for everything that happens on the node.
    Else each service's `expected_wake_seconds` is one sample of a whole start; it is what nine of ten starts kept, so
    such a profile is on the safe side. Raises ProfileError.
    """
    if len(text) > _MOST_JSON_BYTES:
        raise ProfileError(f"{name}: more than {_MOST_JSON_BYTES} bytes")
    try:
        body: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProfileError(f"{name}: not JSON: {error}"[:200]) from None
    found: dict[str, list[float]] = defaultdict(list)
    for service in _services(body):
        if _take_starts(service.get("start_samples"), found):
            continue
        wakes = service.get("wakes")
        for wake in wakes if isinstance(wakes, list) else []:
            _take_wake(wake, found)
        expected = _seconds(service.get("expected_wake_seconds"))
        if not wakes and expected is not None:
            found[_TOTAL].append(expected)
    if any(found[phase] for phase in _PHASES):
        found.pop(_TOTAL, None)
    if not any(found.values()):
        raise ProfileError(f"{name}: no wake was measured in it: neither starts nor wakes nor expected_wake_seconds")
    # These phases are whole starts: phases of `base` would be counted twice beside them.
    return replace(_profile(name, "what a controller measured", found, None), gpu=None if base is None else base.gpu)


def _profile(
    name: str, about: str, found: Mapping[str, list[float]], base: ColdStartProfile | None
) -> ColdStartProfile:
    whole = found.get(_TOTAL)
    if whole:
        samples = {StartPhase.ENGINE: PhaseSeconds(np.array(whole))}
        return ColdStartProfile(name, about, samples, {}, None if base is None else base.gpu)
    measured = {_PHASES[phase]: PhaseSeconds(np.array(values)) for phase, values in found.items() if values}
    below = base or ColdStartProfile(name, about, {}, {})
    kept = below.with_phases(measured)
    return ColdStartProfile(name, about, kept.phases, kept.cached, kept.gpu)


def _samples(source: Source) -> dict[str, list[float]]:
    header = header_of(source)
    if not {"phase", "seconds"} <= set(header):
        raise ProfileError(f"{source.path}:1: the header must have phase and seconds, not {', '.join(header)[:100]!r}")
    bad, found, rows = BadRows(str(source.path)), defaultdict[str, list[float]](list), 0
    for block in source.blocks():
        table = tables.split(tables.without_header(block), len(header), bad)
        values, _ = tables.numbers(table, header.index("seconds"), "seconds", bad, optional=False)
        for row, value in enumerate(values.tolist()):
            phase = table.field(row, header.index("phase"))
            if phase not in _PHASES and phase != _TOTAL:
                allowed = ", ".join((*_PHASES, _TOTAL))
                bad.bad(int(table.lines[row]), f"phase is {phase!r:.40}; there are {allowed}")
            if not 0 <= value <= _MOST_SECONDS:
                bad.bad(int(table.lines[row]), f"seconds is {value:g}; 0 to {_MOST_SECONDS:g} are allowed")
            found[phase].append(value)
            rows += 1
        if rows > _MOST_SAMPLES:
            raise ProfileError(f"{source.path}: more than {_MOST_SAMPLES} samples")
    if not found:
        raise ProfileError(f"{source.path}: there is no sample in it")
    return found


def _services(body: object) -> list[Mapping[str, object]]:
    """The services in an answer: a list, an object with a list under `services`, or one of them."""
    if isinstance(body, Mapping):
        inner = body.get("services")
        body = inner if isinstance(inner, list) else [body]
    return [entry for entry in body if isinstance(entry, Mapping)] if isinstance(body, list) else []


def _take_starts(samples: object, found: dict[str, list[float]]) -> bool:
    """Phases as the controller names them; False when there are none. Its first request is no part of a start."""
    taken = False
    for name, phase in _MEASURED_AS.items():
        values = samples.get(name) if isinstance(samples, Mapping) else None
        for value in values if isinstance(values, list) else []:
            seconds = _seconds(value)
            if seconds is not None:
                found[phase.value].append(seconds)
                taken = True
    return taken


def _take_wake(wake: object, found: dict[str, list[float]]) -> None:
    if not isinstance(wake, Mapping):
        return
    decided, started, ready = (wake.get(key) for key in ("decided_at", "started_at", "ready_at"))
    times = [float(at) for at in (decided, started, ready) if isinstance(at, int | float) and not isinstance(at, bool)]
    if len(times) == 3 and all(map(math.isfinite, times)) and times[0] <= times[1] <= times[2]:
        found["schedule"].append(times[1] - times[0])
        found["engine"].append(times[2] - times[1])


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST_SECONDS:
        return None
    return float(value)
