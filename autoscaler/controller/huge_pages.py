"""Huge pages: has the kernel keep what a controller knows of thousands of services in large pages of memory.

Every evaluation and every reading touches objects that lie anywhere in hundreds of megabytes. In pages of four
kilobytes the processor knows the places of a few megabytes only, and looks the others up, which on a virtual machine
is a walk through the tables of two. Most kernels make pages large by themselves only where they are asked to, and
allocators of Python and C do not ask. So we do, for the memory that there is, now and then: MADV_COLLAPSE of Linux 6.1.
Where there is none of that, or the kernel has no room, everything stays as it was.
"""

from __future__ import annotations

import asyncio
import ctypes
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_SECONDS_BETWEEN = 15.0
_COLLAPSE = 25  # MADV_COLLAPSE
_SIZE = Path("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
_REGIONS = Path("/proc/self/smaps")
_REGION = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ 0 *(\S*)$")
_SHARE_IN_USE = 0.5


class Span(NamedTuple):
    """Addresses from `start` up to below `end`."""

    start: int
    end: int


async def keep_together() -> None:
    """Until cancelled. In a thread: the kernel copies what it puts together, half a millisecond for two megabytes."""
    while True:
        await asyncio.sleep(_SECONDS_BETWEEN)
        await asyncio.to_thread(put_together)


def put_together() -> int:
    """Ask for large pages wherever memory of ours could be in such and is not. Returns how many bytes the kernel has
    put into them now, or had there already; 0 where there are none."""
    try:
        size, regions = int(_SIZE.read_text()), _REGIONS.read_text()
    except (OSError, ValueError):
        return 0
    madvise = ctypes.CDLL(None).madvise
    together = 0
    for start, end in worth_it(regions, size):
        for at in range(start, end, size):
            if madvise(ctypes.c_void_p(at), ctypes.c_size_t(size), _COLLAPSE) == 0:
                together += size
    return together


def worth_it(smaps: str, size: int) -> Iterator[Span]:
    """The parts that are whole pages of `size` bytes, of private memory that no file is behind, as proc(5) tells of it.

    Not of what is mostly unused, as the stacks of threads are: the kernel would fill it. Nor of what is large already.
    """
    span, resident = Span(0, 0), 0
    for line in smaps.splitlines():
        if region := _REGION.match(line):
            start, end, rights, name = region.groups()
            whole = rights == "rw-p" and name in ("", "[heap]")
            first = -(-int(start, 16) // size) * size
            span = Span(first, int(end, 16) // size * size) if whole else Span(0, 0)
        elif line.startswith("Rss:"):
            resident = 1024 * int(line.split()[1])
        elif line.startswith("AnonHugePages:"):
            length, large = span.end - span.start, 1024 * int(line.split()[1])
            if large < length and resident >= _SHARE_IN_USE * length:
                yield span
