"""Puts the page together: the frame, its style and script, and the demo's numbers as JSON."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from pilotlight.demo.load import Ended
from pilotlight.demo.observer import Observed, Sample
from pilotlight.demo.outcome import ServiceOutcome, WakeOutcome
from pilotlight.errors import CommandError


def write_page(
    path: Path, outcomes: Sequence[ServiceOutcome], ended: Sequence[Ended], observed: Observed, began: float
) -> None:
    """Write the page whole or not at all. Raises CommandError when it cannot be written."""
    page = render_page(outcomes, ended, observed, began)
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(page)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        raise CommandError(f"cannot write the report {path}: {error.strerror}") from error


def render_page(outcomes: Sequence[ServiceOutcome], ended: Sequence[Ended], observed: Observed, began: float) -> str:
    """The page's text; times in it are seconds since `began`."""
    here = files("pilotlight.demo.report")
    data = {
        "began": began,
        "services": [
            {
                **_row(outcome),
                "samples": [_sample(sample, began) for sample in observed.samples.get(outcome.service, [])],
                "wakes": [_wake(wake, began) for wake in outcome.wakes],
                "latencies": [
                    [round(r.sent_at - began, 3), round(r.ended_at - r.sent_at, 4)]
                    for r in ended
                    if r.service == outcome.service and r.problem is None
                ],
            }
            for outcome in outcomes
        ],
    }
    # Inside of a script element, only "</" and "<!--" could end the data early.
    embedded = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    page = (here / "page.html").read_text(encoding="utf-8")
    for place, text in (
        ("/*STYLE*/", (here / "page.css").read_text(encoding="utf-8")),
        ("/*SCRIPT*/", (here / "page.js").read_text(encoding="utf-8")),
        ("/*DATA*/", embedded),
    ):
        page = page.replace(place, text)
    return page


def _row(outcome: ServiceOutcome) -> dict[str, object]:
    return {
        "name": outcome.service.removeprefix("default/"),
        "requests": outcome.requests,
        "answered": outcome.answered,
        "refused": outcome.refused,
        "lost": len(outcome.lost),
        "held": outcome.held,
        "p50": outcome.latency_p50,
        "p99": outcome.latency_p99,
        "replicaSeconds": round(outcome.replica_seconds, 1),
        "alwaysOnSeconds": round(outcome.always_on_seconds, 1),
        "most": outcome.most_replicas,
    }


def _sample(sample: Sample, began: float) -> list[object]:
    at = round(sample.at - began, 2)
    return [
        at,
        sample.wanted,
        sample.starting,
        sample.ready,
        sample.draining,
        sample.in_flight,
        sample.held,
        sample.phase,
    ]


def _wake(wake: WakeOutcome, began: float) -> dict[str, object]:
    return {
        "at": round(wake.at - began, 2),
        "ordered": wake.ordered,
        "decide": wake.decide,
        "start": wake.start,
        "load": wake.load,
        "handOver": wake.hand_over,
        "held": wake.held,
    }
