"""The most memory that a request can take while it waits, which has to be known when it comes.

What its body takes at the end is only known then, and by then it would be too late to refuse it.
"""

from __future__ import annotations

from queue_proxy.http.contract import HttpLimits
from queue_proxy.http.head import RequestHead
from queue_proxy.http.read_ahead import USUAL_HEAD_BYTES

_LARGEST_READ_BYTES = 256 * 1024


def most_body_bytes(limits: HttpLimits) -> int:
    """How much of one body may come to be held: the engine pauses once it holds `waiting_bytes`, and the read that
    brings it there may be as large as the largest."""
    return limits.waiting_bytes + _LARGEST_READ_BYTES


def most_waiting_bytes(head: RequestHead, body_bytes: int) -> int:
    """What a request with this head can take beyond what every one does; `body_bytes` is what one body may."""
    lines = len(head.raw) if head.raw is not None else sum(map(len, head.lines))
    size = max(0, lines - USUAL_HEAD_BYTES)
    if head.chunked:
        return size + body_bytes
    return size + min(head.content_length or 0, body_bytes)
