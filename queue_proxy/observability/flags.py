"""The flags of the request log and of spans, the same for every process of the data path."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple


class Flags(NamedTuple):
    """What is told of single requests.

    request_log         where lines go: `stdout`, the path of a file, None for nowhere
    request_log_probes  whether probes and scrapes have lines too
    tracing             whether spans are exported; how and where to say the `OTEL_*` variables of the environment
    """

    request_log: str | None = None
    request_log_probes: bool = False
    tracing: bool = False


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Let `parser` take the flags."""
    add = parser.add_argument
    add("--request-log", type=_target, metavar="stdout|FILE", help="one JSON line for each request; default: none")
    add("--request-log-probes", action="store_true", help="log probes and scrapes too")
    add("--tracing", action="store_true", help="export OpenTelemetry spans, as the OTEL_* variables say; extra: otel")


def flags_from(given: argparse.Namespace) -> Flags:
    """What was given."""
    return Flags(given.request_log, given.request_log_probes, given.tracing)


def _target(text: str) -> str:
    if text == "stdout":
        return text
    if not text or not text.isprintable() or not Path(text).name:
        raise argparse.ArgumentTypeError(f"must be stdout or the path of a file, not {text!r:.80}")
    return text
