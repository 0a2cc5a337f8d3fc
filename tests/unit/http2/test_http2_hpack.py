"""HPACK against the examples of RFC 7541 appendix C, and by its laws."""

from __future__ import annotations

import contextlib
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_proxy.http2 import huffman
from queue_proxy.http2.frames import ErrorCode, Http2Error
from queue_proxy.http2.hpack import Decoder, encode
from queue_proxy.http2.hpack_table import STATIC, Pair

FIRST = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")]
SECOND = [*FIRST, (b"cache-control", b"no-cache")]
THIRD = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":path", b"/index.html"),
    (b":authority", b"www.example.com"),
    (b"custom-key", b"custom-value"),
]
DATE_21 = (b"date", b"Mon, 21 Oct 2013 20:13:21 GMT")
DATE_22 = (b"date", b"Mon, 21 Oct 2013 20:13:22 GMT")
PRIVATE = (b"cache-control", b"private")
LOCATION = (b"location", b"https://www.example.com")
ANSWERS = [
    [(b":status", b"302"), PRIVATE, DATE_21, LOCATION],
    [(b":status", b"307"), PRIVATE, DATE_21, LOCATION],
    [
        (b":status", b"200"),
        PRIVATE,
        DATE_22,
        LOCATION,
        (b"content-encoding", b"gzip"),
        (b"set-cookie", b"foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
    ],
]
TO_256 = "3fe101"  # a table size update: the appendix' answers are made with a table of 256 bytes


def decoder() -> Decoder:
    return Decoder(65_536, 128)


def squeezed(text: bytes) -> bytes:
    """`text` in the Huffman code; only tests need to encode it."""
    by_symbol = {symbol: (length, code) for (length, code), symbol in huffman.codes().items()}
    bits = "".join(format(code, f"0{length}b") for length, code in (by_symbol[byte] for byte in text))
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big") if bits else b""


@pytest.mark.parametrize(
    ("blocks", "meaning"),
    [
        pytest.param(
            ["400a637573746f6d2d6b65790d637573746f6d2d686561646572"], [[(b"custom-key", b"custom-header")]], id="C.2.1"
        ),
        pytest.param(["040c2f73616d706c652f70617468"], [[(b":path", b"/sample/path")]], id="C.2.2"),
        pytest.param(["100870617373776f726406736563726574"], [[(b"password", b"secret")]], id="C.2.3"),
        pytest.param(["82"], [[(b":method", b"GET")]], id="C.2.4"),
        pytest.param(
            [
                "828684410f7777772e6578616d706c652e636f6d",
                "828684be58086e6f2d6361636865",
                "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
            ],
            [FIRST, SECOND, THIRD],
            id="C.3",
        ),
        pytest.param(
            [
                "828684418cf1e3c2e5f23a6ba0ab90f4ff",
                "828684be5886a8eb10649cbf",
                "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
            ],
            [FIRST, SECOND, THIRD],
            id="C.4",
        ),
        pytest.param(
            [
                TO_256
                + "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54"
                + "6e1768747470733a2f2f7777772e6578616d706c652e636f6d",
                "4803333037c1c0bf",
                "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d41"
                "53444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b207665727369"
                "6f6e3d31",
            ],
            ANSWERS,
            id="C.5",
        ),
        pytest.param(
            [
                TO_256
                + "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8"
                + "e9ae82ae43d3",
                "4883640effc1c0bf",
                "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b"
                "3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
            ],
            ANSWERS,
            id="C.6",
        ),
    ],
)
def test_the_examples_of_the_rfc_mean_what_it_says(blocks: list[str], meaning: list[list[Pair]]) -> None:
    reading = decoder()
    assert [reading.decode(bytes.fromhex(block)).pairs for block in blocks] == meaning


def test_the_huffman_code_is_complete() -> None:
    assert sum(Fraction(1, 2**length) for length in huffman.LENGTHS) == 1
    assert len(huffman.LENGTHS) == 257


@given(st.binary(max_size=200))
def test_every_string_survives_the_huffman_code(text: bytes) -> None:
    assert huffman.decode(squeezed(text)) == text


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\xff\xff\xff\xff", id="end of string inside"),
        pytest.param(squeezed(b"a") + b"\xff", id="a whole byte of padding"),
        pytest.param(b"\x18", id="padding of zeros"),
        pytest.param(b"\xff", id="nothing but padding"),
    ],
)
def test_wrong_huffman_strings_are_refused(raw: bytes) -> None:
    with pytest.raises(huffman.HuffmanError):
        huffman.decode(raw)


