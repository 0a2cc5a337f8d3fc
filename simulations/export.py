"""A study as JSON and as CSV. The same study gives the same bytes: keys are sorted, floats are in their shortest form,
and what differs from run to run (how long anything took) is left out."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping

from simulations.comparison import Against, Comparison, Entry, Estimate
from simulations.statistics import Difference
from simulations.study import NOT_MODELLED, Point, Study, SweptPolicy

FORMAT_VERSION = 1
_COLUMNS = ("trace", "axis", "value", "policy", "service", "figure", "mean", "low", "high")


def study_json(study: Study) -> str:
    """Everything, as one object."""
    body = {
        "format": FORMAT_VERSION,
        "version": study.version,
        "title": study.title,
        "seeds": list(study.seeds),
        "config": study.config,
        "assumptions": dict(study.assumptions),
        "remarks": list(study.remarks),
        "not_modelled": list(NOT_MODELLED),
        "traces": [_comparison(comparison) for comparison in study.comparisons],
        "sweeps": [_swept(swept, study) for swept in study.swept],
    }
    return json.dumps(body, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def study_csv(study: Study) -> str:
    """One figure a row: all together first, then each service, then what was swept. Intervals are over seeds."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for comparison in study.comparisons:
        trace = comparison.case.setup.trace.name
        for entry in comparison.entries:
            for key, estimate in entry.figures.items():
                writer.writerow([trace, "", "", entry.label, "", key, *_cells(estimate)])
            names = [spec.name for spec in comparison.case.setup.scenario.services]
            for name, figures in zip(names, entry.services, strict=True):
                for key, value in figures.items():
                    writer.writerow([trace, "", "", entry.label, name, key, _cell(value), "", ""])
    for swept in study.swept:
        trace = study.comparisons[swept.trace].case.setup.trace.name
        for point in swept.points:
            for key, estimate in (("usd", point.usd), ("attainment", point.attainment)):
                writer.writerow([trace, swept.axis, _cell(point.value), swept.label, "", key, *_cells(estimate)])
    return text.getvalue()


def _comparison(comparison: Comparison) -> dict[str, object]:
    case, bound = comparison.case, comparison.bound
    return {
        "name": case.setup.trace.name,
        "digest": case.setup.trace.digest,
        "reference": comparison.reference,
        "verdict": [against.sentence for against in comparison.against],
        "policies": [_entry(entry, comparison) for entry in comparison.entries],
        "differences": [_against(against) for against in comparison.against],
        "clairvoyant": None
        if bound is None
        else {
            "gpu_hours": bound.gpu_hours,
            "usd": bound.usd,
            "curve": [{"attainment": attainment, "usd": usd} for attainment, usd in bound.curve],
            "remark": bound.remark,
        },
    }


def _entry(entry: Entry, comparison: Comparison) -> dict[str, object]:
    names = [spec.name for spec in comparison.case.setup.scenario.services]
    return {
        "policy": entry.label,
        "dominated": entry.dominated,
        "figures": {key: _estimate(estimate) for key, estimate in entry.figures.items()},
        "services": {name: _plain(figures) for name, figures in zip(names, entry.services, strict=True)},
        "runs": [
            {"seed": run.cell.seed, "usd": run.figures["usd"], "attainment": _number(run.figures["attainment"])}
            for run in entry.runs
        ],
    }


def _against(against: Against) -> dict[str, object]:
    return {
        "other": against.other,
        "usd_relative": _difference(against.usd),
        "attainment": _difference(against.attainment),
        "sentence": against.sentence,
    }


def _difference(difference: Difference) -> dict[str, object]:
    return {
        "mean": _number(difference.mean),
        "low": _number(difference.low),
        "high": _number(difference.high),
        "method": difference.method.value,
        "runs": difference.runs,
        "distinguishable": difference.distinguishable,
    }


def _swept(swept: SweptPolicy, study: Study) -> dict[str, object]:
    return {
        "axis": swept.axis,
        "trace": study.comparisons[swept.trace].case.setup.trace.name,
        "policy": swept.label,
        "points": [_point(point) for point in swept.points],
    }


def _point(point: Point) -> dict[str, object]:
    return {"value": point.value, "usd": _estimate(point.usd), "attainment": _estimate(point.attainment)}


def _estimate(estimate: Estimate) -> dict[str, object]:
    return {"mean": _number(estimate.mean), "low": _number(estimate.low), "high": _number(estimate.high)}


def _plain(figures: Mapping[str, float]) -> dict[str, object]:
    return {key: _number(value) for key, value in figures.items()}


def _number(value: float) -> float | None:
    """null stands for: nothing to count."""
    return None if math.isnan(value) or math.isinf(value) else value


def _cells(estimate: Estimate) -> list[str]:
    return [_cell(value) for value in (estimate.mean, estimate.low, estimate.high)]


def _cell(value: float) -> str:
    return "" if math.isnan(value) or math.isinf(value) else repr(value)
