"""Lines of a stream are the same however it is cut into pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from autoscaler.cluster.kubernetes.whole_lines import whole_lines


async def coming(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@given(st.lists(st.text(alphabet="ab\n", max_size=6).map(str.encode), max_size=8))
def test_pieces_make_no_difference_and_half_a_line_is_dropped(pieces: list[bytes]) -> None:
    async def read() -> list[bytes]:
        return [line async for line in whole_lines(coming(pieces))]

    *ended, _ = b"".join(pieces).split(b"\n")
    assert asyncio.run(read()) == [line for line in ended if line]
