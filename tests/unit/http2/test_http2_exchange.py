"""Exchanges of streams: what each side is told when the other does something."""

from __future__ import annotations

import pytest

from queue_proxy.http import Outcome, error_answer
from queue_proxy.http2 import frames
from queue_proxy.http2.frames import ErrorCode
from queue_proxy.http2.hpack import encode
from tests.unit.http2.http2_core import data, request
from tests.unit.http2.http2_world import FINE, GRPC, answer, of_kind, world


async def test_a_call_arrives_with_its_whole_body_and_the_size_is_known() -> None:
    with world() as at:
        at.client.say(request(1, ended=False, pairs=GRPC) + data(1, b"12345", ended=True))
        (exchange,) = at.dispatcher.arrived
        assert (exchange.buffered, exchange.head.content_length, exchange.head.chunked) == (5, 5, False)
        at.client.say(request(3, ended=False, pairs=GRPC) + data(3, b"12345"))
        exchange = at.dispatcher.arrived[1]
        assert (exchange.buffered, exchange.head.content_length, exchange.head.chunked) == (5, None, True)


async def test_a_stream_that_is_reset_in_the_read_that_opened_it_never_arrives() -> None:
    with world() as at:
        at.client.say(request(1) + frames.reset_frame(1, ErrorCode.CANCEL))
        assert at.dispatcher.arrived == []
        assert at.dispatcher.left == []


async def test_a_call_is_forwarded_whole_and_answered_with_trailers() -> None:
    with world() as at:
        at.client.say(request(1, ended=False, pairs=(*GRPC, (b"pilotlight-x", b"1"))) + data(1, b"ask", ended=True))
        at.forward()
        model = at.model()
        sent = await model.heard()
        (head,) = of_kind(sent, frames.HEADERS)
        assert model.read(head[3]) == dict(GRPC)
        assert of_kind(sent, frames.DATA) == [(frames.DATA, frames.END_STREAM, 1, b"ask")]
        await at.client.heard()
        model.say(answer(1) + data(1, b"told") + answer(1, FINE, ended=True))
        got = await at.client.heard()
        assert [(kind, flags & frames.END_STREAM) for kind, flags, _, _ in got] == [(1, 0), (0, 0), (1, 1)]
        assert got[1][3] == b"told"
        assert at.outcomes == [[Outcome.COMPLETED]]
        assert at.connection.streams == {}
        assert at.dispatcher.arrived[0].context is None


async def test_many_streams_share_one_connection_to_the_upstream() -> None:
    with world() as at:
        at.client.say(b"".join(request(number, pairs=GRPC) for number in range(1, 41, 2)))
        for _ in range(20):
            at.forward()
        model = at.model()
        assert [number for _, _, number, _ in of_kind(await model.heard(), frames.HEADERS)] == list(range(1, 41, 2))


async def test_a_client_that_leaves_while_it_waits_is_forgotten() -> None:
    with world() as at:
        at.client.say(request(1) + request(3))
        at.client.say(frames.reset_frame(1, ErrorCode.CANCEL))
        assert [exchange.head.target for exchange in at.dispatcher.left] == [b"/"]
        at.client.transport.lose()
        assert len(at.dispatcher.left) == 2


async def test_a_client_that_cancels_takes_its_stream_at_the_upstream_along() -> None:
    with world() as at:
        at.client.say(request(1, pairs=GRPC))
        at.forward()
        model = at.model()
        await model.heard()
        at.client.say(frames.reset_frame(1, ErrorCode.CANCEL))
        assert of_kind(await model.heard(), frames.RST_STREAM) == [
            (frames.RST_STREAM, 0, 1, ErrorCode.CANCEL.to_bytes(4, "big"))
        ]
        assert at.outcomes == [[Outcome.ABANDONED]]


async def test_a_refused_connection_goes_back_to_the_dispatcher_with_its_body() -> None:
    with world() as at:
        at.client.say(request(1, ended=False, pairs=GRPC) + data(1, b"ask", ended=True))
        at.forward()
        at.upstream.pool.refuse()
        assert at.outcomes == [[Outcome.UNSENT]]
        assert at.dispatcher.unsent == ["model:8080: Connection refused"]
        at.forward()
        sent = await at.model().heard()
        assert of_kind(sent, frames.DATA)[0][3] == b"ask"


@pytest.mark.parametrize(
    "declined", [frames.reset_frame(1, ErrorCode.REFUSED_STREAM), frames.goaway_frame(0, ErrorCode.NO_ERROR)]
)
async def test_what_the_upstream_declines_unseen_is_sent_again_and_nothing_else(declined: bytes) -> None:
    with world() as at:
        at.client.say(request(1, ended=False, pairs=GRPC) + data(1, b"ask", ended=True))
        at.client.say(request(3, ended=False, pairs=GRPC) + data(3, b"part"))
        at.forward()
        model = at.model()
        model.say(declined)
        assert at.outcomes == [[Outcome.UNSENT]]
        at.forward()
        at.forward()
        other = at.upstream.pool.connect() if declined[3] == frames.GOAWAY else model
        sent = of_kind(await other.heard(), frames.DATA)
        assert [payload for _, _, _, payload in sent][-2:] == [b"part", b"ask"]
        part = of_kind([one for one in sent if one[3] == b"part"], frames.DATA)[0][2]
        other.say(frames.reset_frame(part, ErrorCode.REFUSED_STREAM))
        assert [Outcome.FAILED] in at.outcomes, "a part of a body that has left cannot be sent again"


