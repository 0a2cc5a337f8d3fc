"""The I/O-free core: one HTTP/2 connection of either side, from bytes to events and back to bytes (RFC 9113).

`receive` takes what came from the peer and calls the hooks at the end of the class; what is to be sent gathers in
`out`. No time, no sockets, and nothing of what requests mean. Everything that a peer could make grow has a bound in
`Http2Limits`, and frames that make work without being any are counted against an allowance, which is what stops
floods of pings, settings, empty data and resets whatever form the next one takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from queue_proxy.http2 import frames
from queue_proxy.http2.frames import ErrorCode, FrameReader, Http2Error, StreamError
from queue_proxy.http2.hpack import Decoder, HeaderList
from queue_proxy.http2.limits import Allowance, Http2Limits
from queue_proxy.http2.sending import Sending
from queue_proxy.http2.stream import Stream

Owner = TypeVar("Owner")
Head = TypeVar("Head")

_CONNECTION_WINDOW: Final = 2**30
"""Memory is bounded by the windows of streams. A connection's own window could only let streams that wait stop those
that run, so it is made too large to be felt."""

_REMEMBERED_BLOCKS: Final = 128
_LONGEST_REMEMBERED: Final = 4_096


class Connection(Sending[Owner], Generic[Owner, Head]):
    """One connection. Subclasses say what a header block means (`read_block`) and what follows from events.

    serves           which side we are: whether the peer opens the streams
    last_peer        the highest stream that the peer has opened
    going_away_at    streams of the peer above this are not served any more, None while all are
    failed           why nothing is received any more
    """

    def __init__(self, limits: Http2Limits, clock: Callable[[], float], *, serves: bool) -> None:
        super().__init__()
        self.limits = limits
        self.serves = serves
        self.last_peer = 0
        self.next_stream = 1
        self.peer_streams = 100  # what to assume until the peer has said
        self.going_away_at: int | None = None
        self.failed: Http2Error | None = None
        self._reader = FrameReader(frames.PREFACE if serves else b"")
        self._decoder = Decoder(limits.header_list_bytes, limits.header_fields)
        self._memory: dict[bytes, Head] = {}
        self._memory_of = 0
        self._block: list[bytes] = []
        self._block_stream = 0
        self._block_ended = False
        self._block_bytes = 0
        self._settled = False
        self._receive_window = _CONNECTION_WINDOW
        self._work_seen = 0
        self._idle_frames = Allowance(limits.idle_frames, limits.idle_frames_per_second, clock)
        self._resets = Allowance(limits.resets, limits.resets_per_second, clock)
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

    def go_away(self, last_stream: int, code: ErrorCode = ErrorCode.NO_ERROR, why: str = "") -> None:
        """Tell the peer that streams above `last_stream` will not be served."""
        self.going_away_at = last_stream
        self.put(frames.goaway_frame(last_stream, code, why))

    def ping(self, payload: bytes) -> None:
        """Ask for an answer with the same eight bytes; `ponged` tells of it."""
        self.put(frames.frame(frames.PING, 0, 0, payload))

    # Frames

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
            frames.window_update_frame(0, _CONNECTION_WINDOW - frames.DEFAULT_WINDOW),
        ]

    def _expect_greeting(self, kind: int, flags: int) -> None:
        if kind != frames.SETTINGS or flags & frames.ACK:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        self._settled = True

    def _idle(self) -> None:
        """A frame came that does no work. Raises Http2Error when there were too many."""
        earned = (self.work - self._work_seen) * self.limits.idle_frames_per_work
        self._work_seen = self.work
        if not self._idle_frames.spend(earned):
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "too many frames that do no work")

    def _count_reset(self) -> None:
        if not self._resets.spend():
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "too many streams were reset")

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
        if self._receive_window < _CONNECTION_WINDOW // 2:
            self.put(frames.window_update_frame(0, _CONNECTION_WINDOW - self._receive_window))
            self._receive_window = _CONNECTION_WINDOW
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

    def _is_too_late(self, number: int) -> bool:
        return self.serves and self.going_away_at is not None and number > self.going_away_at

    def _was_never_open(self, number: int) -> bool:
        if number % 2 == 0:
            return True
        if self.serves:
            return number > self.last_peer and not self._is_too_late(number)
        return number >= self.next_stream

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

    def _remote_end(self, stream: Stream[Owner]) -> None:
        stream.remote_ended = True
        if stream.local_ended:
            self._close(stream)

    _HANDLERS = (
        _on_data,
        _on_headers,
        _on_priority,
        _on_reset,
        _on_settings,
        _on_push_promise,
        _on_ping,
        _on_goaway,
        _on_window_update,
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

    def stream_was_reset(self, stream: Stream[Owner], code: int) -> None:
        """The peer has reset it."""
        raise NotImplementedError

    def stream_failed(self, stream: Stream[Owner], fault: StreamError) -> None:
        """It was reset because of what the peer did."""
        raise NotImplementedError

    def connection_failed(self, fault: Http2Error) -> None:
        """The connection ends; GOAWAY is in `out`."""
        raise NotImplementedError

    def peer_settled(self) -> None:
        """The peer's settings have changed."""

    def peer_goes_away(self, last_stream: int, code: int, why: str) -> None:
        """GOAWAY: streams of ours above `last_stream` were not and will not be looked at."""

    def ponged(self, payload: bytes) -> None:
        """The answer to `ping`."""
