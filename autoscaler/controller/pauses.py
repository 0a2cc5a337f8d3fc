"""Long work in pieces, so that everything else has its turn between them.

One event loop does all that a controller does. A renewal of its lease needs some ten turns of that loop, within two
seconds: who works on thousands of services without a pause loses the lease over it, and with it the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable


async def with_pauses(steps: Iterable[object], at_once: int) -> None:
    """Do all steps, by iterating over them; after each `at_once` of them the event loop has a turn."""
    for number, _ in enumerate(steps, start=1):
        if number % at_once == 0:
            await asyncio.sleep(0)
