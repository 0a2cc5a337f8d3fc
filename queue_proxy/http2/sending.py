"""The sending half of a connection: windows, fairness between streams, and what waits for either.

What is sent is gathered in `out` and leaves in one write per turn of the event loop, because a write costs more than
all the frames of a small call. Nothing is gathered without bound: data that finds no window, or no room in front of a
peer that reads slowly, stays with its stream, and whoever sent it to us gets no new window for it.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Generic, TypeVar

from queue_proxy.http2.frames import (
    DATA,
    DEFAULT_FRAME_BYTES,
    DEFAULT_WINDOW,
    END_STREAM,
    MOST_WINDOW,
    ErrorCode,
    Http2Error,
    StreamError,
    frame_head,
    headers_frames,
    reset_frame,
)
from queue_proxy.http2.hpack import NO_TABLE
from queue_proxy.http2.stream import Stream

Owner = TypeVar("Owner")

_ROOM: Final = 262_144
_REMEMBERED_RESETS: Final = 1_024


class Sending(Generic[Owner]):
    """Sends on the streams of one connection.

    streams  those that are open, by number
    out      what is to be written next, `out_bytes` of it
    full     the transport takes no more for now
    work     frames of work that came and went
    """

    def __init__(self) -> None:
        self.streams: dict[int, Stream[Owner]] = {}
        self.out: list[bytes] = []
        self.out_bytes = 0
        self.full = False
        self.work = 0
        self.send_window = DEFAULT_WINDOW
        self.peer_window = DEFAULT_WINDOW
        self.peer_frame_bytes = DEFAULT_FRAME_BYTES
        self._ready: dict[Stream[Owner], None] = {}
        self._block_prefix = b""
        self._reset_here: dict[int, None] = {}

    # What the transport around it does

    def wake(self) -> None:
        """Something is in `out` and nothing was: have it written soon."""
        raise NotImplementedError

    def sent(self, stream: Stream[Owner], size: int) -> None:
        """So many bytes that had to wait have left."""
        raise NotImplementedError

    def stream_closed(self, stream: Stream[Owner]) -> None:
        """Both sides have ended, or it was reset."""
        raise NotImplementedError

    # What is sent

    def put(self, data: bytes) -> None:
        """Have `data` written."""
        if not self.out:
            self.wake()
        self.out.append(data)
        self.out_bytes += len(data)

    def take_out(self) -> bytes:
        """Everything that is to be written now."""
        data = b"".join(self.out)
        self.out.clear()
        self.out_bytes = 0
        return data

    def send_headers(self, stream: Stream[Owner], block: bytes, ended: bool) -> None:
        """A header block; never behind data, since it takes no window. `block` must come from `hpack.encode`."""
        if stream.closed:
            return
        if self._block_prefix:
            block = self._block_prefix + block
            self._block_prefix = b""
        self.work += 1
        self.put(headers_frames(stream.id, block, ended=ended, most_bytes=self.peer_frame_bytes))
        if ended:
            self._local_end(stream)

    def send_data(self, stream: Stream[Owner], data: bytes, ended: bool) -> int:
        """Data; returns how many bytes left at once. `sent` tells of the others when they leave."""
        if stream.closed:
            return len(data)
        size = len(data)
        if (
            stream.pending is None
            and size <= stream.send_window
            and size <= self.send_window
            and size <= self.peer_frame_bytes
            and not self.full
            and self.out_bytes < _ROOM
        ):
            stream.send_window -= size
            self.send_window -= size
            self.work += 1
            self.put(frame_head(DATA, END_STREAM if ended else 0, stream.id, size) + data)
            if ended:
                self._local_end(stream)
            return size
        if stream.pending is None:
            stream.pending = deque()
        if data:
            stream.pending.append(data)
        stream.pending_bytes += size
        stream.ending = ended
        before = stream.pending_bytes
        self._send_some(stream, report=False)
        return before - stream.pending_bytes

    def send_trailers(self, stream: Stream[Owner], block: bytes) -> None:
        """A header block that ends our side, behind all data."""
        if stream.pending is None:
            self.send_headers(stream, block, True)
        else:
            stream.trailers = block

    def reset(self, stream: Stream[Owner], code: ErrorCode) -> None:
        """End both sides at once; what is pending is dropped."""
        if stream.closed:
            return
        self.reset_number(stream.id, code)
        self._close(stream)

    def reset_number(self, number: int, code: ErrorCode) -> None:
        """RST_STREAM for a stream that is not, or no longer, among ours."""
        remembered = self._reset_here
        remembered[number] = None
        if len(remembered) > _REMEMBERED_RESETS:
            del remembered[next(iter(remembered))]
        self.put(reset_frame(number, code))

    def pump(self) -> None:
        """Send what was waiting for the connection's window or for room, a frame of each stream in turn."""
        ready = self._ready
        while ready and self.send_window > 0 and not self.full and self.out_bytes < _ROOM:
            stream = next(iter(ready))
            del ready[stream]
            self._send_frame(stream, report=True)
            if stream.pending and stream.send_window > 0:
                ready[stream] = None

    # What the peer allows

    def window_grows(self, number: int, increment: int) -> None:
        """WINDOW_UPDATE. Raises Http2Error and StreamError."""
        if number == 0:
            self.send_window += increment
            if self.send_window > MOST_WINDOW:
                raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is over 2^31-1")
            self.pump()
            return
        stream = self.streams.get(number)
        if stream is None:
            return
        stream.send_window += increment
        if stream.send_window > MOST_WINDOW:
            raise StreamError(number, ErrorCode.FLOW_CONTROL_ERROR, "the stream's window is over 2^31-1")
        if stream.pending:
            self._send_some(stream, report=True)

    def initial_window_changes(self, window: int) -> None:
        """SETTINGS_INITIAL_WINDOW_SIZE: also of every open stream, by the difference. Raises Http2Error."""
        difference = window - self.peer_window
        self.peer_window = window
        for stream in list(self.streams.values()):
            stream.send_window += difference
            if stream.send_window > MOST_WINDOW:
                raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "a stream's window is over 2^31-1")
            if stream.pending and stream.send_window > 0:
                self._ready[stream] = None
        self.pump()

    def table_shrinks(self) -> None:
        """The peer's decoder has a smaller table: our next block must say that we use none."""
        self._block_prefix = NO_TABLE

    # How

    def _send_some(self, stream: Stream[Owner], report: bool) -> None:
        """As much of what is pending on one stream as may leave now."""
        while stream.pending is not None:
            if not stream.pending:
                self._send_frame(stream, report)
                return
            if stream.send_window <= 0:
                self._ready.pop(stream, None)
                return
            if self.send_window <= 0 or self.full or self.out_bytes >= _ROOM:
                self._ready[stream] = None
                return
            self._send_frame(stream, report)

    def _send_frame(self, stream: Stream[Owner], report: bool) -> None:
        """One frame of what is pending, and what follows it if that is all."""
        pending = stream.pending
        if pending is None:
            return
        if pending:
            data = pending.popleft()
            size = min(len(data), stream.send_window, self.send_window, self.peer_frame_bytes)
            if size < len(data):
                pending.appendleft(data[size:])
                data = data[:size]
            stream.pending_bytes -= size
            stream.send_window -= size
            self.send_window -= size
            self.work += 1
            last = not pending and stream.ending
            self.put(frame_head(DATA, END_STREAM if last else 0, stream.id, size) + data)
        else:
            size = 0
            last = stream.ending
            if last:
                self.put(frame_head(DATA, END_STREAM, stream.id, 0))
        if not pending:
            stream.pending = None
            if last:
                self._local_end(stream)
            elif stream.trailers is not None:
                self.send_headers(stream, stream.trailers, True)
        if report and size:
            self.sent(stream, size)

    def _local_end(self, stream: Stream[Owner]) -> None:
        stream.local_ended = True
        if stream.remote_ended:
            self._close(stream)
        elif stream.reset_after is not None:
            self.reset(stream, stream.reset_after)

    def _close(self, stream: Stream[Owner]) -> None:
        stream.closed = True
        stream.pending = None
        stream.pending_bytes = 0
        self._ready.pop(stream, None)
        self.streams.pop(stream.id, None)
        self.stream_closed(stream)
