"""What `pilotlight simulate` prints: the table, the verdict, what was assumed."""

from __future__ import annotations

import math
import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from simulations.comparison import Comparison, Entry
from simulations.figures import BY_KEY, CLAIRVOYANT, Unit, shown
from simulations.statistics import Method
from simulations.study import Study

_COLUMNS = (
    ("attainment", "in time"),
    ("worst_window", "worst 5 min"),
    ("latency_p50", "p50"),
    ("latency_p99", "p99"),
    ("waited", "came while\nnone ready"),
    ("gpu_hours", "GPU-\nhours"),
    ("usd", "USD"),
    (CLAIRVOYANT, "× clair-\nvoyant"),
)
_WIDTH = 112


def console() -> Console:
    """For stdout: as wide as the terminal, and wide enough for the table where there is none."""
    width = None if sys.stdout.isatty() else _WIDTH
    return Console(width=width, highlight=False, soft_wrap=not sys.stdout.isatty(), emoji=False)


def print_study(study: Study, out: Console) -> None:
    """Everything for the terminal."""
    for comparison in study.comparisons:
        _print_comparison(comparison, out)
    _print_sweeps(study, out)
    for remark in study.remarks:
        out.print(Text(f"remark: {remark}", style="dim"))


def _print_comparison(comparison: Comparison, out: Console) -> None:
    out.print(_table(comparison))
    bound = comparison.bound
    if bound is not None:
        out.print(f"clairvoyant: {bound.gpu_hours:.3g} GPU-hours, {bound.usd:.3g} USD, if nobody may wait")
    if comparison.against:
        out.print()
        for against in comparison.against:
            out.print(Text(f"{against.sentence}.", style="bold"))
        methods = {against.usd.method for against in comparison.against} - {Method.NONE}
        if methods:
            said = ", ".join(sorted(method.value for method in methods))
            out.print(Text(f"differences are paired, with 95 % intervals {said}", style="dim"))
    out.print()


def _table(comparison: Comparison) -> Table:
    name = comparison.case.setup.trace.name
    table = Table(title=Text(name, style="bold"), title_justify="left", header_style="dim", box=None, pad_edge=False)
    table.add_column("policy")
    for _, title in _COLUMNS:
        table.add_column(title, justify="right")
    table.add_column("a decision", justify="right")
    for entry in comparison.entries:
        ours = entry.label == comparison.reference
        style = "bold" if ours else "dim" if entry.dominated else ""
        decision = f"{1e6 * entry.decision_seconds:.0f} µs"
        table.add_row(Text(entry.label), *(_cell(entry, key) for key, _ in _COLUMNS), decision, style=style)
    return table


def _cell(entry: Entry, key: str) -> str:
    value = entry.mean(key)
    if key == CLAIRVOYANT:
        return "–" if math.isnan(value) else f"{value:.2f}"
    unit = BY_KEY[key].unit
    return f"{value:.3g}" if unit is Unit.HOURS and value < 100 else shown(value, unit)


def _print_sweeps(study: Study, out: Console) -> None:
    """One line for each policy on each axis: what the ends of the axis do to cost and attainment."""
    if not study.swept:
        return
    table = Table(
        header_style="dim", box=None, pad_edge=False, title_justify="left", title=Text("sweeps", style="bold")
    )
    for title in ("axis", "policy", "values", "USD", "in time"):
        table.add_column(title, justify="left")
    for swept in study.swept:
        values = " ".join(f"{point.value:g}" for point in swept.points)
        usd = " ".join(f"{point.usd.mean:.3g}" for point in swept.points)
        good = " ".join(shown(point.attainment.mean, Unit.SHARE).replace(" ", "") for point in swept.points)
        table.add_row(swept.axis, Text(swept.label), values, usd, good)
    out.print(table)
    out.print()


def print_assumptions(study: Study, out: Console) -> None:
    """What was assumed, before anything is waited for."""
    for what, value in study.assumptions:
        out.print(Text.assemble((f"{what:<19}", "dim"), value))
    out.print()
