"""What the controller is told at its start, read once and checked at once.

Cadences are not flags: Knative's evaluation every 2 s and scrape every second are part of what the decisions mean.
They stand here in one frozen value, so that a test may turn faster.
"""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class SettingsError(ValueError):
    """A command line that cannot be meant: names the flag, the value and what is allowed."""


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A socket in the file system."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A host and a port; port 0 lets the kernel choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Address = UnixAddress | TcpAddress


@dataclass(frozen=True, slots=True)
class ClusterTarget:
    """Which kind of cluster, and where: `local:/path/agent.sock` is kind `local` at `/path/agent.sock`.

    Kind `kubernetes` is at `in-cluster`, as a pod finds its own, or at the path of a kubeconfig file.
    """

    kind: str
    address: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.address}"


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often, how long at most, and how many. Seconds, where nothing else is said.

    evaluation         between two evaluations of a service
    urgent_gap         an urgent push is evaluated at once, but never sooner than this after the last one that was: the
                       first of a burst tells of one request, and what wakes is put right by the next
    scrape             between two scrapes of a replica
    scrape_timeout     bound of one scrape; below `scrape`, so that a stuck replica never has two under way
    first_scrape_timeout  bound of the scrape that asks for history
    history            seconds of history asked for in the first scrape
    activator_connect  after a start, how long to wait for an activator to connect before the first decision
    activator_push     how long to wait for the first push of one that has connected
    activator_rest     how long after it to wait for what it tells of other services
    decisions_kept     of each service, how many decisions are shown, whether or not they changed anything
    first_scrapes      after a service is first seen, how long to wait for its replicas' first scrapes
    """

    evaluation: float = 2.0
    urgent_gap: float = 0.05
    scrape: float = 1.0
    scrape_timeout: float = 0.8
    first_scrape_timeout: float = 2.0
    history: int = 600
    activator_connect: float = 2.5
    activator_push: float = 2.0
    activator_rest: float = 0.5
    first_scrapes: float = 3.0
    decisions_kept: int = 30


@dataclass(frozen=True, slots=True)
class Config:
    """Everything from the command line."""

    cluster: ClusterTarget
    control: Address
    api: TcpAddress
    record: Path | None
    log_level: int
    cadence: Cadence = Cadence()


_CLUSTERS = "local:/path/agent.sock, kubernetes:in-cluster or kubernetes:/path/kubeconfig"
_LOG_LEVELS = ("debug", "info", "warning", "error")


def config_from(argv: Sequence[str]) -> Config:
    """Read the command line. Raises SettingsError; `--help` and unknown flags end the process as argparse does."""
    parser = argparse.ArgumentParser(
        prog="python -m autoscaler.controller",
        description="Observes every service, decides how many replicas it needs, orders them, and explains why.",
    )
    parser.add_argument("--cluster", required=True, metavar="KIND:ADDRESS", help=_CLUSTERS)
    parser.add_argument(
        "--control", required=True, metavar="ADDRESS", help="where activators connect: unix:/path or HOST:PORT"
    )
    parser.add_argument(
        "--api", required=True, metavar="HOST:PORT", help="read-only API: /services, /explain, /metrics"
    )
    parser.add_argument("--record", metavar="FILE", help="append readings and decisions to FILE as JSON lines")
    parser.add_argument("--log-level", choices=_LOG_LEVELS, default="info")
    flags = parser.parse_args(argv)
    return Config(
        cluster=_cluster(flags.cluster),
        control=address_from(flags.control, "--control"),
        api=_tcp(flags.api, "--api"),
        record=None if flags.record is None else Path(flags.record),
        log_level=logging.getLevelNamesMapping()[flags.log_level.upper()],
    )


def address_from(text: str, flag: str) -> Address:
    """`unix:/path` or `host:port`. Raises SettingsError."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        # The kernel's limit for a socket's path; beyond it bind() fails with a message that names nothing.
        if not path.startswith("/") or len(path.encode()) > 107:
            raise SettingsError(f"{flag} {text}: a unix address is unix:/absolute/path of at most 107 bytes")
        return UnixAddress(Path(path))
    return _tcp(text, flag)


def _tcp(text: str, flag: str) -> TcpAddress:
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]/\s]+)):(\d{1,5})", text)
    if match is None or int(match[3]) > 65_535:
        raise SettingsError(f"{flag} {text}: an address is HOST:PORT with a port of 0 to 65535, IPv6 hosts in brackets")
    return TcpAddress(match[1] or match[2], int(match[3]))


def _cluster(text: str) -> ClusterTarget:
    kind, colon, address = text.partition(":")
    if not colon or not kind or not address:
        raise SettingsError(f"--cluster {text}: a cluster is KIND:ADDRESS: {_CLUSTERS}")
    return ClusterTarget(kind, address)
