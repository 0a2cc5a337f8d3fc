"""What an API server says when it does not do what it was asked."""

from __future__ import annotations

import json

import aiohttp

from autoscaler.cluster.kubernetes.json_object import JsonObject, inner, text

# A server that asks for a minute may be back in a second, and somebody may be waiting for a wake.
_LONGEST_RETRY_AFTER = 10.0
_LONGEST_ERROR = 300


class ApiError(Exception):
    """The API server refused or did not answer.

    status   of HTTP; 0 when there was no answer
    reason   the server's own word, such as "Conflict"; empty when it gave none
    retry_after  seconds that the server asked to wait, None when it did not
    sent     the request may have reached the server
    answer   what came with the refusal; empty when that was nothing, or no JSON object
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        retry_after: float | None = None,
        sent: bool = True,
        answer: JsonObject | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.sent = sent
        self.answer: JsonObject = answer or {}


async def refusal(call: str, response: aiohttp.ClientResponse) -> ApiError:
    """What the server said to `call`, in its own words."""
    try:
        data = await response.read()
        status = inner(json.loads(data))
    except (aiohttp.ClientError, OSError, ValueError, RecursionError, TimeoutError):
        status = {}
    finally:
        response.release()
    said = text(status, "message") or response.reason or ""
    message = f"{call}: {response.status} {said[:_LONGEST_ERROR]}".rstrip()
    return ApiError(response.status, text(status, "reason"), message, retry_after=_retry_after(response), answer=status)


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    wanted: str = response.headers.get("Retry-After", "")
    if not (wanted.isascii() and wanted.isdigit()):
        return None
    return min(_LONGEST_RETRY_AFTER, float(wanted))
