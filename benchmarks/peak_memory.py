"""The most memory that this process has had.

`getrusage` cannot tell it: what Linux gives there as a process's most outlives exec, so a process that a large one
started is as large as that one was, whatever it does itself. `VmHWM` belongs to the program that runs now.
"""

from __future__ import annotations

from pathlib import Path


def peak_mib() -> float:
    """Resident, MiB, since this program began."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
