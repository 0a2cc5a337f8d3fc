"""Recordings of `pilotlight up --record` as traces: what really came, second by second.

Readings hold, for each second, how many requests arrived at a service; samples of one second add up, and late ones may
take back what was counted twice. Each service's requests are counted up and drawn within their second. What a replica
was measured to take for one request at that time is given as each one's duration; single durations are not recorded.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace

import numpy as np

from autoscaler.decide.json_fields import RecordError
from autoscaler.decide.records import ReadingsRecord, parse_record
from simulations.traces.counts import Cells, CountsTrace
from simulations.traces.options import Format, OpenedTrace, ReadOptions
from simulations.traces.source import BadRows, Source
from simulations.traces.trace import MOST_SERVICES, TraceError

_LONGEST = 400 * 86_400
_MOST_A_SECOND = 10_000_000.0


class _Told:
    """What the readings of one recording tell."""

    def __init__(self) -> None:
        self.arrived: dict[str, dict[int, float]] = {}
        self.seconds: dict[str, dict[int, float]] = defaultdict(dict)

    def take(self, record: ReadingsRecord) -> None:
        observation = record.observation
        arrived = self.arrived.setdefault(record.service, defaultdict(float))
        if len(self.arrived) > MOST_SERVICES:
            raise RecordError(f"more than {MOST_SERVICES} services")
        for sample in observation.samples:
            if abs(sample.rps) > _MOST_A_SECOND:
                raise RecordError(f"{sample.rps:g} requests in a second; {_MOST_A_SECOND:g} are allowed")
            arrived[sample.second] += sample.rps
            if observation.service_seconds is not None:
                self.seconds[record.service][sample.second] = observation.service_seconds


def recognise(source: Source) -> bool:
    """The first line is a record of ours."""
    first = "".join(source.first_lines(1))
    return first.startswith("{") and '"kind":"' in first and '"service":"' in first


def open_recording(source: Source, options: ReadOptions) -> OpenedTrace:
    """Read the whole recording. Raises TraceError."""
    bad, told = BadRows(str(source.path), options.skip_bad), _Told()
    cut_off: tuple[int, str] | None = None
    for number, line in source.lines():
        if cut_off is not None:
            bad.bad(*cut_off)
            cut_off = None
        try:
            record = parse_record(line)
            if isinstance(record, ReadingsRecord):
                told.take(record)
            bad.good += 1
        except RecordError as error:
            cut_off = number, str(error)  # the last line may be cut off: that is how a killed process leaves it
    if cut_off is not None and bad.good == 0:
        bad.bad(*cut_off)
    trace = _trace(source, options, told)
    mean = "durations are the mean that was measured at the time, not each request's own"
    return OpenedTrace(
        trace=trace,
        format="recording",
        recognised=f"{source.path}: a recording of Pilotlight, {len(trace.services)} services",
        skipped=bad.count,
        first_bad=bad.first,
        remarks=(mean, *((f"line {cut_off[0]}, the last, is cut off",) if cut_off else ())),
    )


def _trace(source: Source, options: ReadOptions, told: _Told) -> CountsTrace:
    names = tuple(sorted(told.arrived))
    seconds = [second for arrived in told.arrived.values() for second, count in arrived.items() if count > 0]
    if not seconds:
        raise TraceError(f"{source.path}: no request arrived in it")
    first, last = min(seconds), max(seconds)
    if last - first > _LONGEST:
        raise TraceError(f"{source.path}: goes over {last - first} s; {_LONGEST} are allowed")
    rows = [
        (second - first, at, count) for at, name in enumerate(names) for second, count in _whole(told.arrived[name])
    ]
    rows.sort()
    took = [told.seconds[names[at]].get(second + first, math.nan) for second, at, _ in rows]
    cells = Cells(
        np.array([second for second, _, _ in rows], np.int64),
        np.array([at for _, at, _ in rows], np.int32),
        np.array([count for _, _, count in rows], np.int64),
    )
    return CountsTrace(
        name=source.name,
        services=names,
        cells=replace(cells, seconds=np.array(took)),
        width=1.0,
        bins=last - first + 1,
        seed=options.seed,
        origin=source.digest(),
    )


def _whole(arrived: dict[int, float]) -> list[tuple[int, int]]:
    """Whole requests of each second; parts and what was taken back are carried into the next one."""
    counted, carried = [], 0.0
    for second in sorted(arrived):
        carried += arrived[second]
        count = math.floor(carried + 1e-6)
        if count > 0:
            counted.append((second, count))
            carried -= count
    return counted


RECORDING = Format("recording", "what `pilotlight up --record` has written", recognise, open_recording)
