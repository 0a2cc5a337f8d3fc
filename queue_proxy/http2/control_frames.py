"""Frames of a connection that carry no message: settings, pings, windows, resets and farewells (RFC 9113 section 6).

They make work without being any, so they are counted against an allowance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from queue_proxy.http2 import frames
from queue_proxy.http2.frames import ErrorCode, Http2Error, StreamError
from queue_proxy.http2.limits import Allowance, Http2Limits
from queue_proxy.http2.sending import Sending
from queue_proxy.http2.stream import Stream

Owner = TypeVar("Owner")

CONNECTION_WINDOW: Final = 2**30
"""Memory is bounded by the windows of streams. A connection's own window could only let streams that wait stop those
that run, so it is made too large to be felt."""


class ControlFrames(Sending[Owner], Generic[Owner]):
    """What `Connection` is built on. Each handler takes flags, the stream's number and the payload of a frame.

    serves           which side we are: whether the peer opens the streams
    last_peer        the highest stream that the peer has opened
    going_away_at    streams of the peer above this are not served any more, None while all are
    """

    def __init__(self, limits: Http2Limits, clock: Callable[[], float], *, serves: bool) -> None:
        super().__init__()
        self.limits = limits
        self.serves = serves
        self.last_peer = 0
        self.next_stream = 1
        self.peer_streams = 100  # what to assume until the peer has said
        self.going_away_at: int | None = None
        self._settled = False
        self._work_seen = 0
        self._idle_frames = Allowance(limits.idle_frames, limits.idle_frames_per_second, clock)
        self._resets = Allowance(limits.resets, limits.resets_per_second, clock)

    # What we say

    def _greet(self) -> None:
        limits = self.limits
        settings = {
            frames.INITIAL_WINDOW_SIZE: limits.waiting_bytes,
            frames.MAX_HEADER_LIST_SIZE: limits.header_list_bytes,
        }
        if self.serves:
            settings[frames.MAX_CONCURRENT_STREAMS] = limits.streams
        else:
            settings[frames.ENABLE_PUSH] = 0
        self.out = [
            b"" if self.serves else frames.PREFACE,
            frames.settings_frame(settings),
            frames.window_update_frame(0, CONNECTION_WINDOW - frames.DEFAULT_WINDOW),
        ]

    def go_away(self, last_stream: int) -> None:
        """Tell the peer that streams above `last_stream` will not be served."""
        self.going_away_at = last_stream
        self.put(frames.goaway_frame(last_stream, ErrorCode.NO_ERROR))

    def ping(self, payload: bytes) -> None:
        """Ask for an answer with the same eight bytes; `ponged` tells of it."""
        self.put(frames.frame(frames.PING, 0, 0, payload))

    # Handlers

    def _expect_greeting(self, kind: int, flags: int) -> None:
        if kind != frames.SETTINGS or flags & frames.ACK:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        self._settled = True

    def _on_priority(self, flags: int, number: int, payload: bytes) -> None:
        self._idle()
        if int.from_bytes(payload[:4], "big") & frames.MOST_STREAM == number:
            raise StreamError(number, ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself")

    def _on_reset(self, flags: int, number: int, payload: bytes) -> None:
        if self._was_never_open(number):
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"RST_STREAM on stream {number}, which was never opened")
        stream = self.streams.get(number)
        if stream is None:
            self._idle()
            return
        code = int.from_bytes(payload, "big")
        self._close(stream)
        self.stream_was_reset(stream, code)
        if self.serves:
            self._count_reset()

    def _on_settings(self, flags: int, number: int, payload: bytes) -> None:
        self._idle()
        if flags & frames.ACK:
            return
        # In this order, so that the acknowledgement goes before anything that the settings allow.
        self.put(frames.frame(frames.SETTINGS, frames.ACK, 0))
        for name, value in frames.parse_settings(payload):
            self._apply(name, value)
        self.peer_settled()

    def _apply(self, name: int, value: int) -> None:
        if name == frames.HEADER_TABLE_SIZE:
            self.table_shrinks()
        elif name == frames.INITIAL_WINDOW_SIZE:
            if value > frames.MOST_WINDOW:
                raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "an initial window over 2^31-1")
            self.initial_window_changes(value)
        elif name == frames.MAX_FRAME_SIZE:
            if not frames.DEFAULT_FRAME_BYTES <= value < 2**24:
                raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"a largest frame of {value} bytes")
            # Larger frames would only make streams wait for each other longer.
        elif name == frames.MAX_CONCURRENT_STREAMS:
            self.peer_streams = value
        elif name == frames.ENABLE_PUSH and (value > 1 or (value and not self.serves)):
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"ENABLE_PUSH is {value}")

    def _on_push_promise(self, flags: int, number: int, payload: bytes) -> None:
        raise Http2Error(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which nobody allowed")

    def _on_ping(self, flags: int, number: int, payload: bytes) -> None:
        self._idle()
        if flags & frames.ACK:
            self.ponged(payload)
        else:
            self.put(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _on_goaway(self, flags: int, number: int, payload: bytes) -> None:
        self._idle()
        last = int.from_bytes(payload[:4], "big") & frames.MOST_STREAM
        code = int.from_bytes(payload[4:8], "big")
        self.peer_goes_away(last, code, payload[8:264].decode("utf-8", "replace"))

    def _on_window_update(self, flags: int, number: int, payload: bytes) -> None:
        self._idle()
        increment = int.from_bytes(payload, "big") & frames.MOST_WINDOW
        if number and self._was_never_open(number):
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"WINDOW_UPDATE on stream {number}, which was never opened")
        if increment == 0:
            if number == 0:
                raise Http2Error(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
            raise StreamError(number, ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
        self.window_grows(number, increment)

    # What a peer may do

    def _idle(self) -> None:
        """A frame came that does no work. Raises Http2Error when there were too many."""
        earned = (self.work - self._work_seen) * self.limits.idle_frames_per_work
        self._work_seen = self.work
        if not self._idle_frames.spend(earned):
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "too many frames that do no work")

    def _count_reset(self) -> None:
        if not self._resets.spend():
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "too many streams were reset")

    def _was_never_open(self, number: int) -> bool:
        if number % 2 == 0:
            return True
        if self.serves:
            return number > self.last_peer and not self._is_too_late(number)
        return number >= self.next_stream

    def _is_too_late(self, number: int) -> bool:
        return self.serves and self.going_away_at is not None and number > self.going_away_at

    # Hooks

    def stream_was_reset(self, stream: Stream[Owner], code: int) -> None:
        """The peer has reset it."""
        raise NotImplementedError

    def peer_settled(self) -> None:
        """The peer's settings have changed."""

    def peer_goes_away(self, last_stream: int, code: int, why: str) -> None:
        """GOAWAY: streams of ours above `last_stream` were not and will not be looked at."""

    def ponged(self, payload: bytes) -> None:
        """The answer to `ping`."""
