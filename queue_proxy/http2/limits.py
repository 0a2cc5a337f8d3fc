"""Bounds on what one HTTP/2 connection may take, and the allowance for frames that do no work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Http2Limits:
    """Bounds for one connection. Bytes and numbers.

    streams             that the peer may have open at a time; more are refused with REFUSED_STREAM
    waiting_bytes       body that is held for one stream before its peer must stop: the window of a stream
    header_block_bytes  one header block as sent; more ends the connection
    header_list_bytes   one header list as RFC 9113 section 6.5.2 counts it; more is answered with 431
    header_fields       of one list; more is answered with 431
    continuations       CONTINUATION frames of one header block; more end the connection
    resets              streams that the peer may open and reset at once, and `resets_per_second` from then on
    idle_frames         frames without work (pings, settings, empty data, window updates that nothing needed) at
                        once, `idle_frames_per_second` from then on, and `idle_frames_per_work` for each frame
                        of work
    """

    streams: int = 256
    waiting_bytes: int = 65_536
    header_block_bytes: int = 65_536
    header_list_bytes: int = 65_536
    header_fields: int = 128
    continuations: int = 16
    resets: int = 1_000
    resets_per_second: float = 200.0
    idle_frames: int = 2_000
    idle_frames_per_second: float = 500.0
    idle_frames_per_work: int = 4


class Allowance:
    """A bucket of tokens: `most` at first, `per_second` more with time, what `earn` gives, and never over `most`."""

    __slots__ = ("_at", "_clock", "_most", "_per_second", "_tokens")

    def __init__(self, most: float, per_second: float, clock: Callable[[], float]) -> None:
        self._most = most
        self._per_second = per_second
        self._clock = clock
        self._tokens = most
        self._at = clock()

    def spend(self, earned: float = 0.0) -> bool:
        """Take one token, after adding `earned`; False when there is none."""
        now = self._clock()
        tokens = min(self._most, self._tokens + (now - self._at) * self._per_second + earned)
        self._at = now
        if tokens < 1:
            self._tokens = tokens
            return False
        self._tokens = tokens - 1
        return True
