"""What the agent asks a queue proxy: whether the model is ready, answered the moment it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import aiohttp

HOLD_SECONDS = 3.0
"""A question is held for so long. Readiness is answered at once however long it is; after this, why it is not ready."""
_LONGEST_WHY = 500
_LONGEST_ANSWER = 4096
_PREFIX = "the model is not ready: "
_ANSWER_SECONDS = 5.0
_UNANSWERED = 3


async def until_ready(http: aiohttp.ClientSession, where: str, seconds: float, not_yet: Callable[[str], None]) -> bool:
    """Wait for readiness by held requests; False when it did not come within `seconds` (0: no bound).

    `where` is the proxy's `/ready`; `not_yet` is told the reason with each answer that is not yes. That the proxy
    cannot be asked, because it is still starting or has died, is not an answer: it is asked again.
    """
    url = f"{where}?wait={HOLD_SECONDS:g}"
    try:
        async with asyncio.timeout(seconds or None):
            while (why := await _why_not(http, url, HOLD_SECONDS + _ANSWER_SECONDS)) != "":
                if why is not None:
                    not_yet(why)
                await asyncio.sleep(0.02)
    except TimeoutError:
        return False
    return True


async def why_not_ready(http: aiohttp.ClientSession, where: str) -> str:
    """Why it is not ready now, empty when it is. One that does not answer may be busy: the third silence counts."""
    for _ in range(_UNANSWERED):
        why = await _why_not(http, where, _ANSWER_SECONDS)
        if why is not None:
            return why
    return "its queue proxy does not answer"


async def _why_not(http: aiohttp.ClientSession, url: str, seconds: float) -> str | None:
    """Empty when it is ready; None when there is no answer."""
    try:
        async with http.get(url, timeout=aiohttp.ClientTimeout(total=seconds)) as answer:
            return "" if answer.status == 200 else _reason(await answer.content.read(_LONGEST_ANSWER))
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None


def _reason(answer: bytes) -> str:
    try:
        said = json.loads(answer)["error"]
    except (ValueError, KeyError, TypeError):
        said = None
    return said[:_LONGEST_WHY].removeprefix(_PREFIX) if isinstance(said, str) and said else "it does not say why"
