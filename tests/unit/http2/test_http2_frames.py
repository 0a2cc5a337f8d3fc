"""Frames: any split of the bytes gives the same frames, and sizes are strict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_proxy.http2 import frames
from queue_proxy.http2.frames import ErrorCode, FrameReader, Http2Error, frame, headers_frames, unpadded

FRAME = st.one_of(
    st.tuples(st.sampled_from([frames.DATA, frames.HEADERS]), st.integers(0, 255), st.integers(1, 2**31 - 1)).flatmap(
        lambda head: st.binary(max_size=200).map(lambda payload: (*head, payload))
    ),
    st.binary(min_size=8, max_size=8).map(lambda payload: (frames.PING, 0, 0, payload)),
    st.binary(max_size=50).map(lambda payload: (77, 3, 5, payload)),
)


@given(st.lists(FRAME, max_size=8), st.lists(st.integers(1, 60), max_size=60))
def test_frames_are_the_same_however_their_bytes_are_split(
    sent: list[tuple[int, int, int, bytes]], cuts: list[int]
) -> None:
    raw = frames.PREFACE + b"".join(frame(*one) for one in sent)
    reader = FrameReader(frames.PREFACE)
    got = []
    for cut in cuts:
        got += reader.feed(raw[:cut])
        raw = raw[cut:]
    got += reader.feed(raw)
    assert got == sent
    assert reader.fault is None
    assert not reader.waits


def test_the_reserved_bit_of_a_stream_number_is_ignored() -> None:
    raw = b"\x00\x00\x00" + bytes((frames.DATA, 0)) + b"\x80\x00\x00\x05"
    assert FrameReader().feed(raw) == [(frames.DATA, 0, 5, b"")]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (frame(frames.DATA, 0, 1, bytes(16_385)), ErrorCode.FRAME_SIZE_ERROR),
        (frame(frames.HEADERS, 4, 1, bytes(16_385)), ErrorCode.FRAME_SIZE_ERROR),
        (frame(200, 0, 1, bytes(16_385)), ErrorCode.FRAME_SIZE_ERROR),
        (frame(frames.PING, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
        (frame(frames.PING, 0, 0, bytes(9)), ErrorCode.FRAME_SIZE_ERROR),
        (frame(frames.PRIORITY, 0, 1, bytes(4)), ErrorCode.FRAME_SIZE_ERROR),
        (frame(frames.RST_STREAM, 0, 1, bytes(5)), ErrorCode.FRAME_SIZE_ERROR),
        (frame(frames.WINDOW_UPDATE, 0, 1, bytes(3)), ErrorCode.FRAME_SIZE_ERROR),
        (frame(frames.SETTINGS, 0, 0, bytes(5)), ErrorCode.FRAME_SIZE_ERROR),
        (frame(frames.SETTINGS, frames.ACK, 0, bytes(6)), ErrorCode.FRAME_SIZE_ERROR),
        (frame(frames.GOAWAY, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
        (frame(frames.DATA, 0, 0, b"x"), ErrorCode.PROTOCOL_ERROR),
        (frame(frames.HEADERS, 4, 0, b""), ErrorCode.PROTOCOL_ERROR),
        (frame(frames.CONTINUATION, 4, 0, b""), ErrorCode.PROTOCOL_ERROR),
        (frame(frames.RST_STREAM, 0, 0, bytes(4)), ErrorCode.PROTOCOL_ERROR),
        (frame(frames.SETTINGS, 0, 1, b""), ErrorCode.PROTOCOL_ERROR),
        (frame(frames.PING, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
        (frame(frames.GOAWAY, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
    ],
)
def test_what_stands_before_a_wrong_frame_counts_and_nothing_behind_it(raw: bytes, code: ErrorCode) -> None:
    reader = FrameReader()
    good = frame(frames.PING, 0, 0, b"12345678")
    assert reader.feed(good + raw + good) == [(frames.PING, 0, 0, b"12345678")]
    assert reader.fault is not None
    assert reader.fault.code is code
    assert reader.feed(good) == []


def test_an_oversize_frame_is_refused_by_its_head_alone() -> None:
    reader = FrameReader()
    assert reader.feed(frame(frames.DATA, 0, 1, bytes(16_385))[:9]) == []
    assert reader.fault is not None


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n", frames.PREFACE[:-1] + b"X", b"\x16\x03\x01"])
def test_a_wrong_preface_is_refused_at_its_first_wrong_byte(said: bytes) -> None:
    reader = FrameReader(frames.PREFACE)
    assert reader.feed(said) == []
    assert reader.fault is not None
    assert reader.fault.code is ErrorCode.PROTOCOL_ERROR


@given(st.binary(max_size=300), st.integers(1, 64))
def test_a_header_block_of_any_size_goes_out_as_one_run_of_frames(block: bytes, most: int) -> None:
    read = FrameReader().feed(headers_frames(7, block, ended=True, most_bytes=most))
    assert [kind for kind, _, _, _ in read] == [frames.HEADERS] + [frames.CONTINUATION] * (len(read) - 1)
    assert b"".join(payload for _, _, _, payload in read) == block
    assert [bool(flags & frames.END_HEADERS) for _, flags, _, _ in read] == [False] * (len(read) - 1) + [True]
    assert read[0][1] & frames.END_STREAM
    assert all(len(payload) <= most for _, _, _, payload in read)


def test_padding_is_taken_off_and_cannot_be_longer_than_the_frame() -> None:
    assert unpadded(frames.PADDED, b"\x03hello\0\0\0") == b"hello"
    assert unpadded(frames.PADDED, b"\x00") == b""
    for payload in (b"", b"\x01", b"\x05abcd"):
        with pytest.raises(Http2Error):
            unpadded(frames.PADDED, payload)
