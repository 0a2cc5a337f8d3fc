"""Tables of the report: the few figures that one looks at first, then all of them, then each service's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from simulations.comparison import Comparison, Entry, Estimate
from simulations.figures import BY_KEY, CLAIRVOYANT, FIGURES, Better, Unit, shown
from simulations.report.svg import series

FIRST = (
    "attainment", "worst_window", "latency_p50", "latency_p99", "ttft_p99", "waited", "gpu_hours", "usd",
    "usd_per_1k_requests",
)  # fmt: skip
_OF_SERVICES = ("requests", "attainment", "worst_window", "latency_p99", "waited", "starts", "gpu_hours", "usd")
_MOST_SERVICES = 200
_GROUPS = {
    "requests": "Requests",
    "latency": "Latency of completed requests",
    "starts": "Starts",
    "cost": "Cost",
    "scaling": "Scaling",
}
_BOUND_TITLE = "GPU-hours over the clairvoyant's"


def first_table(comparison: Comparison) -> str:
    """Policies down, the first figures across; the best of each column is marked."""
    # Where answers come whole, the first token is the last, and a column twice the same would only be in the way.
    whole = all(_shown_alike(entry, "ttft_p99", "latency_p99") for entry in comparison.entries)
    keys = [key for key in (*FIRST, CLAIRVOYANT) if not (whole and key == "ttft_p99")]
    head = ["policy", *map(_title, keys)]
    best = {key: _best(key, comparison.entries) for key in keys}
    rows = []
    for at, entry in enumerate(comparison.entries):
        cells = [f'<td><i class="{series(at)} dot"></i>{escape(entry.label)}</td>']
        cells += [_cell(entry, key, marked=entry.label in best[key]) for key in keys]
        rows.append("".join(cells))
    return _table(head, rows)


def all_table(comparison: Comparison) -> str:
    """Figures down, policies across, with the intervals over seeds."""
    rows = []
    for group, name in _GROUPS.items():
        figures = [figure for figure in FIGURES if figure.group == group]
        known = [
            figure for figure in figures if any(not math.isnan(entry.mean(figure.key)) for entry in comparison.entries)
        ]
        if known:
            rows.append(f'<th colspan="{1 + len(comparison.entries)}" class="group">{name}</th>')
        for figure in known:
            cells = (_interval(entry.figures[figure.key], figure.unit) for entry in comparison.entries)
            rows.append(f"<td>{escape(figure.title)}</td>" + "".join(f"<td>{cell}</td>" for cell in cells))
        if group == "cost" and comparison.bound is not None:
            cells = (_interval(entry.figures[CLAIRVOYANT], Unit.RATIO) for entry in comparison.entries)
            rows.append(f"<td>{_BOUND_TITLE}</td>" + "".join(f"<td>{cell}</td>" for cell in cells))
    return _table(["", *(entry.label for entry in comparison.entries)], rows)


def service_table(comparison: Comparison, entry: Entry) -> str:
    """Services down, by their requests."""
    names = [spec.name for spec in comparison.case.setup.scenario.services]
    ordered = sorted(zip(names, entry.services, strict=True), key=lambda row: -row[1]["requests"])
    rows = [
        f"<td>{escape(name)}</td>"
        + "".join(f"<td>{shown(figures[key], BY_KEY[key].unit)}</td>" for key in _OF_SERVICES)
        for name, figures in ordered[:_MOST_SERVICES]
    ]
    more = len(ordered) - _MOST_SERVICES
    note = f'<p class="note">{more} more services are in the CSV and the JSON.</p>' if more > 0 else ""
    return _table(["service", *(_title(key) for key in _OF_SERVICES)], rows) + note


def differences_table(comparison: Comparison) -> str:
    """The reference against each other policy, with what is known of how sure that is."""
    rows = []
    for against in comparison.against:
        usd, attainment = against.usd, against.attainment
        rows.append(
            f"<td>{escape(against.other)}</td>"
            f"<td>{_percent(usd.mean)}</td><td>{_between(usd.low, usd.high)}</td>"
            f"<td>{_points(attainment.mean)}</td><td>{_between(attainment.low, attainment.high)}</td>"
            f"<td>{_sure(usd.distinguishable)} / {_sure(attainment.distinguishable)}</td>"
            f"<td>{usd.method.value}</td>"
        )
    head = ["against", "cost", "95 % interval", "attainment", "95 % interval", "distinguishable", "method"]
    return _table(head, rows)


def pairs_table(pairs: Sequence[tuple[str, str]]) -> str:
    """What, and how much."""
    return _table(["", ""], [f"<td>{escape(what)}</td><td>{escape(value)}</td>" for what, value in pairs], "pairs")


def _table(head: Sequence[str], rows: Sequence[str], cls: str = "") -> str:
    heads = "".join(f"<th>{escape(each)}</th>" for each in head) if any(head) else ""
    top = f"<thead><tr>{heads}</tr></thead>" if heads else ""
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="scroll"><table class="{cls}">{top}<tbody>{body}</tbody></table></div>'


def _cell(entry: Entry, key: str, *, marked: bool) -> str:
    unit = Unit.RATIO if key == CLAIRVOYANT else BY_KEY[key].unit
    return f'<td class="{"best" if marked else ""}">{_interval(entry.figures[key], unit)}</td>'


def _interval(estimate: Estimate, unit: Unit) -> str:
    """The mean, and where it lies when one points at it."""
    said = shown(estimate.mean, unit)
    if math.isnan(estimate.low) or estimate.low == estimate.high:
        return said
    return f'<span title="95 %: {shown(estimate.low, unit)} to {shown(estimate.high, unit)}">{said}</span>'


def _best(key: str, entries: Sequence[Entry]) -> set[str]:
    """Who has the best value, as it is shown: digits that nobody sees decide nothing."""
    better = Better.LESS if key == CLAIRVOYANT else BY_KEY[key].better
    values = {entry.label: entry.mean(key) for entry in entries if not math.isnan(entry.mean(key))}
    if better is Better.NEITHER or len(values) < 2:
        return set()
    top = min(values.values()) if better is Better.LESS else max(values.values())
    unit = Unit.RATIO if key == CLAIRVOYANT else BY_KEY[key].unit
    found = {label for label, value in values.items() if shown(value, unit) == shown(top, unit)}
    return found if len(found) < len(values) else set()


def _shown_alike(entry: Entry, one: str, other: str) -> bool:
    unit = BY_KEY[one].unit
    return shown(entry.mean(one), unit) == shown(entry.mean(other), unit)


def _title(key: str) -> str:
    return _BOUND_TITLE if key == CLAIRVOYANT else BY_KEY[key].title


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:+.3g} %"


def _points(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:+.3g} points"


def _between(low: float, high: float) -> str:
    return "–" if math.isnan(low) else f"{100 * low:+.3g} to {100 * high:+.3g}"


def _sure(distinguishable: bool | None) -> str:
    return "unknown" if distinguishable is None else "yes" if distinguishable else "no"
