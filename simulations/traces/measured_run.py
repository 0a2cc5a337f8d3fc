"""What a real cluster did with a trace: what clients measured and how many pods ran; for validating the simulator.

    *.measured_requests.csv[.gz]   send_s,batch,latency_s,output_tokens,status
    *.pods.csv[.gz]                t_s,running,pending,init          a row whenever one of them changed

A request that never completed has no latency. The offered load of such a run is a trace like any other (format
measured-requests); here are its outcomes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulations.traces import table as tables
from simulations.traces.rows import header_of
from simulations.traces.source import BadRows, Source
from simulations.traces.trace import Floats, TraceError

_REQUESTS = ("send_s", "latency_s", "status")
_PODS = ("t_s", "running", "pending")
_COMPLETED = b"ok"


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """One run.

    sent      seconds since its beginning; latency in seconds, NaN for requests that never completed
    changed   when the numbers of pods changed; running and pending from then on
    """

    name: str
    sent: Floats
    latency: Floats
    output_tokens: Floats
    changed: Floats
    running: Floats
    pending: Floats

    @property
    def completed(self) -> NDArray[np.bool_]:
        """Which requests completed."""
        return ~np.isnan(self.latency)

    @property
    def mean_latency(self) -> float:
        """Seconds, of completed requests."""
        return float(np.nanmean(self.latency))

    def latency_quantile(self, probability: float) -> float:
        """Seconds, of completed requests."""
        return float(np.nanquantile(self.latency, probability))

    def replica_hours(self) -> float:
        """Pods that ran, from the beginning until the last time that pods were looked at."""
        return float(np.sum(self.running[:-1] * np.diff(self.changed))) / 3600.0


def read_measured_run(requests: Path) -> MeasuredRun:
    """Read a run; its pods are in a file beside the other one. Raises TraceError."""
    pods = requests.with_name(requests.name.replace(".measured_requests.", ".pods."))
    if pods == requests:
        raise TraceError(
            f"{requests}: where its pods are cannot be told from its name, which has no .measured_requests. in it"
        )
    source = Source.open(requests)
    sent, latency, tokens = _columns(source, ("send_s", "latency_s", "output_tokens"), _REQUESTS)
    if np.isnan(sent).any() or (sent < 0).any():
        raise TraceError(f"{requests}: send_s must be there in each row, and not negative")
    changed, running, pending = _columns(Source.open(pods), _PODS, _PODS)
    if (np.diff(changed) < 0).any() or np.isnan(running).any():
        raise TraceError(f"{pods}: rows must be in the order of time, with a number of running pods in each")
    name = requests.name.partition(".measured_requests")[0]
    return MeasuredRun(name, sent, latency, tokens, changed, running, np.nan_to_num(pending))


def _columns(source: Source, names: tuple[str, str, str], needed: tuple[str, ...]) -> tuple[Floats, Floats, Floats]:
    header, bad = header_of(source), BadRows(str(source.path))
    missing = [name for name in (*needed, *names) if name not in header]
    if missing:
        raise TraceError(f"{source.path}:1: there is no column {missing[0]}; there are {', '.join(header)[:200]}")
    parts: list[list[Floats]] = [[], [], []]
    for block in source.blocks():
        table = tables.split(tables.without_header(block), len(header), bad)
        values = [tables.numbers(table, header.index(name), name, bad, optional=True)[0] for name in names]
        if "status" in needed:
            status, _ = tables.texts(table, [header.index("status")], ["status"], bad)
            done = np.array([text == _COMPLETED for text in status], np.bool_)
            values[1] = np.where(done, values[1], np.nan)
        for part, column in zip(parts, values, strict=True):
            part.append(column)
    if not any(len(column) for column in parts[0]):
        raise TraceError(f"{source.path}: there is no row in it")
    return np.concatenate(parts[0]), np.concatenate(parts[1]), np.concatenate(parts[2])
