"""Config: everything the queue proxy is told, read once from the command line and checked.

A wrong flag ends the process with status 2 and one line that names the flag, the value and what is allowed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from queue_proxy.announcement import Announcement
from queue_proxy.client_limits import add_client_flags, client_limits
from queue_proxy.flag_types import FlagParser, address, count, endpoint, seconds
from queue_proxy.http import HttpLimits, UpstreamProtocol
from queue_proxy.http_get import Request
from queue_proxy.listening_sockets import Address
from queue_proxy.notice import Notice, add_notice_flags, notice_from
from queue_proxy.observability import Flags, add_flags, flags_from
from queue_proxy.probe_spec import ProbeSpec, ProbeSpecError, default_probe, parse_probe
from queue_proxy.token_file import TokenFile

DEPTH_PER_SLOT = 10
"""Requests that may wait for each that may run, unless told otherwise: Knative's breaker has the same."""
DEPTH_WITHOUT_LIMIT = 1_000
"""Requests that may wait for the model's first readiness when there is no limit (afterwards nobody waits)."""


class Config(NamedTuple):
    """One queue proxy. Seconds; 0 switches a timeout off.

    service          that it belongs to, for logs and spans; may be empty
    announcement     how the controller learns where we are, None: not from us
    clients          what the engine bounds per client connection
    limit            requests that run at once, None: no limit
    queue_requests   requests that may wait
    queue_bytes      memory that they may take together, beyond what every waiting request does
    queue_seconds    how long one may wait, None: as long as its client does
    observability    what is told of single requests
    """

    name: str
    service: str
    announcement: Announcement | None
    listen: Address
    admin: Address
    upstream_host: str
    upstream_port: int
    upstream_protocol: UpstreamProtocol
    limit: int | None
    queue_requests: int
    queue_bytes: int
    queue_seconds: float | None
    timeout: float
    response_start_timeout: float
    idle_timeout: float
    probe: ProbeSpec
    engine_metrics: Request | None
    drain_seconds: float
    notice: Notice
    observability: Flags
    clients: HttpLimits


def parse(arguments: Sequence[str]) -> Config:
    """Read the command line. Ends the process with status 2 when something is wrong in it."""
    parser = _parser()
    given = parser.parse_args(arguments)
    host, port = given.upstream
    try:
        probe = default_probe(host, port) if given.probe is None else parse_probe(given.probe, host, port)
    except ProbeSpecError as error:
        parser.error(f"argument --probe: {error}")
    if (given.announce_to is None) != (given.announce_token is None):
        parser.error("--announce-to and --announce-token belong together")
    announcement = None
    if given.announce_to is not None:
        announcement = Announcement(given.announce_to, TokenFile(Path(given.announce_token)))
    limit = given.limit or None
    depth = given.queue_requests or (DEPTH_WITHOUT_LIMIT if limit is None else DEPTH_PER_SLOT * limit)
    return Config(
        name=given.name,
        service=given.service or "",
        announcement=announcement,
        listen=given.listen,
        admin=given.admin,
        upstream_host=host,
        upstream_port=port,
        upstream_protocol=UpstreamProtocol(given.upstream_protocol),
        limit=limit,
        queue_requests=depth,
        queue_bytes=given.queue_bytes,
        queue_seconds=given.queue_seconds or None,
        timeout=given.timeout,
        response_start_timeout=given.response_start_timeout,
        idle_timeout=given.idle_timeout,
        probe=probe,
        engine_metrics=given.engine_metrics,
        drain_seconds=given.drain_seconds,
        notice=notice_from(given),
        observability=flags_from(given),
        clients=client_limits(given),
    )


def known_flags() -> frozenset[str]:
    """The flags that `parse` takes; any other ends the process."""
    return _parser().flags


def _parser() -> FlagParser:
    parser = FlagParser(
        prog="queue_proxy", description="Limits, queues and measures the requests of one model.", allow_abbrev=False
    )
    add = parser.add_argument
    add("--name", required=True, type=_name, help="of this replica, as it appears in its statistics")
    add("--service", type=_name, metavar="NAMESPACE/NAME", help="that it belongs to, for logs and spans")
    add(
        "--announce-to",
        type=_page,
        metavar="URL",
        help="of the controller, which is told by a PUT that we listen (http://HOST:PORT/replicas/NAMESPACE/POD/ADDRESS)",
    )
    add("--announce-token", metavar="FILE", help="that proves to it which pod we are")
    add("--listen", required=True, type=address, metavar="ADDR", help="for requests: HOST:PORT, or fd:N")
    add("--admin", required=True, type=address, metavar="ADDR", help="for /ready, /stats, /metrics, /healthz")
    add("--upstream", required=True, type=endpoint, metavar="HOST:PORT", help="the model")
    add(
        "--upstream-protocol",
        choices=[protocol.value for protocol in UpstreamProtocol],
        default=UpstreamProtocol.HTTP1.value,
        help="what the model speaks; h2c (gRPC models do): HTTP/2 is forwarded as HTTP/2, HTTP/1 as HTTP/1",
    )
    add("--limit", type=count(0), default=0, metavar="N", help="requests at once in the model; 0: no limit")
    add(
        "--queue-requests",
        type=count(0),
        default=0,
        metavar="N",
        help=f"requests that may wait; 0: {DEPTH_PER_SLOT} times the limit, {DEPTH_WITHOUT_LIMIT} without a limit",
    )
    add(
        "--queue-bytes",
        type=count(1),
        default=64 * 1024 * 1024,
        metavar="BYTES",
        help="of memory that bodies of waiting requests may take together",
    )
    add("--queue-seconds", type=seconds, default=300.0, metavar="S", help="how long one may wait; 0: no bound")
    add("--timeout", type=seconds, default=300.0, metavar="S", help="from forwarding to the end of the answer")
    add("--response-start-timeout", type=seconds, default=0.0, metavar="S", help="to the answer's first byte")
    add("--idle-timeout", type=seconds, default=0.0, metavar="S", help="between two bytes in either direction")
    add("--probe", metavar="JSON", help="the model's readinessProbe as in Kubernetes; default: it accepts connections")
    add("--engine-metrics", type=_page, metavar="URL", help="the engine's own metrics page (http)")
    add("--drain-seconds", type=seconds, default=30.0, metavar="S", help="how long SIGTERM waits for requests")
    add_notice_flags(parser)
    add_flags(parser)
    add_client_flags(parser, seconds)
    return parser


def _name(text: str) -> str:
    if not 0 < len(text) <= 253 or not text.isprintable():
        raise argparse.ArgumentTypeError(f"must be 1 to 253 printable characters, not {text!r:.80}")
    return text


def _page(text: str) -> Request:
    try:
        parts = urlsplit(text)
        port = parts.port or 80
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be http://HOST:PORT/PATH, not {text!r:.80}") from None
    query = f"?{parts.query}" if parts.query else ""
    path = (parts.path or "/") + query
    if parts.scheme != "http" or not parts.hostname or parts.username is not None or not _printable(path):
        raise argparse.ArgumentTypeError(f"must be http://HOST:PORT/PATH, not {text!r:.80}")
    return Request(parts.hostname, port, path)


def _printable(path: str) -> bool:
    return path.isascii() and path.isprintable() and " " not in path
