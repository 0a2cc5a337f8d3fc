"""What the agent asks a queue proxy: whether the model is ready, answered the moment it is."""

from __future__ import annotations

import asyncio

import aiohttp

_HOLD_SECONDS = 20.0
_ANSWER_SECONDS = 5.0
_UNANSWERED = 3


async def until_ready(http: aiohttp.ClientSession, where: str, seconds: float) -> bool:
    """Wait for readiness by a held request; False when it did not come within `seconds` (0: no bound).

    `where` is the proxy's `/ready`. That the proxy cannot be asked, because it is still starting or has died, is
    not an answer: it is asked again.
    """
    try:
        async with asyncio.timeout(seconds or None):
            while not await _ask(  # noqa: ASYNC110 - the other end holds the question
                http, f"{where}?wait={_HOLD_SECONDS:g}", _HOLD_SECONDS + _ANSWER_SECONDS
            ):
                await asyncio.sleep(0.02)
    except TimeoutError:
        return False
    return True


async def is_ready(http: aiohttp.ClientSession, where: str) -> bool:
    """Whether it is ready now. One that does not answer may be busy: only the third silence counts as not ready."""
    for _ in range(_UNANSWERED):
        ready = await _ask(http, where, _ANSWER_SECONDS)
        if ready is not None:
            return ready
    return False


async def _ask(http: aiohttp.ClientSession, url: str, seconds: float) -> bool | None:
    """Its answer; None when there is none."""
    try:
        async with http.get(url, timeout=aiohttp.ClientTimeout(total=seconds)) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None
