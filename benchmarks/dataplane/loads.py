"""The loads: what is sent, over how many connections, and what counts as one unit of work."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Load(Enum):
    """One kind of traffic; the value is its name on the command line."""

    BARE = "bare"
    HEADS = "heads"
    BODIES = "bodies"
    EVENTS = "events"
    CONNECTIONS = "connections"
    DOWNLOAD = "download"
    UPLOAD = "upload"
    CROWD = "crowd"
    GRPC = "grpc"
    GRPC_STREAMS = "grpc-streams"
    LATENCY = "latency"
    OVERLOAD = "overload"
    LINE = "line"


class Origin(Enum):
    """Who answers: nginx what a static server can, a small program of ours the rest."""

    NGINX = "nginx"
    MODEL = "model"


class Script(Enum):
    """How wrk makes its requests: a Lua file of `wrk.py`."""

    PLAIN = "plain"
    HEADS = "heads"
    BODIES = "bodies"
    CLOSE = "close"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class Calls:
    """gRPC: how many calls are open at once on each connection, and how many messages answer one."""

    at_once: int
    messages: int


@dataclass(frozen=True, slots=True)
class Shape:
    """How one load looks.

    limit               requests that the proxy lets run at once
    units               units of work in one request: CPU is given for one unit
    direct_connections  connections when there is no proxy in between, None: not measured without
    seconds             length of a window is at least this: where waits are long, a short one sees none whole
    script              None: the open loop at a fixed rate, instead of wrk's closed one
    calls               None: requests of HTTP/1; else gRPC calls, from a generator of their own
    """

    title: str
    unit: str
    path: str
    origin: Origin
    connections: int
    limit: int
    script: Script | None
    units: int = 1
    direct_connections: int | None = None
    seconds: int = 1
    calls: Calls | None = None


EVENTS_IN_A_STREAM = 50
SERVICE_SECONDS = 0.020
RATE_PER_SECOND = 500
BODY_BYTES = 4096
LARGE_BYTES = 10 * 1024 * 1024

_NGINX, _MODEL = Origin.NGINX, Origin.MODEL

SHAPES: dict[Load, Shape] = {
    Load.BARE: Shape("GET, no headers, 32 connections", "request", "/json", _NGINX, 32, 100, Script.PLAIN),
    Load.HEADS: Shape("GET, 14 headers, 64 connections", "request", "/json", _NGINX, 64, 100, Script.HEADS),
    Load.BODIES: Shape("POST 4 KiB, answer 4 KiB, 32 connections", "request", "/4k", _NGINX, 32, 100, Script.BODIES),
    Load.EVENTS: Shape(
        "event streams of 50 events, 16 connections",
        "event",
        "/events",
        _MODEL,
        16,
        100,
        Script.PLAIN,
        units=EVENTS_IN_A_STREAM,
    ),
    Load.CONNECTIONS: Shape(
        "a connection for each request, 32 at once", "request", "/json", _NGINX, 32, 100, Script.CLOSE
    ),
    Load.DOWNLOAD: Shape("answers of 10 MiB, 2 connections", "10 MiB", "/10m", _NGINX, 2, 100, Script.PLAIN),
    Load.UPLOAD: Shape("requests of 10 MiB, 2 connections", "10 MiB", "/upload", _MODEL, 2, 100, Script.UPLOAD),
    Load.CROWD: Shape("GET, no headers, 512 connections", "request", "/json", _NGINX, 512, 100, Script.PLAIN),
    Load.GRPC: Shape(
        "gRPC, one message each way, 8 connections with 8 calls at once",
        "call",
        "/json",
        _MODEL,
        8,
        100,
        None,
        calls=Calls(at_once=8, messages=1),
    ),
    Load.GRPC_STREAMS: Shape(
        "gRPC, answers of 50 messages, 4 connections with 4 calls at once",
        "message",
        "/json",
        _MODEL,
        4,
        100,
        None,
        units=EVENTS_IN_A_STREAM,
        calls=Calls(at_once=4, messages=EVENTS_IN_A_STREAM),
    ),
    Load.LATENCY: Shape(
        "500 requests a second, evenly spaced, 10 connections",
        "request",
        "/json",
        _NGINX,
        10,
        100,
        None,
        direct_connections=10,
        seconds=4,
    ),
    Load.OVERLOAD: Shape(
        "limit 10, 20 ms each, 150 clients that try again at once",
        "answer",
        "/slow",
        _MODEL,
        150,
        10,
        Script.PLAIN,
        direct_connections=10,
        seconds=4,
    ),
    Load.LINE: Shape(
        "limit 10, 20 ms each, 100 clients in line",
        "request",
        "/slow",
        _MODEL,
        100,
        10,
        Script.PLAIN,
        direct_connections=10,
        seconds=4,
    ),
}

PER_UNIT = (
    Load.BARE,
    Load.HEADS,
    Load.BODIES,
    Load.EVENTS,
    Load.CONNECTIONS,
    Load.DOWNLOAD,
    Load.UPLOAD,
    Load.CROWD,
    Load.GRPC,
    Load.GRPC_STREAMS,
)
"""Loads that are compared by CPU for one unit of work."""
