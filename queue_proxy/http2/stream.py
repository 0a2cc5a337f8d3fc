"""A stream as both ends of a connection keep it: windows, what waits to be sent, and which sides have ended."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from queue_proxy.http2.frames import ErrorCode

Owner = TypeVar("Owner")


class Stream(Generic[Owner]):
    """One stream. Changed only by the connection that it belongs to.

    owner           what runs on it; None when nobody cares any more
    send_window     bytes that the peer takes
    receive_window  bytes that the peer may send
    uncredited      bytes that were taken from `receive_window` and are handled, but not given back yet
    remote_ended    the peer has sent its END_STREAM
    local_ended     we have sent ours
    pending         data that waits for a window or for room; None when nothing does
    pending_bytes   how much that is
    ending          END_STREAM follows what is pending
    trailers        a header block that follows what is pending, and ends the stream
    reset_after     reset the stream with this code once our side has ended
    remaining       bytes of body that its content-length leaves, None without one
    """

    __slots__ = (
        "closed",
        "ending",
        "id",
        "local_ended",
        "owner",
        "pending",
        "pending_bytes",
        "receive_window",
        "remaining",
        "remote_ended",
        "reset_after",
        "send_window",
        "trailers",
        "uncredited",
    )

    def __init__(self, number: int, send_window: int, receive_window: int, owner: Owner | None = None) -> None:
        self.id = number
        self.owner = owner
        self.send_window = send_window
        self.receive_window = receive_window
        self.uncredited = 0
        self.remote_ended = False
        self.local_ended = False
        self.pending: deque[bytes] | None = None
        self.pending_bytes = 0
        self.ending = False
        self.trailers: bytes | None = None
        self.reset_after: ErrorCode | None = None
        self.remaining: int | None = None
        self.closed = False
