"""Reading: what one proxy did under one load in one round; and a file of them, so that rounds can be added later."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.dataplane.accounts import CpuAccount
from benchmarks.dataplane.loads import SHAPES, Load
from benchmarks.dataplane.processes import SetupError
from benchmarks.dataplane.proxies import Proxy
from benchmarks.dataplane.wrk import Loaded


@dataclass(frozen=True, slots=True)
class Reading:
    """One window.

    cpu_us, system_us       microseconds of CPU for one unit of work; of it in the kernel (by ticks)
    foreign                 share of the window in which somebody else had the proxy's core, 0..1
    stolen                  share of the machine's time that the hypervisor gave away, 0..1
    load_average            of the last minute, at the end
    fresh_mib, loaded_mib   resident memory before the first load, after this one
    answered_per_second     answers below 400
    p50_ms, p99_ms          latency that the clients saw
    broken                  connections that failed, answers that stayed out
    """

    round: int
    load: Load
    proxy: Proxy
    cpu_us: float
    system_us: float
    foreign: float
    stolen: float
    load_average: float
    fresh_mib: float
    loaded_mib: float
    answered_per_second: float
    p50_ms: float
    p99_ms: float
    broken: int

    @classmethod
    def of(
        cls,
        number: int,
        load: Load,
        proxy: Proxy,
        loaded: Loaded,
        used: CpuAccount,
        foreign: float,
        stolen: float,
        load_average: float,
        fresh_mib: float,
        loaded_mib: float,
    ) -> Reading:
        """From what the load saw and what the proxy used. Raises SetupError when nothing was answered."""
        units = loaded.requests * SHAPES[load].units
        if units == 0:
            raise SetupError(f"{proxy.value} answered nothing under the load {load.value}")
        ticks = used.user + used.system
        in_kernel = used.system / ticks if ticks else 0.0
        return cls(
            number,
            load,
            proxy,
            used.run / units * 1e6,
            used.run / units * 1e6 * in_kernel,
            foreign,
            stolen,
            load_average,
            fresh_mib,
            loaded_mib,
            (loaded.requests - loaded.refused) / loaded.seconds,
            loaded.p50_ms,
            loaded.p99_ms,
            loaded.broken,
        )


class Readings:
    """All that were taken. `by_round` of one number is what medians and paired ratios are made of."""

    def __init__(self, readings: Iterable[Reading] = ()) -> None:
        self.all = list(readings)

    def add(self, reading: Reading) -> None:
        """One more."""
        self.all.append(reading)

    @property
    def rounds(self) -> int:
        """How many rounds have begun."""
        return max((reading.round for reading in self.all), default=0)

    def of(self, load: Load, proxy: Proxy) -> list[Reading]:
        """Those of one pair, by round."""
        return [reading for reading in self.all if reading.load is load and reading.proxy is proxy]

    def write(self, file: Path) -> None:
        """One JSON object a line."""
        lines = [json.dumps(asdict(r) | {"load": r.load.value, "proxy": r.proxy.value}) for r in self.all]
        file.write_text("".join(f"{line}\n" for line in lines))

    @classmethod
    def read(cls, file: Path) -> Readings:
        """What `write` wrote; none when there is no such file. Raises SetupError when it is something else."""
        if not file.exists():
            return cls()
        try:
            rows = [json.loads(line) for line in file.read_text().splitlines()]
            return cls(Reading(**row | {"load": Load(row["load"]), "proxy": Proxy(row["proxy"])}) for row in rows)
        except (ValueError, TypeError, KeyError) as error:
            raise SetupError(f"{file} is not a file of readings of this version: {error}") from error
