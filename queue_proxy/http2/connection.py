"""The I/O-free core: one HTTP/2 connection of either side, from bytes to events and back to bytes (RFC 9113).

`receive` takes what came from the peer and calls the hooks at the end of the class; what is to be sent gathers in
`out`. No time, no sockets, and nothing of what requests mean. Everything that a peer could make grow has a bound in
`Http2Limits`, and frames that make work without being any are counted against an allowance, which is what stops
floods of pings, settings, empty data and resets whatever form the next one takes (`control_frames`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from queue_proxy.http2 import frames
from queue_proxy.http2.control_frames import CONNECTION_WINDOW, ControlFrames
from queue_proxy.http2.frames import ErrorCode, FrameReader, Http2Error, StreamError
from queue_proxy.http2.hpack import Decoder, HeaderList
from queue_proxy.http2.limits import Http2Limits
from queue_proxy.http2.stream import Stream

Owner = TypeVar("Owner")
Head = TypeVar("Head")

_REMEMBERED_BLOCKS: Final = 128
_LONGEST_REMEMBERED: Final = 4_096


class Connection(ControlFrames[Owner], Generic[Owner, Head]):
    """One connection. Subclasses say what a header block means (`read_block`) and what follows from events.

    failed  why nothing is received any more
    """

    def __init__(self, limits: Http2Limits, clock: Callable[[], float], *, serves: bool) -> None:
        super().__init__(limits, clock, serves=serves)
        self.failed: Http2Error | None = None
        self._reader = FrameReader(frames.PREFACE if serves else b"")
        self._decoder = Decoder(limits.header_list_bytes, limits.header_fields)
        self._memory: dict[bytes, Head] = {}
        self._memory_of = 0
        self._block: list[bytes] = []
        self._block_stream = 0
        self._block_ended = False
        self._block_bytes = 0
        self._receive_window = CONNECTION_WINDOW
        self._greet()

    # What the transport around it calls

    @property
    def head_waits(self) -> bool:
        """Whether a frame or a header block has begun and is not whole, or the greeting is still missing."""
        return self._reader.waits or self._block_stream != 0 or not self._settled

    def receive(self, data: bytes) -> None:
        """Take bytes from the peer. After a fault (`failed`) they are ignored."""
        if self.failed is not None:
            return
        handlers = self._HANDLERS
        try:
            for kind, flags, number, payload in self._reader.feed(data):
                if self._block_stream and (kind != frames.CONTINUATION or number != self._block_stream):
                    raise Http2Error(ErrorCode.PROTOCOL_ERROR, "a frame inside of a header block")
                if not self._settled:
                    self._expect_greeting(kind, flags)
                try:
                    if kind < 10:
                        handlers[kind](self, flags, number, payload)
                    else:
                        self._idle()
                except StreamError as fault:
                    self._stream_fails(fault)
            if self._reader.fault is not None:
                raise self._reader.fault
        except Http2Error as fault:
            self.fail(fault)

    def fail(self, fault: Http2Error) -> None:
        """End the connection because of what the peer, or its transport, did."""
        if self.failed is None:
            self.failed = fault
            self.put(frames.goaway_frame(self.last_peer, fault.code, fault.why))
            self.connection_failed(fault)

    # What streams' owners call

    def open(self, owner: Owner, receive_window: int) -> Stream[Owner]:
        """A new stream of ours, on the client's side."""
        stream = Stream(self.next_stream, self.peer_window, receive_window, owner)
        self.next_stream += 2
        self.streams[stream.id] = stream
        return stream

    def credit(self, stream: Stream[Owner], size: int) -> None:
        """So many received bytes are dealt with: the peer may send as many more, once it is worth a frame."""
        if stream.remote_ended or stream.closed:
            return
        stream.uncredited += size
        if stream.uncredited * 2 >= self.limits.waiting_bytes:
            self.put(frames.window_update_frame(stream.id, stream.uncredited))
            stream.receive_window += stream.uncredited
            stream.uncredited = 0

    # Frames

    def _stream_fails(self, fault: StreamError) -> None:
        self._count_reset()
        stream = self.streams.get(fault.stream)
        if stream is None:
            self.reset_number(fault.stream, fault.code)
        else:
            self.reset(stream, fault.code)
            self.stream_failed(stream, fault)

    def _on_data(self, flags: int, number: int, payload: bytes) -> None:
        size = len(payload)
        self._receive_window -= size
        if self._receive_window < CONNECTION_WINDOW // 2:
            self.put(frames.window_update_frame(0, CONNECTION_WINDOW - self._receive_window))
            self._receive_window = CONNECTION_WINDOW
        stream = self.streams.get(number)
        if stream is None:
            self._on_closed_stream(number, frames.DATA)
            return
        if stream.remote_ended:
            raise StreamError(number, ErrorCode.STREAM_CLOSED, "data behind the end of a stream")
        stream.receive_window -= size
        if stream.receive_window < 0:
            raise StreamError(number, ErrorCode.FLOW_CONTROL_ERROR, "more data than the window allowed")
        if flags & frames.PADDED:
            payload = frames.unpadded(flags, payload)
            self.credit(stream, size - len(payload))
            size = len(payload)
        ended = bool(flags & frames.END_STREAM)
        if size or ended:
            self.work += 1
        else:
            self._idle()
        if stream.remaining is not None:
            stream.remaining -= size
            if stream.remaining < 0 or (ended and stream.remaining):
                raise StreamError(number, ErrorCode.PROTOCOL_ERROR, "the body is not as long as content-length says")
        if ended:
            self._remote_end(stream)
        self.data_received_on(stream, payload, ended)

    def _on_headers(self, flags: int, number: int, payload: bytes) -> None:
        if flags & frames.PADDED:
            payload = frames.unpadded(flags, payload)
        depends_on = None
        if flags & frames.PRIORITISED:
            if len(payload) < 5:
                raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "a HEADERS frame without its priority")
            depends_on = int.from_bytes(payload[:4], "big") & frames.MOST_STREAM
            payload = payload[5:]
        self._block_ended = bool(flags & frames.END_STREAM)
        if flags & frames.END_HEADERS:
            self._on_block(number, payload)
        else:
            self._block_stream = number
            self._block = [payload]
            self._block_bytes = len(payload)
        if depends_on == number:
            raise StreamError(number, ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself")

    def _on_continuation(self, flags: int, number: int, payload: bytes) -> None:
        if not self._block_stream:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        self._block.append(payload)
        self._block_bytes += len(payload)
        limits = self.limits
        if len(self._block) > limits.continuations + 1 or self._block_bytes > limits.header_block_bytes:
            why = f"a header block of more than {limits.header_block_bytes} bytes or {limits.continuations} frames"
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, why)
        if flags & frames.END_HEADERS:
            block = b"".join(self._block)
            self._block = []
            self._block_stream = 0
            self._on_block(number, block)

    def _on_block(self, number: int, block: bytes) -> None:
        """A whole header block. It is decoded in any case, since the next ones build on it."""
        self.work += 1
        ended = self._block_ended
        head = self._memory.get(block)
        if head is None:
            head = self._read(block)
        stream = self.streams.get(number)
        if stream is None:
            stream = self._open_for_peer(number)
            if stream is None:
                return
        elif self.serves and not ended:
            raise StreamError(number, ErrorCode.PROTOCOL_ERROR, "trailers that do not end their stream")
        if stream.remote_ended:
            raise StreamError(number, ErrorCode.STREAM_CLOSED, "headers behind the end of a stream")
        if ended:
            self._remote_end(stream)
        self.headers_received_on(stream, head, ended)

    def _read(self, block: bytes) -> Head:
        decoder = self._decoder
        changes = decoder.changes
        read = decoder.decode(block)
        head = self.read_block(read)
        if decoder.changes != self._memory_of:
            self._memory.clear()
            self._memory_of = decoder.changes
        is_short = len(block) <= _LONGEST_REMEMBERED
        if is_short and decoder.changes == changes and not read.secret and self.may_come_again(head):
            # It came the same as it will come again: its fields are in the table already, or never go there.
            if len(self._memory) >= _REMEMBERED_BLOCKS:
                self._memory.clear()
            self._memory[block] = head
        return head

    def _open_for_peer(self, number: int) -> Stream[Owner] | None:
        """A stream that the peer opens; None when its headers are to be ignored."""
        if number <= self.last_peer or not self.serves:
            self._on_closed_stream(number, frames.HEADERS)
            return None
        if number % 2 == 0:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"stream {number} is not a client's")
        if self._is_too_late(number):
            return None
        self.last_peer = number
        if len(self.streams) >= self.limits.streams:
            raise StreamError(number, ErrorCode.REFUSED_STREAM, "too many streams")
        window = max(self.limits.waiting_bytes, frames.DEFAULT_WINDOW)
        stream: Stream[Owner] = Stream(number, self.peer_window, window)
        self.streams[number] = stream
        return stream

    def _on_closed_stream(self, number: int, kind: int) -> None:
        """DATA or HEADERS for a stream that is not open. What was on its way when we reset it is ignored."""
        if number in self._reset_here:
            self._idle()
            return
        if self._was_never_open(number):
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"a frame on stream {number}, which was never opened")
        if self._is_too_late(number):
            return
        if kind == frames.HEADERS:
            raise Http2Error(ErrorCode.STREAM_CLOSED, f"HEADERS on stream {number}, which is closed")
        raise StreamError(number, ErrorCode.STREAM_CLOSED, "data on a closed stream")

    def _remote_end(self, stream: Stream[Owner]) -> None:
        stream.remote_ended = True
        if stream.local_ended:
            self._close(stream)

    _HANDLERS = (
        _on_data,
        _on_headers,
        ControlFrames._on_priority,
        ControlFrames._on_reset,
        ControlFrames._on_settings,
        ControlFrames._on_push_promise,
        ControlFrames._on_ping,
        ControlFrames._on_goaway,
        ControlFrames._on_window_update,
        _on_continuation,
    )

    # Hooks

    def read_block(self, read: HeaderList) -> Head:
        """What a header block means; may be remembered and given again. Raises nothing."""
        raise NotImplementedError

    def may_come_again(self, head: Head) -> bool:
        """Whether it is worth it to remember what `read_block` has returned."""
        return True

    def headers_received_on(self, stream: Stream[Owner], head: Head, ended: bool) -> None:
        """A header block: the first one of a stream that the peer opened, an answer's, or trailers. May raise
        StreamError."""
        raise NotImplementedError

    def data_received_on(self, stream: Stream[Owner], data: bytes, ended: bool) -> None:
        """Data; `credit` it when it is dealt with."""
        raise NotImplementedError

    def stream_failed(self, stream: Stream[Owner], fault: StreamError) -> None:
        """It was reset because of what the peer did."""
        raise NotImplementedError

    def connection_failed(self, fault: Http2Error) -> None:
        """The connection ends; GOAWAY is in `out`."""
        raise NotImplementedError
