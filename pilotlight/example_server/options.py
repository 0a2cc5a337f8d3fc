"""The example server's settings: one frozen value, read once from the command line."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeVar

from pilotlight import arguments

Member = TypeVar("Member", bound=Enum)


class Protocol(Enum):
    """Which API is served: the Open Inference Protocol's V2 REST, OpenAI's chat completions, or both."""

    OIP = "oip"
    OPENAI = "openai"
    BOTH = "both"


class WhileLoading(Enum):
    """What a client sees before the model is loaded: a closed port (as vLLM), or 503 (as Triton)."""

    REFUSE = "refuse"
    UNREADY = "unready"


class Distribution(Enum):
    """How service times spread around their mean."""

    FIXED = "fixed"
    EXPONENTIAL = "exponential"


@dataclass(frozen=True, slots=True)
class StartFailures:
    """Which starts end with `exit_code` instead of serving.

    `ordinals` are counted over all processes that share `counter`, the first start being 1; `always` needs no counter.
    """

    always: bool = False
    ordinals: frozenset[int] = frozenset()
    exit_code: int = 1
    counter: Path | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """All times are seconds, all rates are fractions in 0..1.

    service_seconds  mean time a request holds a slot (chat: until the first token)
    token_seconds    time for each token after the first
    slots            requests worked on at a time, the others wait; 0: no limit
    kv_tokens        tokens that fit in the pretended KV cache
    crash_after      the process kills itself when this many requests were answered; 0: never
    """

    host: str = "127.0.0.1"
    port: int = 8080
    model: str = "example"
    protocol: Protocol = Protocol.BOTH
    load_seconds: float = 0.0
    while_loading: WhileLoading = WhileLoading.REFUSE
    service_seconds: float = 0.0
    distribution: Distribution = Distribution.FIXED
    token_seconds: float = 0.0
    slots: int = 0
    kv_tokens: int = 65_536
    seed: int | None = None
    start_failures: StartFailures = StartFailures()
    crash_after: int = 0
    error_rate: float = 0.0
    hang_rate: float = 0.0
    drain_seconds: float = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the server's flags on `parser`."""
    fraction = arguments.between(0, 1, "a fraction")
    serving = parser.add_argument_group("serving")
    serving.add_argument(
        "--host", default=None, help="address to listen on; default: 127.0.0.1, and every address in a pod"
    )
    serving.add_argument(
        "--port", type=arguments.whole(0, 65_535), default=None, help="port; default: the environment's PORT, else 8080"
    )
    serving.add_argument("--model", default="example", help="name of the pretended model (%(default)s)")
    serving.add_argument("--protocol", type=_member(Protocol), default=Protocol.BOTH, help=_choices(Protocol))
    serving.add_argument("--drain-seconds", type=arguments.seconds, default=30.0, help="time to finish after SIGTERM")

    speed = parser.add_argument_group("speed")
    speed.add_argument("--load-seconds", type=arguments.seconds, default=0.0, help="time to load the model")
    speed.add_argument(
        "--while-loading",
        type=_member(WhileLoading),
        default=WhileLoading.REFUSE,
        help=f"{_choices(WhileLoading)}: port closed, or open and answering 503 (refuse)",
    )
    speed.add_argument(
        "--service-seconds", type=arguments.seconds, default=0.0, help="mean time per request, or to first token"
    )
    speed.add_argument(
        "--distribution", type=_member(Distribution), default=Distribution.FIXED, help=_choices(Distribution)
    )
    speed.add_argument("--token-seconds", type=arguments.seconds, default=0.0, help="time per token after the first")
    speed.add_argument(
        "--slots", type=arguments.whole(0, 1_000_000), default=0, help="requests worked on at a time; 0: any"
    )
    speed.add_argument(
        "--kv-tokens", type=arguments.whole(1, 2**40), default=65_536, help="tokens in the pretended KV cache"
    )
    speed.add_argument(
        "--seed", type=arguments.whole(0, 2**63), default=None, help="makes random times and faults repeatable"
    )

    faults = parser.add_argument_group("failures, all off by default")
    faults.add_argument("--fail-start", type=_starts, default=(False, frozenset()), metavar="always|N[,N…]")
    faults.add_argument("--fail-start-exit-code", type=arguments.whole(1, 255), default=1, metavar="CODE")
    faults.add_argument(
        "--start-counter", type=Path, default=None, metavar="FILE", help="counts starts over processes, one byte each"
    )
    faults.add_argument("--crash-after-requests", type=arguments.whole(0, 2**31), default=0, metavar="N")
    faults.add_argument("--error-rate", type=fraction, default=0.0, metavar="0..1", help="answered with 500")
    faults.add_argument("--hang-rate", type=fraction, default=0.0, metavar="0..1", help="never answered")


def from_arguments(parser: argparse.ArgumentParser, given: argparse.Namespace) -> Options:
    """The settings of parsed flags; contradictions end through `parser.error` with exit status 2."""
    always, ordinals = given.fail_start
    if ordinals and given.start_counter is None:
        parser.error("--fail-start with numbers needs --start-counter FILE, where starts are counted")
    return Options(
        host=_host() if given.host is None else given.host,
        port=_port(parser) if given.port is None else given.port,
        model=given.model,
        protocol=given.protocol,
        load_seconds=given.load_seconds,
        while_loading=given.while_loading,
        service_seconds=given.service_seconds,
        distribution=given.distribution,
        token_seconds=given.token_seconds,
        slots=given.slots,
        kv_tokens=given.kv_tokens,
        seed=given.seed,
        start_failures=StartFailures(always, ordinals, given.fail_start_exit_code, given.start_counter),
        crash_after=given.crash_after_requests,
        error_rate=given.error_rate,
        hang_rate=given.hang_rate,
        drain_seconds=given.drain_seconds,
    )


def parse_options(command_line: Sequence[str]) -> Options:
    """The settings of a command line; SystemExit(2) with a message on stderr when one is wrong."""
    parser = argparse.ArgumentParser(
        prog="pilotlight example-server", description="An example model server: no model, but the behaviour of one."
    )
    add_arguments(parser)
    return from_arguments(parser, parser.parse_args(command_line))


def _host() -> str:
    """Kubelet probes a pod's address from outside it; on one machine nobody else has to reach a model."""
    return "0.0.0.0" if "KUBERNETES_SERVICE_HOST" in os.environ else "127.0.0.1"  # noqa: S104 - see above


def _port(parser: argparse.ArgumentParser) -> int:
    try:
        return arguments.whole(0, 65_535)(os.environ.get("PORT", "8080"))
    except argparse.ArgumentTypeError as error:
        parser.error(f"environment variable PORT: {error}")


def _starts(text: str) -> tuple[bool, frozenset[int]]:
    if text == "always":
        return True, frozenset()
    return False, frozenset(arguments.whole(1, 2**31)(part) for part in text.split(","))


def _member(kind: type[Member]) -> Callable[[str], Member]:
    def parse(text: str) -> Member:
        try:
            return kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not one of {_choices(kind)}") from None

    return parse


def _choices(kind: type[Enum]) -> str:
    return ", ".join(str(member.value) for member in kind)
