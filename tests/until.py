"""What tests wait for is a condition and not a time: a busy machine only takes longer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_PAUSE = 0.002


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Return when this is true, which others bring about. Raises TimeoutError when it does not become so in time."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(_PAUSE)
