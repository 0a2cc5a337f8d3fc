"""What the controller is told at its start, read once and checked at once.

Cadences are not flags: Knative's evaluation every 2 s and scrape every second are part of what the decisions mean.
They stand here in one frozen value, so that a test may turn faster.
"""

from __future__ import annotations

import argparse
import ipaddress
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from autoscaler.signals.gpu_series import USUAL_PREFIX


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
    asleep             likewise of one that sleeps and of which nothing is heard
    urgent_gap         an urgent push is evaluated at once, but never sooner than this after the last one that was: the
                       first of a burst tells of one request, and what wakes is put right by the next
    scrape             between two scrapes of a replica
    scrape_timeout     bound of one scrape; below `scrape`, so that a stuck replica never has two under way
    first_scrape_timeout  bound of the scrape that asks for history
    activator_connect  after a start, how long to wait for an activator to connect before the first decision
    activator_push     how long to wait for the first push of one that has connected
    activator_rest     how long after it to wait for what it tells of other services
    decisions_kept     of each service, how many decisions are shown, whether or not they changed anything
    gpus               between two readings of what all GPUs do
    first_scrapes      after a service is first seen, how long to wait for its replicas' first scrapes
    first_scrapes_queued  how long instead while one was not asked yet, because thousands are asked before it
    """

    evaluation: float = 2.0
    asleep: float = 10.0
    urgent_gap: float = 0.05
    scrape: float = 1.0
    scrape_timeout: float = 0.8
    first_scrape_timeout: float = 2.0
    activator_connect: float = 2.5
    activator_push: float = 2.0
    activator_rest: float = 0.5
    first_scrapes: float = 3.0
    first_scrapes_queued: float = 30.0
    decisions_kept: int = 30
    gpus: float = 10.0


@dataclass(frozen=True, slots=True)
class Lease:
    """The Lease that says who of several controllers leads, and the Service that leads to it: `namespace/name`."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class PrometheusAddress:
    """Where Prometheus is, for what GPUs do, and how it is asked.

    token_file  holds a bearer token, read anew for each query; None: none is sent
    ca_file     certificates of who may have signed its own; None: those that are trusted anyway
    prefix      that AMD's exporter puts before its names
    """

    url: str
    token_file: Path | None = None
    ca_file: Path | None = None
    prefix: str = USUAL_PREFIX


@dataclass(frozen=True, slots=True)
class Config:
    """Everything from the command line.

    lease       None: this controller leads without asking anybody
    identity    of this controller among several; empty: its host's name
    pod_address where others reach this process (the environment's POD_IP); empty: unknown
    activators  their service account, `namespace/name`; empty: whoever can connect may
    prometheus  None: what GPUs do is not asked of any
    """

    cluster: ClusterTarget
    control: Address
    api: TcpAddress
    record: Path | None
    log_level: int
    cadence: Cadence = Cadence()
    lease: Lease | None = None
    identity: str = ""
    pod_address: str = ""
    activators: str = ""
    prometheus: PrometheusAddress | None = None


_CLUSTERS = "local:/path/agent.sock, kubernetes:in-cluster or kubernetes:/path/kubeconfig"
_OBJECT_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_LOG_LEVELS = ("debug", "info", "warning", "error")


def config_from(argv: Sequence[str], environment: Mapping[str, str] = os.environ) -> Config:
    """Read the command line. Raises SettingsError; `--help` and unknown flags end the process as argparse does."""
    flags = _parser().parse_args(argv)
    config = Config(
        cluster=_cluster(flags.cluster),
        control=address_from(flags.control, "--control"),
        api=_tcp(flags.api, "--api"),
        record=None if flags.record is None else Path(flags.record),
        log_level=logging.getLevelNamesMapping()[flags.log_level.upper()],
        lease=None if flags.lease is None else Lease(*_named(flags.lease, "--lease")),
        identity=flags.identity,
        pod_address=_address(environment.get("POD_IP", "")),
        activators="" if flags.activators is None else "/".join(_named(flags.activators, "--activators")),
        prometheus=_prometheus(flags.prometheus, flags.prometheus_token_file, flags.prometheus_ca, flags.amd_prefix),
    )
    _check(config)
    return config


