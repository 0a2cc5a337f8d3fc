"""An explanation in words. Pure: from the controller's JSON to lines of text."""

from __future__ import annotations

import time
from collections.abc import Iterator

from pilotlight.controller_api import Body
from pilotlight.status import shown, state_of

INDENT = " " * 14


def explanation_lines(service: Body) -> list[str]:
    """What it has, what it wants, why, since when, what would change it; failures, wakes, recent decisions."""
    at = service.number("at") or 0.0
    changes = service.objects("changes")
    decisions = service.objects("decisions")
    lines = [f"{service.text('service')}  {state_of(service)}  {service.text('url')}", ""]
    lines += _section("replicas", _replica_counts(service))
    lines += _section(
        "requests", [f"{shown(service.number('in_flight'))} in flight, {shown(service.number('held'))} held"]
    )
    lines += _section("GPUs", _gpus(service))
    lines += _section("why", [service.text("explanation") + _since(changes, at)])
    if not service.objects("refused") and service.text("mode") != "off":
        if decisions:
            lines += _section("signals", list(_candidates(decisions[-1])))
            lines += _section("limits", list(_limits(decisions[-1])))
        lines += _section("next", what_changes_it(service))
    lines += _section("processes", list(_replicas(service, at)))
    lines += _section(
        "faults",
        [
            f"{' '.join(f.text('kind').split() + f.text('subject').split())}: {f.text('message')}"
            for f in service.objects("faults")
        ],
    )
    lines += _section("policy", list(_policy(service.within("policy"))))
    lines += _section("wakes", [_wake(wake) for wake in service.objects("wakes")[-3:]])
    lines += _section("decisions", [_decision(decision) for decision in changes or decisions])
    return lines


def _policy(policy: Body) -> Iterator[str]:
    """What is wrong with it, and what counts until that is put right."""
    mistakes = policy.texts("mistakes")
    yield from (f"mistake: {mistake}" for mistake in mistakes)
    if mistakes and policy.within("in_force"):
        yield "in force until it is put right: the last one that could be read"


def gist(service: Body) -> object:
    """What makes two explanations of a service different to a person: not ages, not the time."""
    replicas = tuple((r.text("name"), r.text("phase"), r.text("reason")) for r in service.objects("replicas"))
    numbers = tuple(service.number(name) for name in ("desired", "wanted", "in_flight", "held"))
    return service.text("phase"), service.text("reason"), service.text("error"), numbers, replicas


def what_changes_it(service: Body) -> list[str]:
    """What would change the number of replicas next, from the policy in force; empty when there is none."""
    policy = service.within("policy").within("in_force")
    if not policy:
        return []
    match service.text("phase"):
        case "asleep":
            return ["the next request wakes it" + _expected(service)]
        case "waking":
            deadline = policy.number("progress_deadline_seconds")
            given_up = "" if deadline is None else f"; given up if it is not within {deadline:g} s, once nobody waits"
            return [f"its first replica becomes ready{_expected(service)}{given_up}"]
        case "draining":
            return ["its replicas finish what they have begun; a request before that wakes it again"]
        case _:
            return _while_serving(service, policy)


def _while_serving(service: Body, policy: Body) -> list[str]:
    ready, per_replica = service.number("ready"), policy.number("target")
    window = policy.number("stable_window_seconds")
    if ready is None or per_replica is None or window is None:
        return []
    per_replica *= policy.number("target_utilization") or 1.0
    what = "requests at a time" if policy.text("metric") == "concurrency" else "requests per second"
    most, least = policy.number("max_replicas") or 0, policy.number("min_replicas") or 0
    lines = []
    if not most or ready < most:
        lines.append(f"more than {ready * per_replica:g} {what}, averaged over {window:g} s: one replica more")
    else:
        lines.append(f"no more than these {ready:.0f}: maxReplicas")
    if ready > max(1.0, least):
        lines.append(f"at most {(ready - 1) * per_replica:g} {what}, averaged over {window:g} s: one replica less")
    if least == 0 and ready == 1:
        lines.append(f"{window:g} s without a request: asleep")
    return lines


def _expected(service: Body) -> str:
    seconds = service.number("expected_wake_seconds")
    return "" if seconds is None else f", which takes about {seconds:.1f} s here"


def _section(title: str, texts: list[str]) -> Iterator[str]:
    lines = [line for text in texts for line in text.splitlines()]
    for index, line in enumerate(lines):
        yield (f"  {title}".ljust(len(INDENT)) if index == 0 else INDENT) + line


