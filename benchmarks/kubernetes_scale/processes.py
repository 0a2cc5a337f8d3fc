"""What a process of this machine has used, and what the controller says of its own work."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_SUM = re.compile(r"^pilotlight_evaluation_seconds_(sum|count) (\S+)$", re.MULTILINE)


def cpu_seconds(process: int) -> float:
    """Processor time, of all its threads. Raises OSError."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mib(process: int) -> float:
    """Raises OSError."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def descendant(process: int, module: str) -> int | None:
    """The process that runs `python -m module` below `process`, which entered a network for it; None before."""
    below = {process}
    entries = sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    for entry in entries:
        try:
            parent = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
            words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # gone meanwhile
        if parent in below or entry == process:
            below.add(entry)
            if module.encode() in words and words[0].rpartition(b"/")[2].startswith(b"python"):
                return entry
    return None


@dataclass(frozen=True, slots=True)
class Evaluations:
    """Since the controller began: seconds spent in evaluations, and their number."""

    seconds: float
    count: float

    def milliseconds_a_pass(self, before: Evaluations, services: int) -> float:
        """What evaluating each service once has taken on average since `before`. Raises ZeroDivisionError."""
        return 1e3 * services * (self.seconds - before.seconds) / (self.count - before.count)


def evaluations(metrics: str) -> Evaluations:
    """From a page of metrics. Raises KeyError where it has none."""
    found = {kind: float(value) for kind, value in _SUM.findall(metrics)}
    return Evaluations(found["sum"], found["count"])
