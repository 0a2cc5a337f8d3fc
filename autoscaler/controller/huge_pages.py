"""Huge pages: has the kernel keep what a controller knows of thousands of services in large pages of memory.

Every evaluation and every reading touches objects that lie anywhere in hundreds of megabytes. In pages of four
kilobytes the processor knows the places of a few megabytes only, and looks the others up, which on a virtual machine
is a walk through the tables of two. Most kernels make pages large by themselves only where they are asked to, and
allocators of Python and C do not ask. So we do, for the memory that there is, now and then: MADV_COLLAPSE of Linux 6.1.
Where there is none of that, where an administrator wants none (`never`), or where the kernel has no room, everything
stays as it was. Memory grows by a ninth at most: what is not in use of the pages that are put together.
"""

from __future__ import annotations

import asyncio
import ctypes
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_FIRST_AFTER_SECONDS = 15.0
_SECONDS_BETWEEN = 60.0
_COLLAPSE = 25  # MADV_COLLAPSE
_KERNEL = Path("/sys/kernel/mm/transparent_hugepage")
_REGIONS = Path("/proc/self/smaps")
_REGION = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ (\d+) *(.*)$")
_SHARE_IN_USE = 0.9


class Span(NamedTuple):
    """Addresses from `start` up to below `end`."""

    start: int
    end: int


async def keep_together() -> None:
    """Until cancelled. In a thread: the kernel copies what it puts together, half a millisecond for two megabytes."""
    pause = _FIRST_AFTER_SECONDS
    while True:
        await asyncio.sleep(pause)
        await asyncio.to_thread(put_together)
        pause = _SECONDS_BETWEEN


def put_together() -> int:
    """Ask for large pages wherever memory of ours could be in such and is not. Returns how many bytes of it are in them
    now, counting only regions that are so as a whole; 0 where the kernel has none."""
    try:
        if "[never]" in (_KERNEL / "enabled").read_text():
            return 0
        size, regions = int((_KERNEL / "hpage_pmd_size").read_text()), _REGIONS.read_text()
    except (OSError, ValueError):
        return 0
    madvise = ctypes.CDLL(None).madvise
    together = 0
    for start, end in worth_it(regions, size):
        # It goes on where one page cannot be made, but ends where there is no room for any.
        if madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _COLLAPSE) == 0:
            together += end - start
    return together


def worth_it(smaps: str, size: int) -> Iterator[Span]:
    """The parts that are whole pages of `size` bytes, of private memory that no file is behind, as proc(5) tells of it.

    Not of what is not in use, as the stacks of threads are: the kernel would fill it. Nor of what is large already.
    """
    span, resident = Span(0, 0), 0
    for line in smaps.splitlines():
        if region := _REGION.match(line):
            start, end, rights, inode, name = region.groups()
            ours = rights == "rw-p" and inode == "0" and name in ("", "[heap]")
            first = -(-int(start, 16) // size) * size
            span, resident = Span(first, int(end, 16) // size * size) if ours else Span(0, 0), 0
        elif line.startswith("Rss:"):
            resident = 1024 * int(line.split()[1])
        elif line.startswith("AnonHugePages:"):
            length, large = span.end - span.start, 1024 * int(line.split()[1])
            if large < length and resident >= _SHARE_IN_USE * length:
                yield span