def _check(config: Config) -> None:
    """What contradicts. Raises SettingsError."""
    if config.cluster.kind != "kubernetes":
        for flag, given in (
            ("--lease", config.lease),
            ("--activators", config.activators),
            ("--prometheus", config.prometheus),
        ):
            if given:
                raise SettingsError(f"{flag} is for --cluster kubernetes:…, not for {config.cluster}")
        return
    if isinstance(config.control, TcpAddress) and not config.activators:
        raise SettingsError(
            f"--control {config.control}: whoever can reach it could wake and hold back every service of the cluster;"
            " say whose token is asked for (--activators NAMESPACE/SERVICEACCOUNT), or listen on a unix socket"
        )
    if config.lease is not None and not config.pod_address:
        raise SettingsError(
            "--lease: activators could not be led to this controller when it leads, because POD_IP is not set in its"
            " environment; set it from status.podIP"
        )


def _parser() -> argparse.ArgumentParser:
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
    parser.add_argument(
        "--lease", metavar="NAMESPACE/NAME", help="of several controllers the one that holds this Lease leads"
    )
    parser.add_argument("--identity", default="", metavar="NAME", help="of this controller among them; else POD_NAME")
    parser.add_argument(
        "--activators", metavar="NAMESPACE/SERVICEACCOUNT", help="whose tokens activators show when they connect"
    )
    parser.add_argument(
        "--prometheus", metavar="URL", help="ask this Prometheus what GPUs do (DCGM's or AMD's exporter)"
    )
    parser.add_argument(
        "--prometheus-token-file", metavar="FILE", help="with the bearer token that it wants; by https only"
    )
    parser.add_argument("--prometheus-ca", metavar="FILE", help="certificates of who signed its own")
    parser.add_argument(
        "--amd-prefix", metavar="PREFIX", default=USUAL_PREFIX, help=f"of AMD's metrics; default {USUAL_PREFIX} or none"
    )
    return parser


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


def _prometheus(url: str | None, token_file: str | None, ca_file: str | None, prefix: str) -> PrometheusAddress | None:
    if re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]{0,62}", prefix) is None:
        raise SettingsError(f"--amd-prefix {prefix:.80}: must be the beginning of a metric's name, such as amd_")
    if url is None:
        for flag, given in (("--prometheus-token-file", token_file), ("--prometheus-ca", ca_file)):
            if given is not None:
                raise SettingsError(f"{flag} is of no use without --prometheus")
        return None
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment or not url.isprintable():
        raise SettingsError("--prometheus: must be http://HOST:PORT or https://HOST:PORT, with a path or without")
    if "@" in parts.netloc:
        raise SettingsError("--prometheus: a password does not belong on a command line; use --prometheus-token-file")
    if token_file is not None and parts.scheme == "http" and host not in ("127.0.0.1", "::1", "localhost"):
        raise SettingsError("--prometheus-token-file: over http everybody on the way could read the token; use https")
    token, ca = (None if file is None else Path(file) for file in (token_file, ca_file))
    return PrometheusAddress(url.rstrip("/"), token, ca, prefix)


def _named(text: str, flag: str) -> tuple[str, str]:
    namespace, slash, name = text.partition("/")
    if not slash or not _OBJECT_NAME.fullmatch(namespace) or not _OBJECT_NAME.fullmatch(name):
        raise SettingsError(f"{flag} {text:.200}: must be NAMESPACE/NAME, as Kubernetes names objects")
    return namespace, name


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text)) if text else ""
    except ValueError:
        raise SettingsError(f"POD_IP={text:.80} in the environment: must be an IP address") from None


def _cluster(text: str) -> ClusterTarget:
    kind, colon, address = text.partition(":")
    if not colon or not kind or not address:
        raise SettingsError(f"--cluster {text}: a cluster is KIND:ADDRESS: {_CLUSTERS}")
    return ClusterTarget(kind, address)
