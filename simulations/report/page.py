"""The page: a study from the verdict down to its last figure, in one file that asks nobody for anything.

There is no script in it; what one points at is said by the browser. The same study gives the same bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape
from importlib.resources import files

from simulations.comparison import Comparison, Entry
from simulations.figures import share_shown
from simulations.report.bars import PHASES, USES, hours_chart, waterfall_chart
from simulations.report.distributions import latency_chart
from simulations.report.frontier import frontier_chart
from simulations.report.heat import attainment_map, cost_map
from simulations.report.sensitivity import axis_chart, tornado_chart
from simulations.report.svg import legend, series
from simulations.report.tables import all_table, differences_table, first_table, pairs_table, service_table
from simulations.report.timeline import LEGEND, peaks, small, timeline
from simulations.study import NOT_MODELLED, Study, SweptPolicy

_FLAME = (
    '<svg class="flame" viewBox="0 0 24 32" aria-hidden="true"><path d="M12 1c1 6 9 10 9 19a9 9 0 0 1-18 0c0-4 2-6 4-9 '
    '0 3 1 4 2 5 1-5 0-10 3-15z"/><path class="core" d="M12 16c1 3 4 4 4 8a4 4 0 0 1-8 0c0-3 3-4 4-8z"/></svg>'
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(study: Study) -> str:
    """The whole document."""
    style = (files("simulations.report") / "page.css").read_text(encoding="utf-8")
    body = "".join(
        [
            _header(study),
            *(_comparison(comparison, at, study) for at, comparison in enumerate(study.comparisons)),
            _map(study),
            _how(study),
        ]
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(study.title)}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n"
        "</html>\n"
    )


def _header(study: Study) -> str:
    seeds = f"{len(study.seeds)} seeds" if len(study.seeds) > 1 else "one seed"
    return (
        f"<header>{_FLAME}<div><h1>{escape(study.title)}</h1>"
        f"<p>Simulated by Pilotlight {escape(study.version)}, {seeds}. Policies were given the same requests"
        " and the same start-ups.</p></div></header>\n"
    )


def _comparison(comparison: Comparison, at: int, study: Study) -> str:
    several = len(study.comparisons) > 1
    name = comparison.case.setup.trace.name
    swept = [each for each in study.swept if each.trace == at]
    sections = [
        f"<h2>Trace {escape(name)}</h2>" if several else "",
        _verdict(comparison),
        first_table(comparison),
        _details("Every figure", all_table(comparison)),
        _details("How sure the differences are", differences_table(comparison)) if comparison.against else "",
        _frontier(comparison),
        _timelines(comparison),
        _latencies(comparison),
        _section("Where GPU-hours went", _HOURS_NOTE, legend(USES) + hours_chart(comparison.entries, comparison.bound)),
        _section("What a start is made of", _START_NOTE, legend(PHASES) + waterfall_chart(comparison.entries)),
        _services(comparison),
        _sensitivity(swept, comparison),
    ]
    return f'<section id="trace-{at}">' + "\n".join(sections) + "</section>\n"


_HOURS_NOTE = (
    "GPUs are paid from the moment a replica has a node until it is gone. Serving: ready, with work. Idle: without."
)
_START_NOTE = "The mean start of each policy, phase after phase, after the moment it was ordered."


def _verdict(comparison: Comparison) -> str:
    if comparison.against:
        said = "".join(f"<li>{escape(_capital(against.sentence))}.</li>" for against in comparison.against)
        return f'<div class="card verdict"><ul>{said}</ul></div>'
    entry = comparison.entries[0]
    usd, good = entry.mean("usd"), entry.mean("attainment")
    said = "no request came to an end" if math.isnan(good) else f"{share_shown(good)} of the requests in time"
    return f'<div class="card verdict">{escape(entry.label)} costs {usd:.4g} USD: {said}.</div>'


def _frontier(comparison: Comparison) -> str:
    bound = comparison.bound
    note = "The upper left is where one wants to be. Grey: another policy costs no more and serves no fewer in time. "
    if bound is None:
        note += "The clairvoyant is not there: durations are not known for all requests."
    else:
        note += "Diamond: the cheapest plan of one who knows all requests beforehand, if nobody may wait. "
        note += "Dashed: what no policy gets below; " if bound.curve else ""
        note += f"{bound.remark}."
    keys = [*_keys(comparison), ("l-dominated", "dominated")]
    keys += [("l-boundpoint", "clairvoyant")] if bound is not None else []
    keys += [("l-bound", "clairvoyant, if requests may wait")] if bound is not None and bound.curve else []
    return _section("Cost against attainment", note, legend(keys) + frontier_chart(comparison.entries, bound))


def _timelines(comparison: Comparison) -> str:
    tops = [peaks(entry.detail[0].timeline) for entry in comparison.entries]
    most_requests, most_gpus = _typical([top[0] for top in tops]), max(top[1] for top in tops)
    warm_up = comparison.case.setup.warm_up
    cards = "".join(
        f'<div class="card"><h3>{escape(entry.label)}</h3>'
        f"{timeline(entry.detail[0], warm_up, most_requests, most_gpus)}</div>"
        for entry in comparison.entries
    )
    note = (
        "Requests above, GPUs below, on one clock and the same scales for all policies; the first seed. Red behind:"
        " requests that missed their objective, the darker the more. Grey: the warm-up, which is not counted."
    )
    return f'<h2>Demand and supply over time</h2><p class="note">{note}</p>{legend(LEGEND)}{cards}'


def _typical(tops: Sequence[float]) -> float:
    """The top of the scale of requests: a policy that lets a queue grow without end must not flatten all others."""
    return min(max(tops), 4.0 * sorted(tops)[(len(tops) - 1) // 2])


def _latencies(comparison: Comparison) -> str:
    objective = comparison.case.setup.scenario.services[0].objective
    latency = None if math.isinf(objective.latency) else objective.latency
    ttft = None if math.isinf(objective.ttft) else objective.ttft
    keys = legend(_keys(comparison))
    curves = [(entry.label, entry.latency) for entry in comparison.entries]
    parts = _section(
        "How long requests took",
        "Share of completed requests that took at most so long, from the first attempt to the last byte; by nines.",
        keys + latency_chart(curves, latency, "latency of each policy"),
    )
    if all((entry.ttft.counts == entry.latency.counts).all() for entry in comparison.entries):
        return parts  # answers that come at once, as they do of models that are none of language
    first = [(entry.label, entry.ttft) for entry in comparison.entries]
    chart = keys + latency_chart(first, ttft, "time to first token of each policy")
    return parts + _section("Time to first token", "The same up to the first byte of the answer.", chart)


def _services(comparison: Comparison) -> str:
    if len(comparison.case.setup.scenario.services) < 2:
        return ""
    ours = _reference(comparison)
    cards = "".join(
        f'<div class="card"><h3>{escape(counted.name)}</h3>{small(counted)}</div>' for counted in ours.detail[1:]
    )
    note = f"{escape(ours.label)}, the services with the most requests, each on its own scale; the first seed."
    tables = "".join(
        _details(f"Every service with {entry.label}", service_table(comparison, entry)) for entry in comparison.entries
    )
    grid = f'<div class="grid">{cards}</div>'
    return f'<h2>Services</h2><p class="note">{note}</p>{legend(LEGEND[:4])}{grid}{tables}'


def _sensitivity(swept: Sequence[SweptPolicy], comparison: Comparison) -> str:
    if not swept:
        return ""
    order = [entry.label for entry in comparison.entries]
    ours = [each for each in swept if each.label == comparison.reference]
    parts = []
    for key, name in (("usd", "USD"), ("attainment", "SLO attainment")):
        drawn = tornado_chart(ours, key)
        if drawn:
            parts.append(f'<div class="card"><h3>{name} of {escape(comparison.reference)}</h3>{drawn}</div>')
    cells = []
    for axis in dict.fromkeys(each.axis for each in swept):
        along = [each for each in swept if each.axis == axis]
        for key, name in (("usd", "USD"), ("attainment", "SLO attainment")):
            drawn = axis_chart(along, key, order)
            if drawn:
                cells.append(f'<div class="card"><h3>{axis}: {name}</h3>{drawn}</div>')
    note = (
        "One thing is changed at a time, the rest stays as it is. Bars go from the least to the most that came of it."
    )
    grid = f'{legend(_keys(comparison))}<div class="grid wide">{"".join(cells)}</div>'
    return f'<h2>What it depends on</h2><p class="note">{note}</p>{"".join(parts)}{grid}'


def _map(study: Study) -> str:
    if len(study.comparisons) < 2:
        return ""
    return _section("Policies on traces", "SLO attainment.", attainment_map(study.comparisons)) + _section(
        "Their cost", "Over the cheapest policy on the same trace.", cost_map(study.comparisons)
    )


def _how(study: Study) -> str:
    remarks = "".join(f"<li>{escape(remark)}</li>" for remark in study.remarks)
    missing = "".join(f"<li>{escape(each)}</li>" for each in NOT_MODELLED)
    config = escape(json.dumps(study.config, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False))
    return (
        f"<h2>What was assumed</h2>{pairs_table(study.assumptions)}"
        + (f"<ul class='note'>{remarks}</ul>" if remarks else "")
        + f"<h2>What is not modelled</h2><ul class='note'>{missing}</ul>"
        + _details("Everything that decides the result", f'<div class="card"><pre>{config}</pre></div>')
        + f"<footer>Pilotlight {escape(study.version)}; seeds {', '.join(map(str, study.seeds))}; traces "
        + ", ".join(f"<code>{comparison.case.setup.trace.digest}</code>" for comparison in study.comparisons)
        + "</footer>\n"
    )


def _section(name: str, note: str, content: str) -> str:
    return f'<h2>{escape(name)}</h2><p class="note">{escape(note)}</p><div class="card">{content}</div>'


def _details(name: str, content: str) -> str:
    return f"<details><summary>{escape(name)}</summary>{content}</details>"


def _keys(comparison: Comparison) -> list[tuple[str, str]]:
    return [(series(at), entry.label) for at, entry in enumerate(comparison.entries)]


def _reference(comparison: Comparison) -> Entry:
    return next(entry for entry in comparison.entries if entry.label == comparison.reference)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
