"""Settings: everything the activator is told, read once from the command line and checked.

A wrong flag ends the process with status 2 and one line that names the flag, the value and what is allowed.
"""

from __future__ import annotations

import argparse
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from activator.link import ControlTarget
from activator.messages import ACTIVATOR_NAME
from queue_proxy.client_limits import add_client_flags, client_limits
from queue_proxy.flag_types import FlagParser, address, count, seconds
from queue_proxy.http import HttpLimits
from queue_proxy.listening_sockets import Address
from queue_proxy.notice import Notice, add_notice_flags, notice_from
from queue_proxy.observability import Flags, add_flags, flags_from
from queue_proxy.token_file import TokenError, TokenFile

_SERVICE = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Settings:
    """One activator.

    listen           sockets that were handed over (or addresses), by service
    bind             where ports that the controller's table names are bound
    drain_seconds    how long SIGTERM waits for what is in flight and held
    notice           how long after SIGTERM new connections are taken on ports that we made ourselves
    comment_seconds  between two comments to a client that waits and asked for them; 0: none
    hold_requests    requests that may wait, of all services together
    hold_bytes       bytes of memory that waiting requests may take, of all services together
    observability    what is told of single requests
    clients          what the engine bounds per client connection
    """

    name: str
    control: ControlTarget
    admin: Address | None
    listen: tuple[tuple[str, Address], ...]
    bind: str
    drain_seconds: float
    notice: Notice
    comment_seconds: float
    hold_requests: int
    hold_bytes: int
    observability: Flags = field(default_factory=Flags)
    clients: HttpLimits = field(default_factory=HttpLimits)


def parse(arguments: Sequence[str]) -> Settings:
    """Read the command line. Ends the process with status 2 when something is wrong in it."""
    parser = _parser()
    given = parser.parse_args(arguments)
    services = [service for service, _ in given.listen]
    if len(set(services)) != len(services):
        parser.error("argument --listen: one service is given twice")
    return Settings(
        name=given.name,
        control=replace(given.control, token=given.control_token),
        admin=given.admin,
        listen=tuple(given.listen),
        bind=given.bind,
        drain_seconds=given.drain_seconds,
        notice=notice_from(given),
        comment_seconds=given.comment_seconds,
        hold_requests=given.hold_requests,
        hold_bytes=given.hold_bytes,
        observability=flags_from(given),
        clients=client_limits(given),
    )


def _parser() -> argparse.ArgumentParser:
    parser = FlagParser(
        prog="activator",
        description="Holds requests while nothing can serve them, and hands them out as replicas have room.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--name", required=True, type=_name, help="of this activator, as it appears in its statistics")
    add(
        "--control", required=True, type=_target, metavar="TARGET", help="the controller: unix:PATH or http://HOST:PORT"
    )
    add(
        "--control-token",
        type=_token,
        metavar="FILE",
        help="with the bearer token that the controller asks for; read anew for each connection",
    )
    add("--admin", type=address, metavar="ADDR", help="for /healthz and /metrics: HOST:PORT, or fd:N")
    add(
        "--listen", type=_listen, action="append", default=[], metavar="SERVICE=ADDR", help="for one service's requests"
    )
    add(
        "--bind",
        default="127.0.0.1",
        type=_host,
        metavar="HOST",
        help="where ports that the controller names are bound",
    )
    add("--drain-seconds", type=seconds, default=30.0, metavar="S", help="how long SIGTERM waits for requests")
    add("--comment-seconds", type=seconds, default=5.0, metavar="S", help="between comments to clients that wait")
    add("--hold-requests", type=count(1), default=20_000, metavar="N", help="that may wait, of all services together")
    add(
        "--hold-bytes",
        type=count(1),
        default=512 * 1024 * 1024,
        metavar="BYTES",
        help="of memory that waiting requests of all services may take together",
    )
    add_notice_flags(parser)
    add_client_flags(parser, seconds)
    add_flags(parser)
    return parser


def _name(text: str) -> str:
    if not ACTIVATOR_NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"must be 1 to 127 letters, digits, dots, dashes, not {text!r:.80}")
    return text


def _host(text: str) -> str:
    """An address of this machine: every listening socket is made there, so a name would be looked up each time."""
    host = text.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be an IP address, 0.0.0.0 or :: for all, not {text!r:.80}") from None
    return host


def _token(text: str) -> TokenFile:
    token = TokenFile(Path(text))
    try:
        token.authorization()
    except TokenError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return token


def _target(text: str) -> ControlTarget:
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        # The kernel's bound on the path of a socket, with its closing zero.
        if not path.startswith("/") or len(path.encode()) > 107:
            raise argparse.ArgumentTypeError(
                f"must be unix: and an absolute path of at most 107 bytes, not {text!r:.80}"
            )
        return ControlTarget("http://controller", path)
    wrong = argparse.ArgumentTypeError(f"must be unix:PATH or http://HOST:PORT, not {text!r:.80}")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise wrong
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        raise wrong
    return ControlTarget(text.rstrip("/"))


def _listen(text: str) -> tuple[str, Address]:
    service, equals, where = text.partition("=")
    if not equals or not _SERVICE.fullmatch(service):
        raise argparse.ArgumentTypeError(f"must be NAMESPACE/NAME=ADDR, not {text!r:.80}")
    return service, address(where)