def _replica_counts(service: Body) -> list[str]:
    counts = [f"{shown(service.number('wanted'))} wanted"]
    for phase in ("ready", "starting", "pending", "draining", "failed"):
        number = service.number(phase)
        if number or phase == "ready":
            counts.append(f"{shown(number)} {phase}")
    policy = service.within("policy").within("in_force")
    least, most = policy.number("min_replicas"), policy.number("max_replicas")
    bounds = "" if least is None else f"  (allowed: {least:.0f} to {f'{most:.0f}' if most else 'any number'})"
    return [", ".join(counts) + bounds]


def _gpus(service: Body) -> list[str]:
    """What they do; that it is not known only where the policy looks at it."""
    policy, readings = service.within("policy").within("in_force"), service.within("readings")
    looked_at = any(policy.number(key) for key in ("gpu_busy", "gpu_utilization_target"))
    lines = []
    for name, what in (("gpu_utilization", "of the time at work"), ("gpu_memory", "of their memory in use")):
        reading = readings.within(name)
        share, age = reading.number("known"), _seconds(reading.number("age") or 0.0)
        if share is not None:
            lines.append(f"{share:.0%} {what}, {age} old")
        elif reading.number("stale") is not None:
            lines.append(f"? {what}, {reading.number('stale') or 0.0:.0%} {age} ago")
        elif looked_at:
            lines.append(f"? {what}: {reading.text('missing') or 'not read'}")
    return lines


def _since(changes: tuple[Body, ...], at: float) -> str:
    began = changes[-1].number("at") if changes else None
    return "" if began is None else f"  (for {_seconds(at - began)}, since {_clock(began)})"


def _candidates(decision: Body) -> Iterator[str]:
    winner = decision.text("winner")
    for candidate in decision.objects("candidates"):
        signal, replicas = candidate.text("signal"), candidate.whole("replicas")
        mark = "→" if signal == winner else " "
        asks = "asks for nothing" if replicas is None else f"asks for {replicas}"
        target = candidate.number("target")
        per = "" if not target else f", {target:g} for each replica"
        yield f"{mark} {signal.ljust(20)} {asks.ljust(18)} {_reading(candidate.within('reading'))}{per}"
    if not winner:
        yield "  no signal could be believed"


def _reading(reading: Body) -> str:
    """A reading as decisions carry it: `{"known": v, "age": s}`, `{"stale": v, "age": s}` or `{"missing": why}`."""
    known, stale, age = reading.number("known"), reading.number("stale"), reading.number("age") or 0.0
    if known is not None:
        return f"reading {known:.4g}, {_seconds(age)} old"
    if stale is not None:
        return f"stale: was {stale:.4g} {_seconds(age)} ago"
    return f"unknown: {reading.text('missing')}"


def _limits(decision: Body) -> Iterator[str]:
    for limit in decision.objects("limits"):
        yield f"{limit.text('name')}: {shown(limit.number('before'))} → {shown(limit.number('after'))}"


def _replicas(service: Body, at: float) -> Iterator[str]:
    for replica in service.objects("replicas"):
        created = replica.number("created_at")
        age = "" if created is None else f", {_seconds(at - created)} old"
        running, waiting = replica.number("running"), replica.number("waiting")
        work = "" if running is None else f", {running:.0f} running, {shown(waiting)} waiting"
        yield f"{replica.text('name')}: {replica.text('phase')}{age}{work}"
        for line in replica.text("reason").splitlines():
            yield f"  {line}"


def _wake(wake: Body) -> str:
    decided, started = wake.number("decided_at"), wake.number("started_at")
    ready, first = wake.number("ready_at"), wake.number("first_request_at")
    if decided is None:
        return ""
    text = f"{_clock(decided)}  {shown(wake.number('ordered'))} ordered"
    if started is not None:
        text += f", process after {_seconds(started - decided)}"
    if ready is not None:
        text += f", ready after {_seconds(ready - decided)}"
    if first is not None and ready is not None:
        text += f", first request {max(0.0, first - ready) * 1000:.0f} ms later"
    return text


def _decision(decision: Body) -> str:
    at = decision.number("at")
    when = "" if at is None else _clock(at)
    wanted, desired = decision.within("replicas").number("wanted"), decision.number("desired")
    change = f"{shown(wanted)} → {shown(desired)}"
    return f"{when}  {change}  {decision.text('reason').ljust(16)} {decision.text('explanation')}"


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def _seconds(seconds: float) -> str:
    seconds = max(0.0, seconds)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min"
