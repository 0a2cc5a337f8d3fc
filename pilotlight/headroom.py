"""`pilotlight headroom`: can any reactive policy hold this load with this start-up time, and if not, what would."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass

from pilotlight import arguments, interrupts
from pilotlight.errors import CommandError
from pilotlight.start_arguments import add_start_arguments, check_start, given_profile
from pilotlight.trace_arguments import TRACE_HELP, add_trace_arguments, opened_trace, remarks
from simulations.bounds.headroom import Headroom, Question, Ramp, Sizing, headroom
from simulations.bounds.service_seconds import ServiceSeconds
from simulations.traces.options import OpenedTrace
from simulations.traces.trace import TraceError

_SHOWN_SERVICES = 10
_EPILOG = f"""\
{TRACE_HELP}
A ramp to x times the load within t seconds lasts t(1 − ρ)/(ρ(x − 1)) seconds on what stands idle at occupancy ρ. Where
that is less than a start takes, requests wait whatever a reactive policy does. Loads are requests in service, were
each served at once. Exit status 0 if every ramp is held, 1 if not.
"""


@dataclass(frozen=True, slots=True)
class _Start:
    """The start-up time that is asked about, and where it is from."""

    seconds: float
    said: str


def add_headroom(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.description = "Whether any reactive policy can hold a load, given how long a replica takes to start."
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_trace_arguments(parser)
    start = parser.add_argument_group("how long a start takes (default: the profile llm-8b-nvme)")
    add_start_arguments(start, 0.1)
    start.add_argument("--cold-cache", action="store_true", help="the node has neither image nor weights")
    start.add_argument("--new-node", action="store_true", help="a node has to be made first")
    start.add_argument(
        "--quantile",
        type=arguments.between(0.01, 0.999, "a probability"),
        default=0.95,
        metavar="P",
        help="of a profile's start that is counted with (%(default)s)",
    )
    serving = parser.add_argument_group("serving")
    serving.add_argument(
        "--occupancy",
        type=arguments.between(0.01, 0.99, "a share"),
        default=0.7,
        metavar="RHO",
        help="share of slots in use that a policy aims for (%(default)s)",
    )
    serving.add_argument(
        "--slots",
        type=arguments.whole(1, 100_000),
        default=1,
        metavar="N",
        help="requests that a replica serves at a time (%(default)s)",
    )
    serving.add_argument(
        "--seconds", type=arguments.between(1e-6, 86_400, "a number of seconds"), metavar="S", help="a request takes"
    )
    serving.add_argument("--prefill-ms", type=_MILLISECONDS, default=0.1, metavar="MS", help="by tokens: each of input")
    serving.add_argument("--token-ms", type=_MILLISECONDS, default=32.0, metavar="MS", help="by tokens: each of output")
    serving.add_argument(
        "--wait-probability",
        type=arguments.between(1e-6, 0.999, "a probability"),
        default=0.05,
        metavar="P",
        help="share of requests that may wait in a steady load (%(default)s)",
    )
    parser.add_argument("--worst", type=arguments.whole(1, 1000), default=8, metavar="N", help="ramps to show")
    parser.add_argument("--json", action="store_true", help="everything as one JSON object")


_MILLISECONDS = arguments.between(0, 1e6, "a number of milliseconds")


def run_headroom(given: argparse.Namespace) -> int:
    """Print the answer; the exit status is 1 when no reactive policy holds the load. Raises CommandError."""
    interrupts.unwind()
    check_start(given)
    start = _start(given)
    opened, trace = opened_trace(given)
    question = Question(start.seconds, given.occupancy, given.slots, given.wait_probability)
    seconds = ServiceSeconds(
        per_input=0.0 if given.seconds else given.prefill_ms / 1000.0,
        per_output=0.0 if given.seconds else given.token_ms / 1000.0,
        otherwise=given.seconds or math.nan,
    )
    try:
        found = headroom(trace, question, seconds, given.worst)
    except TraceError as error:
        raise CommandError(f"{trace.name}: {error}") from error
    if given.json:
        print(json.dumps(_as_json(found, opened, start, trace.digest), indent=2, allow_nan=False))
    else:
        for line in headroom_lines(found, opened, start.said):
            print(line)
    return 0 if found.holds else 1


def headroom_lines(found: Headroom, opened: OpenedTrace, start: str) -> list[str]:
    """The verdict, the worst ramps, the sizing."""
    lines = [verdict(found), ""]
    lines += [f"start-up {found.question.start_seconds:.4g} s ({start}), occupancy {found.question.occupancy:g}, "
              f"{found.question.slots} slots a replica"]  # fmt: skip
    lines += [f"trace: {remark}" for remark in remarks(opened)]
    if found.ramps:
        lines += ["", "steepest ramps                                load, in service       idle capacity   occupancy"]
        lines += ["service                       at      within   before   after      ×   lasts           needed"]
        lines += [_ramp_line(ramp) for ramp in found.ramps]
    lines += ["", "steady load                  requests in service   replicas by      square-root   Erlang C    wakes"]
    lines += ["service                        mean        busiest   occupancy         staffing               from idle"]
    lines += [_sizing_line(size) for size in found.sizing[:_SHOWN_SERVICES]]
    if len(found.sizing) > _SHOWN_SERVICES:
        lines.append(f"… and {len(found.sizing) - _SHOWN_SERVICES} more services")
    return lines


def verdict(found: Headroom) -> str:
    """The answer in a sentence or two."""
    question = found.question
    wakes = sum(size.wakes for size in found.sizing)
    idle = (
        f" {_times(wakes)} a request came after a longer idle time than a start takes: unless a replica is kept or the "
    )
    idle = idle + f"request is foreseen, it waits up to {question.start_seconds:.3g} s." if wakes else ""
    if found.holds:
        if math.isinf(found.start_needed):
            return f"Yes: at occupancy {question.occupancy:g} what stands idle is enough for every ramp.{idle}"
        return (
            f"Yes: at occupancy {question.occupancy:g} what stands idle lasts {found.start_needed:.3g} s in the "
            f"steepest ramp, and a start takes {question.start_seconds:.3g} s.{idle}"
        )
    worst = found.ramps[0]
    return (
        f"No: {worst.service} goes to {worst.factor:.3g} times its load within {worst.seconds:.3g} s at "
        f"{_clock(worst.at)}; at occupancy {question.occupancy:g} what stands idle lasts {worst.slack:.3g} s, and a "
        f"start takes {question.start_seconds:.3g} s. A reactive policy would need an occupancy of at most "
        f"{found.occupancy_needed:.2f}, or starts of at most {found.start_needed:.3g} s; else keep spare replicas, "
        f"forecast or schedule such ramps, or let requests wait.{idle}"
    )


def _start(given: argparse.Namespace) -> _Start:
    if given.startup is not None:
        return _Start(given.startup, "as given")
    profile = given_profile(given)
    total = profile.total(cached=not given.cold_cache, node=given.new_node).quantile(given.quantile)
    return _Start(max(total, 0.1), f"profile {profile.name}, quantile {given.quantile:g}")


def _ramp_line(ramp: Ramp) -> str:
    lasts = "enough" if math.isinf(ramp.slack) else f"{ramp.slack:.4g} s"
    return (
        f"{ramp.service[:24]:<24}  {_clock(ramp.at):>10}  {ramp.seconds:>7.4g} s  {ramp.before:>7.3g}"
        f" {ramp.after:>7.3g} {ramp.factor:>6.3g}   {lasts:<14}  {ramp.occupancy:.2f}"
    )


def _sizing_line(size: Sizing) -> str:
    return (
        f"{size.service[:24]:<24} {size.mean:>10.3g} {size.offered:>14.4g} {size.replicas:>11}"
        f" {size.by_square_root:>16} {size.by_erlang_c:>10} {size.wakes:>11}"
    )


def _clock(seconds: float) -> str:
    """Time of the trace: 3:04:05, with days where there are any."""
    whole = int(seconds)
    days, clock = divmod(whole, 86_400)
    text = f"{clock // 3600}:{clock // 60 % 60:02d}:{clock % 60:02d}"
    return f"{days}d {text}" if days else text


def _times(count: int) -> str:
    return "Once" if count == 1 else f"{count} times"


def _as_json(found: Headroom, opened: OpenedTrace, start: _Start, digest: str) -> dict[str, object]:
    question = found.question
    return {
        "holds": found.holds,
        "verdict": verdict(found),
        "start_seconds": question.start_seconds,
        "start_from": start.said,
        "occupancy": question.occupancy,
        "slots": question.slots,
        "wait_probability": question.wait_probability,
        "occupancy_needed": found.occupancy_needed,
        "start_seconds_needed": _finite(found.start_needed),
        "trace": {
            "digest": digest,
            "format": opened.format,
            "remarks": remarks(opened),
            "skipped": opened.skipped,
        },
        "ramps": [
            {
                "service": ramp.service,
                "at": ramp.at,
                "within_seconds": ramp.seconds,
                "before": ramp.before,
                "after": ramp.after,
                "slack_seconds": _finite(ramp.slack),
                "occupancy_needed": ramp.occupancy,
            }
            for ramp in found.ramps
        ],
        "sizing": [
            {
                "service": size.service,
                "mean": size.mean,
                "busiest": size.offered,
                "replicas": size.replicas,
                "replicas_square_root": size.by_square_root,
                "replicas_erlang_c": size.by_erlang_c,
                "wakes": size.wakes,
            }
            for size in found.sizing
        ],
    }


def _finite(value: float) -> float | None:
    """null stands for: without bound."""
    return value if math.isfinite(value) else None
