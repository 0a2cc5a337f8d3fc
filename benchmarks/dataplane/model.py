"""The upstream for what nginx cannot answer: streams of events, an answer that takes its time, a body to swallow, gRPC.

python -m benchmarks.dataplane.model PORT
"""

from __future__ import annotations

import asyncio
import re
import sys

import uvloop

from benchmarks.dataplane.grpc_model import GrpcModel
from benchmarks.dataplane.loads import EVENTS_IN_A_STREAM, SERVICE_SECONDS

_BODY = b'{"model_name":"example","outputs":[{"name":"predict","shape":[1,3],"datatype":"FP32","data":[0.1,0.2,0.7]}]}'
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
_EVENTS_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_EVENT = (
    b'data: {"id":"chat-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"token"}}]}\n\n'
)
_CHUNK = b"%x\r\n%b\r\n" % (len(_EVENT), _EVENT)
_LAST_CHUNK = b"0\r\n\r\n"
_BETWEEN_EVENTS = 0.001
_HTTP2 = b"PRI * HTTP/2.0\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE).search


class Model(asyncio.Protocol):
    """One connection. Requests come one after the other: every proxy here waits for an answer before the next."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: accepted."""
        self.transport = transport  # type: ignore[assignment]
        self._head = b""
        self._body_left = 0

    def data_received(self, data: bytes) -> None:
        """asyncio: a head, or more of a body."""
        if self._body_left:
            self._swallow(len(data))
            return
        if data.startswith(_HTTP2):
            self._become(GrpcModel(), data)
            return
        self._head += data
        head, blank, rest = self._head.partition(b"\r\n\r\n")
        if not blank:
            return
        self._head = b""
        length = _LENGTH(head)
        if length is not None and int(length[1]) > 0:
            self._body_left = int(length[1])
            self._swallow(len(rest))
        elif b" /events " in head:
            self.transport.write(_EVENTS_HEAD)
            asyncio.get_running_loop().call_later(_BETWEEN_EVENTS, self._event, 1)
        elif b" /slow " in head:
            asyncio.get_running_loop().call_later(SERVICE_SECONDS, self._answer)
        else:
            self._answer()

    def _become(self, model: GrpcModel, data: bytes) -> None:
        self.transport.set_protocol(model)
        model.connection_made(self.transport)
        model.data_received(data)

    def _swallow(self, size: int) -> None:
        self._body_left -= size
        if self._body_left <= 0:
            self._body_left = 0
            self._answer()

    def _answer(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(_ANSWER)

    def _event(self, number: int) -> None:
        if self.transport.is_closing():
            return
        if number < EVENTS_IN_A_STREAM:
            self.transport.write(_CHUNK)
            asyncio.get_running_loop().call_later(_BETWEEN_EVENTS, self._event, number + 1)
        else:
            self.transport.write(_CHUNK + _LAST_CHUNK)


async def serve(port: int) -> None:
    """Until killed."""
    server = await asyncio.get_running_loop().create_server(Model, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
