"""Which memory is put into large pages: whole ones of private memory that is in use."""

from __future__ import annotations

import pytest

from autoscaler.controller.huge_pages import Span, worth_it

MIB = 2**20
LARGE = 2 * MIB


def region(
    start: int, end: int, resident: int, large: int = 0, rights: str = "rw-p", name: str = "", inode: int = 0
) -> str:
    """As in /proc/PID/smaps, without the lines that are not looked at."""
    head = f"{start:x}-{end:x} {rights} 00000000 00:00 {inode} {name:>30}".rstrip()
    return f"{head}\nSize: {(end - start) // 1024} kB\nRss: {resident // 1024} kB\nAnonHugePages: {large // 1024} kB\n"


@pytest.mark.parametrize(
    ("smaps", "spans"),
    [
        (region(8 * MIB, 14 * MIB, 6 * MIB), [Span(8 * MIB, 14 * MIB)]),
        (region(7 * MIB, 15 * MIB, 8 * MIB, name="[heap]"), [Span(8 * MIB, 14 * MIB)]),
        (region(8 * MIB, 14 * MIB, 6 * MIB, large=4 * MIB), [Span(8 * MIB, 14 * MIB)]),
        (region(8 * MIB, 14 * MIB, 6 * MIB, large=6 * MIB), []),
        (region(8 * MIB, 14 * MIB, 5 * MIB), []),
        (region(9 * MIB, 11 * MIB, 2 * MIB), []),
        (region(8 * MIB, 14 * MIB, 6 * MIB, name="[stack]"), []),
        (region(8 * MIB, 14 * MIB, 6 * MIB, rights="rw-s"), []),
        (region(8 * MIB, 14 * MIB, 6 * MIB, rights="r--p"), []),
        (region(8 * MIB, 14 * MIB, 6 * MIB, name="/usr/lib/libc.so", inode=247278), []),
        (region(8 * MIB, 14 * MIB, 6 * MIB, name="[anon: of a name]"), []),
        (
            region(8 * MIB, 16 * MIB, MIB // 8) + region(32 * MIB, 40 * MIB, 8 * MIB, name="/usr/lib/a b.so", inode=7),
            [],
        ),
        (
            region(8 * MIB, 10 * MIB, 2 * MIB) + region(11 * MIB, 12 * MIB, MIB) + region(16 * MIB, 19 * MIB, 2 * MIB),
            [Span(8 * MIB, 10 * MIB), Span(16 * MIB, 18 * MIB)],
        ),
        ("", []),
    ],
    ids=["whole", "part", "some-small", "all-large", "unused", "no-whole", "stack", "shared", "read-only", "file",
         "named", "unused-before-a-file", "several", "nothing"],
)  # fmt: skip
def test_memory_in_use_that_fills_large_pages_is_worth_it(smaps: str, spans: list[Span]) -> None:
    assert list(worth_it(smaps, LARGE)) == spans
