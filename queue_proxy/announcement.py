"""Announcement: as soon as we listen, the controller is told so, under the name and the address of our pod.

Kubelet looks at its containers once a second, and only then does the API server know the address of a pod that has
just been started. Whoever waits for a model that starts faster than that would wait for its address. The token says to
the controller whose word this is. Where it cannot be told (another cluster's rules, a NetworkPolicy), nothing is lost
but that second.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import NamedTuple

from queue_proxy.http_get import FetchError, Request, get
from queue_proxy.token_file import TokenError, TokenFile

_log = logging.getLogger(__name__)

# By the end of these, kubelet has told it.
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)
_ANSWER_SECONDS = 2.0
_TAKEN = 204
# Who is not believed now is not believed later.
_REFUSED = (400, 401, 403, 405)


class Announcement(NamedTuple):
    """What is asked to believe it, by a path that says all there is to say, and the token that proves who we are."""

    to: Request
    token: TokenFile

    async def make(self) -> None:
        """Until it is believed, refused, or late. What goes wrong is a line in the log."""
        for pause in (*_PAUSES, None):
            status, why = await self._said()
            if status == _TAKEN:
                return
            if status in _REFUSED or pause is None:
                _log.warning("the controller does not take our address (%s), and waits until the cluster knows it", why)
                return
            await asyncio.sleep(pause)

    async def _said(self) -> tuple[int, str]:
        """The answer's status and what is wrong; 0: there was none."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                headers = (("Authorization", self.token.authorization()), ("Content-Length", "0"))
                reply = await get(replace(self.to, method="PUT", headers=headers), 0)
        except TimeoutError:
            return 0, f"no answer within {_ANSWER_SECONDS:g} s"
        except (OSError, FetchError, TokenError) as error:
            return 0, str(error)
        return reply.status, f"it answers with {reply.status}"
