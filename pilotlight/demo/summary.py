"""The table at the demo's end, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from pilotlight.demo.outcome import ServiceOutcome, WakeOutcome


def summary_table(outcomes: Sequence[ServiceOutcome]) -> Table:
    """One row for each service; fits into 80 columns."""
    table = Table(title="What became of every request", title_justify="left", title_style="bold", box=None)
    table.add_column("service", no_wrap=True)
    for heading in ("requests", "lost", "held", "wake time", "added by us", "replica-s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for outcome in outcomes:
        table.add_row(
            outcome.service.removeprefix("default/"),
            str(outcome.requests),
            Text(str(len(outcome.lost)), "bold red" if outcome.lost else "green"),
            str(outcome.held),
            wake_times(outcome.wakes),
            added_times(outcome.wakes),
            f"{outcome.replica_seconds:.0f} of {outcome.always_on_seconds:.0f}",
        )
    return table


def wake_times(wakes: Sequence[WakeOutcome]) -> str:
    """From the first request to readiness, each wake."""
    return ", ".join(f"{wake.total:.2f}" for wake in wakes) + " s" if wakes else "-"


def added_times(wakes: Sequence[WakeOutcome]) -> str:
    """From readiness to the first request in the model, each wake."""
    added = ["?" if wake.hand_over is None else f"{wake.hand_over * 1000:.1f}" for wake in wakes]
    return ", ".join(added) + " ms" if added else "-"


NOTES = (
    "lost: no answer, a wrong one, or a 5xx.  held: sent before a replica was ready, and answered after.",
    "wake time: from the first request to the first one in the model; added by us: the part of it after the model said "
    "that it is ready, measured in the model.",
    "replica-s: seconds that replicas existed, of those that keeping the most that were needed would have taken.",
)
