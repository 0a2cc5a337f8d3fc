"""What processes and the machine have used, by the kernel's own books.

CPU is the scheduler's run time (`/proc/PID/task/*/schedstat`), which is exact to the nanosecond; sampled tick
accounting would be off by 10 % at these window lengths and is used only for the split into user and system.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class CpuAccount:
    """Seconds. `run` on a core, exactly; `user` and `system` by ticks.

    A thread that ended takes its time with it: right for proxies whose threads stay.
    """

    run: float = 0.0
    user: float = 0.0
    system: float = 0.0

    def __add__(self, other: CpuAccount) -> CpuAccount:
        """Both together."""
        return CpuAccount(self.run + other.run, self.user + other.user, self.system + other.system)

    def since(self, earlier: CpuAccount) -> CpuAccount:
        """What came to it since `earlier`."""
        return CpuAccount(self.run - earlier.run, self.user - earlier.user, self.system - earlier.system)


def parse_schedstat(text: str) -> float:
    """Seconds that one task has run. Raises ValueError when it is not three whole numbers (run, waited, slices)."""
    run, _waited, _slices = (int(part) for part in text.split())
    return run / 1e9


def parse_ticks(stat: str) -> tuple[float, float]:
    """(user, system) in seconds, of one `/proc/PID/stat`. The name in it may hold spaces and parentheses."""
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) * _TICK_SECONDS, int(fields[12]) * _TICK_SECONDS


def cpu_of(pids: Sequence[int], proc: Path = Path("/proc")) -> CpuAccount:
    """All threads of all these processes together. Raises FileNotFoundError when one has ended."""
    total = CpuAccount()
    for pid in pids:
        user, system = parse_ticks((proc / f"{pid}/stat").read_text())
        total += CpuAccount(0.0, user, system)
        for task in (proc / f"{pid}/task").iterdir():
            total += CpuAccount(parse_schedstat((task / "schedstat").read_text()))
    return total


def resident_mib(pids: Sequence[int], proc: Path = Path("/proc")) -> float:
    """Resident memory of all these processes, MiB; pages that two of them share count twice."""
    kib = 0
    for pid in pids:
        for line in (proc / f"{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                kib += int(line.split()[1])
    return kib / 1024


@dataclass(frozen=True, slots=True)
class HostAccount:
    """Ticks of all cores: all of them, and those that the hypervisor gave to somebody else. `busy`: seconds that one
    core, the proxy's, has worked for anybody."""

    total: int
    stolen: int
    busy: float

    def stolen_share_since(self, earlier: HostAccount) -> float:
        """The share of the time since `earlier` that was stolen, 0..1."""
        return (self.stolen - earlier.stolen) / max(1, self.total - earlier.total)


def parse_host(stat: str, core: int) -> HostAccount:
    """From `/proc/stat`, whose lines are: user nice system idle iowait irq softirq steal (guest time is in user).

    Raises StopIteration when there is no such core.
    """
    lines = [line.split() for line in stat.splitlines()]
    total = [int(part) for part in lines[0][1:9]]
    own = next([int(part) for part in line[1:9]] for line in lines if line[0] == f"cpu{core}")
    return HostAccount(sum(total), total[7], (sum(own) - own[3] - own[4] - own[7]) * _TICK_SECONDS)


def host(core: int) -> HostAccount:
    """The machine now."""
    return parse_host(Path("/proc/stat").read_text(), core)