NAMES = st.sampled_from([name for name, _ in STATIC] + [b"custom-key", b"x" * 300])
PAIRS = st.lists(st.tuples(NAMES, st.binary(max_size=300) | st.sampled_from([v for _, v in STATIC])), max_size=40)


@given(st.lists(st.tuples(PAIRS, st.frozensets(NAMES, max_size=3)), max_size=5))
def test_what_is_encoded_is_decoded(lists: list[tuple[list[Pair], frozenset[bytes]]]) -> None:
    reading = decoder()
    for pairs, secret in lists:
        read = reading.decode(encode(pairs, secret))
        assert read.pairs == pairs
        assert read.secret == secret & {name for name, _ in pairs}
    assert reading.changes == 0, "our blocks must mean the same whatever came before them"


@given(st.binary(max_size=100))
def test_any_bytes_are_decoded_or_refused_and_nothing_else(block: bytes) -> None:
    with contextlib.suppress(Http2Error):
        decoder().decode(block)


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(b"\x80", id="index 0"),
        pytest.param(b"\xbe", id="an entry that is not there"),
        pytest.param(b"\xff\xff\xff\xff\xff\xff\x01", id="an index beyond all bounds"),
        pytest.param(b"\x00\x05abc", id="a string that is cut short"),
        pytest.param(b"\x00\x7f\xff\xff\xff\x7fabc", id="a string of 250 MB"),
        pytest.param(b"\x40", id="nothing behind the first byte"),
        pytest.param(b"\x82\x20", id="a size update behind a field"),
        pytest.param(b"\x3f\xe2\x1f", id="a table of 4097 bytes"),
        pytest.param(b"\x00\x81\x18\x01x", id="a wrong huffman string"),
    ],
)
def test_a_broken_block_is_a_compression_error(block: bytes) -> None:
    with pytest.raises(Http2Error) as caught:
        decoder().decode(block)
    assert caught.value.code is ErrorCode.COMPRESSION_ERROR


def test_a_block_that_means_far_more_than_its_size_is_read_to_its_end_but_not_kept() -> None:
    reading = Decoder(8_192, 128)
    reading.decode(b"\x40\x01a\x7f\xa1\x1e" + b"v" * 4_000)
    large = reading.decode(b"\xbe" * 30 + b"\x40\x01b\x01c")
    assert large.too_large
    assert len(large.pairs) <= 3
    assert reading.decode(b"\xbe").pairs == [(b"b", b"c")], "its entries are in the table all the same"


def test_a_bomb_ends_the_connection() -> None:
    reading = Decoder(8_192, 128)
    reading.decode(b"\x40\x01a\x7f\xa1\x1e" + b"v" * 4_000)
    with pytest.raises(Http2Error) as caught:
        reading.decode(b"\xbe" * 60_000)  # 240 MB of fields
    assert caught.value.code is ErrorCode.ENHANCE_YOUR_CALM


def test_a_list_of_too_many_small_fields_is_too_large() -> None:
    assert Decoder(65_536, 10).decode(b"\x82" * 11).too_large
    assert not Decoder(65_536, 10).decode(b"\x82" * 10).too_large


def test_an_entry_larger_than_the_table_empties_it() -> None:
    reading = decoder()
    reading.decode(b"\x40\x01a\x01b")
    reading.decode(b"\x40\x01a\x7f\xa1\x1f" + b"v" * 4_128)
    with pytest.raises(Http2Error):
        reading.decode(b"\xbe")
