"""The HTTP/1.1 engine of the data path.

A pure core (heads, body framing) with asyncio protocols around it; no framework, and no task,
coroutine or timer per request. Header lines travel as the bytes in which they came.
"""

from queue_proxy.http.answers import error_answer
from queue_proxy.http.contract import Answer, Dispatcher, Exchange, HttpLimits, Lease, Outcome, Timeouts
from queue_proxy.http.head import RequestHead
from queue_proxy.http.memory import most_body_bytes, most_waiting_bytes
from queue_proxy.http.read_ahead import ReadAhead
from queue_proxy.http.server import HttpServer
from queue_proxy.http.upstream import Upstream, UpstreamProtocol

__all__ = [
    "Answer",
    "Dispatcher",
    "Exchange",
    "HttpLimits",
    "HttpServer",
    "Lease",
    "Outcome",
    "ReadAhead",
    "RequestHead",
    "Timeouts",
    "Upstream",
    "UpstreamProtocol",
    "error_answer",
    "most_body_bytes",
    "most_waiting_bytes",
]
