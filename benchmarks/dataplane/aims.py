"""The aims, as ratios within one run: absolute figures belong to a machine, ratios hardly do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.dataplane.loads import PER_UNIT, SHAPES, Load
from benchmarks.dataplane.proxies import Proxy
from benchmarks.dataplane.readings import Reading, Readings
from benchmarks.dataplane.summary import Spread, paired, spread

_OURS, _CHAIN, _KNATIVE, _HAPROXY = Proxy.OURS, Proxy.CHAIN, Proxy.KNATIVE, Proxy.HAPROXY


@dataclass(frozen=True, slots=True)
class Verdict:
    """One aim: what was measured, its bound (`at_least` for goodput, at most for all others), and the unit of both.

    `measured` None: not in this run.
    """

    aim: str
    measured: Spread | None
    bound: float
    at_least: bool = False
    unit: str = "×"

    @property
    def met(self) -> bool | None:
        """By the median; None when it was not measured."""
        if self.measured is None:
            return None
        return self.measured.median >= self.bound if self.at_least else self.measured.median <= self.bound


def judge(readings: Readings) -> list[Verdict]:
    """Every aim, in the order of importance."""
    strict = {Load.BARE: 0.25, Load.HEADS: 0.25, Load.EVENTS: 0.75, Load.GRPC: 0.33, Load.GRPC_STREAMS: 0.75}
    verdicts = [
        Verdict(
            f"CPU of the queue proxy against Knative's: {SHAPES[load].title}",
            cpu_ratio(readings, load, _OURS, _KNATIVE),
            strict.get(load, 1.0),
        )
        for load in PER_UNIT
    ]
    verdicts.append(
        Verdict(
            f"CPU of the queue proxy against haproxy: {SHAPES[Load.BARE].title}",
            cpu_ratio(readings, Load.BARE, _OURS, _HAPROXY),
            1.5,
        )
    )
    verdicts += [
        Verdict(
            f"CPU of activator and queue proxy together against Knative's queue-proxy alone: {SHAPES[load].title}",
            cpu_ratio(readings, load, _CHAIN, _KNATIVE),
            1.0,
        )
        for load in (Load.BARE, Load.HEADS, Load.GRPC)
    ]
    return [
        *verdicts,
        Verdict("p99 of the wait in line against first come, first served", wait_ratio(readings, _OURS), 1.05),
        Verdict(
            "answers under overload with retries at once against what the model can answer",
            goodput_share(readings, _OURS),
            0.9,
            at_least=True,
        ),
        Verdict("added p50 latency at 500 requests a second against Knative's", _added_ratio(readings), 0.7),
        Verdict(
            "resident memory of the queue proxy, after the load that makes it largest",
            memory(readings, _OURS),
            30e6 / 2**20,
            unit=" MiB",
        ),
    ]


def cpu_ratio(readings: Readings, load: Load, over: Proxy, under: Proxy) -> Spread | None:
    """CPU for one unit of work, of one proxy against another, paired by round."""
    return paired(_by_round(readings, load, over, _cpu), _by_round(readings, load, under, _cpu))


def added_ms(readings: Readings, proxy: Proxy, latency: Callable[[Reading], float]) -> dict[int, float]:
    """By round: latency through the proxy less the latency without one."""
    through = _by_round(readings, Load.LATENCY, proxy, latency)
    direct = _by_round(readings, Load.LATENCY, Proxy.DIRECT, latency)
    return {number: value - direct[number] for number, value in through.items() if number in direct}


def wait_ratio(readings: Readings, proxy: Proxy) -> Spread | None:
    """p99 of the time in line, against that of a line in strict order: everybody waits for all who came before him.

    With c clients who always come back and a limit of n, each finds (c - n) before him, served n at a time.
    The service time is what the upstream itself took in the same round with n clients.
    """
    shape = SHAPES[Load.LINE]
    service = _by_round(readings, Load.LINE, Proxy.DIRECT, lambda reading: reading.p50_ms)
    p99 = _by_round(readings, Load.LINE, proxy, lambda reading: reading.p99_ms)
    turns = (shape.connections - shape.limit) / shape.limit
    waits = {number: value - service[number] for number, value in p99.items() if number in service}
    return paired(waits, {number: turns * value for number, value in service.items()})


def goodput_share(readings: Readings, proxy: Proxy) -> Spread | None:
    """Good answers a second under overload, against the upstream's own with as many clients as the limit lets in."""
    return paired(
        _by_round(readings, Load.OVERLOAD, proxy, _answered),
        _by_round(readings, Load.OVERLOAD, Proxy.DIRECT, _answered),
    )


def memory(readings: Readings, proxy: Proxy) -> Spread | None:
    """MiB after the load whose median is the largest."""
    spreads = [spread([reading.loaded_mib for reading in readings.of(load, proxy)]) for load in Load]
    return max((one for one in spreads if one is not None), key=lambda one: one.median, default=None)


def _added_ratio(readings: Readings) -> Spread | None:
    return paired(
        added_ms(readings, _OURS, lambda reading: reading.p50_ms),
        added_ms(readings, _KNATIVE, lambda reading: reading.p50_ms),
    )


def _by_round(readings: Readings, load: Load, proxy: Proxy, value: Callable[[Reading], float]) -> dict[int, float]:
    return {reading.round: value(reading) for reading in readings.of(load, proxy)}


def _cpu(reading: Reading) -> float:
    return reading.cpu_us


def _answered(reading: Reading) -> float:
    return reading.answered_per_second
