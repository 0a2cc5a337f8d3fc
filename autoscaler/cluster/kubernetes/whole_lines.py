"""Lines of a stream that comes in pieces of any size."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator


async def whole_lines(pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Lines as they come, without their ends and without empty ones; what stands behind the last newline is half an
    event, and is dropped."""
    rest = bytearray()
    async for piece in pieces:
        *ended, tail = piece.split(b"\n")
        for part in ended:
            line = bytes(rest) + part
            rest.clear()
            if line:
                yield line
        rest += tail