async def test_an_upstream_that_dies_before_its_answer_is_a_502_or_unavailable() -> None:
    with world() as at:
        at.client.say(request(1) + request(3, pairs=GRPC))
        at.forward()
        at.forward()
        model = at.model()
        await at.client.heard()
        model.transport.lose()
        got = await at.client.heard()
        first, second = (at.client.read(one[3]) for one in of_kind(got, frames.HEADERS))
        assert first[b":status"] == b"502"
        assert (second[b":status"], second[b"grpc-status"]) == (b"200", b"14")
        assert at.outcomes == [[Outcome.FAILED]] * 2


async def test_an_answer_that_breaks_off_is_visible_as_such() -> None:
    with world() as at:
        at.client.say(request(1) + request(3, pairs=GRPC))
        at.forward()
        at.forward()
        model = at.model()
        model.say(answer(1) + data(1, b"half") + answer(3) + data(3, b"half"))
        await at.client.heard()
        model.transport.lose()
        got = await at.client.heard()
        assert of_kind(got, frames.RST_STREAM)[0][2] == 1
        trailers = of_kind(got, frames.HEADERS)[0]
        assert (trailers[2], trailers[1] & frames.END_STREAM) == (3, frames.END_STREAM)
        assert at.client.read(trailers[3])[b"grpc-status"] == b"14"


async def test_an_answer_before_the_end_of_the_request_stops_the_client() -> None:
    with world() as at:
        at.client.say(request(1, ended=False, pairs=GRPC) + data(1, b"part"))
        at.forward()
        model = at.model()
        await at.client.heard()
        model.say(answer(1, ended=True))
        got = await at.client.heard()
        assert [kind for kind, *_ in got] == [frames.HEADERS, frames.RST_STREAM]
        assert got[1][3] == ErrorCode.NO_ERROR.to_bytes(4, "big")
        assert at.outcomes == [[Outcome.COMPLETED]]
        assert of_kind(await model.heard(), frames.RST_STREAM) != []


async def test_a_slow_client_stops_the_upstream_and_a_slow_upstream_the_client() -> None:
    with world() as at:
        at.client.say(request(1, ended=False, pairs=GRPC))
        at.forward()
        model = at.model()
        model.say(answer(1) + b"".join(data(1, bytes(16_384)) for _ in range(4)))
        at.client.say(b"".join(data(1, bytes(16_384)) for _ in range(4)))
        to_client, to_model = await at.client.heard(), await model.heard()
        assert sum(len(payload) for _, _, _, payload in of_kind(to_client, frames.DATA)) == 65_535
        assert sum(len(payload) for _, _, _, payload in of_kind(to_model, frames.DATA)) == 65_535
        for said in (to_client, to_model):
            given = sum(int.from_bytes(p, "big") for k, _, n, p in said if k == frames.WINDOW_UPDATE and n == 1)
            assert given <= 65_535
        at.client.say(frames.window_update_frame(0, 9) + frames.window_update_frame(1, 9))
        assert of_kind(await at.client.heard(), frames.DATA)[0][3] == bytes(1)


async def test_refusals_are_json_or_trailers_of_grpc() -> None:
    with world() as at:
        at.client.say(request(1) + request(3, pairs=GRPC))
        await at.client.heard()
        for exchange in list(at.dispatcher.waiting):
            exchange.answer(error_answer(429, "too many: 100 %", retry_after=7))
        got = await at.client.heard()
        first, second = (at.client.read(one[3]) for one in of_kind(got, frames.HEADERS))
        assert (first[b":status"], first[b"retry-after"]) == (b"429", b"7")
        assert b"too many" in of_kind(got, frames.DATA)[0][3]
        assert second[b"grpc-status"] == b"8"
        assert second[b"grpc-message"] == b"too many: 100 %25"
        assert second[b"grpc-retry-pushback-ms"] == b"7000"


async def test_a_waiting_client_may_have_comments_and_then_the_events() -> None:
    with world() as at:
        at.client.say(request(1) + request(3))
        await at.client.heard()
        for exchange in at.dispatcher.waiting:
            exchange.begin_events()
            exchange.comment(b"still\nwaiting")
        got = await at.client.heard()
        assert at.client.read(got[0][3])[b"content-type"] == b"text/event-stream"
        assert got[1][3] == b": still waiting\n\n"
        at.forward()
        at.forward()
        model = at.model()
        events = encode(((b":status", b"200"), (b"content-type", b"text/event-stream")))
        model.say(answer(1, events) + data(1, b"data: 1\n\n", ended=True))
        model.say(answer(3, encode(((b":status", b"404"),))) + data(3, b'{"error":"no"}', ended=True))
        got = await at.client.heard()
        assert of_kind(got, frames.HEADERS) == []
        assert got[0][3] == b"data: 1\n\n"
        assert got[1][3].startswith(b"event: error\ndata: ")
        assert b"404" in got[1][3]


async def test_an_answer_that_is_malformed_is_a_502() -> None:
    with world() as at:
        at.client.say(request(1))
        at.forward()
        model = at.model()
        await at.client.heard()
        model.say(answer(1, encode(((b":status", b"200"), (b"connection", b"close")))))
        got = await at.client.heard()
        assert at.client.read(got[0][3])[b":status"] == b"502"
        assert at.outcomes == [[Outcome.FAILED]]


async def test_a_model_that_does_not_speak_http2_is_named_as_such() -> None:
    with world() as at:
        at.client.say(request(1))
        at.forward()
        model = at.upstream.pool.connect()
        await at.client.heard()
        model.say(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        got = await at.client.heard()
        assert b"does not speak HTTP/2" in of_kind(got, frames.DATA)[0][3]
