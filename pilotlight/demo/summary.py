"""The table at the demo's end, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from pilotlight.demo.outcome import ServiceOutcome, WakeOutcome


def summary_table(outcomes: Sequence[ServiceOutcome]) -> Table:
    """One row for each service."""
    table = Table(
        title="What became of every request", title_justify="left", title_style="bold", box=None, padding=(0, 2)
    )
    table.add_column("service", no_wrap=True)
    for heading in (
        "requests",
        "answered",
        "lost",
        "held",
        "wakes",
        "wake time",
        "of it added by us",
        "replica-seconds",
    ):
        table.add_column(heading, justify="right")
    for outcome in outcomes:
        table.add_row(
            outcome.service.removeprefix("default/"),
            str(outcome.requests),
            str(outcome.answered),
            Text(str(len(outcome.lost)), "bold red" if outcome.lost else "green"),
            str(outcome.held),
            str(len(outcome.wakes)),
            wake_times(outcome.wakes),
            added_times(outcome.wakes),
            f"{outcome.replica_seconds:.0f} of {outcome.always_on_seconds:.0f}",
        )
    return table


def wake_times(wakes: Sequence[WakeOutcome]) -> str:
    """From the first request to readiness, each wake."""
    return ", ".join(f"{wake.total:.2f} s" for wake in wakes) or "-"


def added_times(wakes: Sequence[WakeOutcome]) -> str:
    """From readiness to the first request in the model, each wake."""
    return ", ".join("?" if wake.hand_over is None else f"{wake.hand_over * 1000:.1f} ms" for wake in wakes) or "-"


NOTES = (
    "lost: no answer, a wrong one, or a 5xx.  held: sent before a replica was ready, and answered after.",
    "wake time: from the first request to the first one in the model; added by us: the part of it after the model said "
    "that it is ready, measured in the model.",
    "replica-seconds: what replicas existed for, of what keeping the most that were needed would have taken.",
)
