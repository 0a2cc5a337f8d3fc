"""What was measured, for a terminal and for the page. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.kubernetes_page import table
from benchmarks.kubernetes_wake.phases import Burst, Phase, Spread, Verdict, Wake, spreads, verdicts

OURS, THEIRS = "Pilotlight", "Knative"
_CHAIN = (Phase.DECIDED, Phase.SCHEDULED, Phase.STARTED, Phase.LISTENING, Phase.REACHED, Phase.ANSWERED)
_SUMS = (Phase.BEFORE, Phase.PROXY, Phase.ADDRESS, Phase.LEFT, Phase.WHOLE)


@dataclass(slots=True)
class Measured:
    """Wakes by kind of model and system, bursts by system, what went wrong."""

    wakes: dict[str, dict[str, list[Wake]]] = field(default_factory=dict)
    bursts: dict[str, list[Burst]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add_wake(self, kind: str, system: str, wake: Wake) -> None:
        self.wakes.setdefault(kind, {}).setdefault(system, []).append(wake)

    def add_burst(self, system: str, burst: Burst) -> None:
        self.bursts.setdefault(system, []).append(burst)


def judged(measured: Measured) -> Mapping[str, tuple[Verdict, ...]]:
    """Verdicts by kind of model; those on bursts with the first kind."""
    result: dict[str, tuple[Verdict, ...]] = {}
    for kind, systems in measured.wakes.items():
        if systems.get(OURS) and systems.get(THEIRS):
            bursts = ((), ()) if result else (measured.bursts.get(OURS, ()), measured.bursts.get(THEIRS, ()))
            result[kind] = verdicts(systems[OURS], systems[THEIRS], *bursts)
    return result


def section(measured: Measured, surroundings: str, requests: int) -> str:
    """The section of the page."""
    parts = ["## A wake from zero, beside Knative Serving", surroundings, _WHAT]
    for kind, systems in measured.wakes.items():
        counts = ", ".join(f"{len(wakes)} of {system}" for system, wakes in systems.items())
        parts += [f"### A model that {kind}", f"Milliseconds; wakes: {counts}.", _phases(systems)]
    if measured.bursts:
        parts += [f"### Bursts of {requests} at once, from zero", _BURSTS, _bursts(measured.bursts)]
    parts += ["### Aims", _verdicts(judged(measured))]
    if measured.failures:
        parts += ["### What went wrong", "\n".join(f"- {failure}" for failure in measured.failures)]
    return "\n\n".join([*parts, _HOW])


def _phases(systems: Mapping[str, Sequence[Wake]]) -> str:
    spread = {system: spreads(wakes) for system, wakes in systems.items()}
    head = ["phase", *(f"{system} {what}" for system in spread for what in ("p50", "p95", "most"))]
    rows = [
        [f"**{phase.value}**" if phase in (Phase.REACHED, Phase.WHOLE) else phase.value]
        + [figure for phases in spread.values() for figure in _figures(phases[phase])]
        for phase in (*_CHAIN, *_SUMS)
    ]
    return table(head, rows)


def _figures(spread: Spread) -> list[str]:
    return [f"{value:.1f}" if value < 100 else f"{value:.0f}" for value in (spread.p50, spread.p95, spread.most)]


def _bursts(bursts: Mapping[str, Sequence[Burst]]) -> str:
    head = ["", "seconds to the last answer: p50", "each", "lost", "replicas that served", "the last listened after"]
    return table(
        head,
        [
            [
                system,
                f"{statistics.median(burst.seconds for burst in each):.2f}",
                ", ".join(f"{burst.seconds:.2f}" for burst in each),
                str(sum(burst.lost for burst in each)),
                ", ".join(str(burst.replicas) for burst in each),
                ", ".join(f"{max(burst.listening, default=0.0):.1f} s" for burst in each),
            ]
            for system, each in bursts.items()
        ],
    )


def _verdicts(by_kind: Mapping[str, Sequence[Verdict]]) -> str:
    rows = [
        [f"{kind}: {verdict.aim}", verdict.measured, "met" if verdict.met else "**missed**"]
        for kind, each in by_kind.items()
        for verdict in each
    ]
    return table(["aim", "measured", ""], rows)


_WHAT = """Both systems are installed in one cluster and take turns. Every instant is one that neither writes itself:
orders and bindings are in the API server's audit log, starts of processes the kernel's, and when it listened and what
reached it is told by the model, which is the same program in the same image for both. Windows of 6 s and one request at
once in each model are asked of both; everything else is as each installs itself."""
_BURSTS = (
    "Each request works for 50 ms, one at a time in each of at most five replicas; five that serve from the start "
    "need 5 s."
)
_HOW = """    make bench-wake

The model that listens at once shows a bound that no real model comes near. What a request waits for there is the
proxy's own start, behind the model's: kubelet starts containers one by one, and KServe wants the model's to be the
first. As soon as the proxy listens it says where it is. Kubelet, which looks at its containers once a second, tells the
API server up to a second and more after the process was started, and Knative waits for that."""
