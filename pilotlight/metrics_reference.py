"""docs/metrics.md, made from the tables that declare the metrics: `python -m pilotlight.metrics_reference`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from activator import metrics as activator_metrics
from autoscaler.controller import metrics as controller_metrics
from queue_proxy import metrics as queue_proxy_metrics
from queue_proxy.histogram import DURATION_BOUNDS

_INTRODUCTION = """# Metrics

Written by `make docs` from the tables in the code; what each page is for is in [observability.md](observability.md).
A counter's name ends with `_total`; a histogram has `_bucket`, `_sum` and `_count`. Durations are in seconds. Those of
requests have these bounds:
{bounds}.
"""


class Row(NamedTuple):
    """One metric. `kind` is Prometheus' name of it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


def queue_proxy_rows() -> Iterator[Row]:
    """What every queue proxy shows."""
    for metric in queue_proxy_metrics.METRICS:
        unit = f"_{metric.unit}" if metric.unit else ""
        total = "_total" if metric.kind is queue_proxy_metrics.Kind.COUNTER else ""
        name = f"{queue_proxy_metrics.PREFIX}{metric.name}{unit}{total}"
        yield Row(name, metric.kind.value, metric.labels, metric.help)


def activator_rows() -> Iterator[Row]:
    """What every activator shows."""
    for metric in activator_metrics.METRICS:
        name = activator_metrics.PREFIX + metric.name
        match metric:
            case activator_metrics.ServiceCounter():
                yield Row(f"{name}_total", "counter", ("service", *metric.labels), metric.help)
            case activator_metrics.ServiceGauge():
                yield Row(name, "gauge", ("service", *metric.labels), metric.help)
            case activator_metrics.ServiceHistogram():
                yield Row(name, "histogram", ("service",), metric.help)
            case activator_metrics.LinkCounter():
                yield Row(f"{name}_total", "counter", (), metric.help)
            case activator_metrics.LinkGauge():
                yield Row(name, "gauge", (), metric.help)
            case activator_metrics.RecordCounter():
                yield Row(f"{name}_total", "counter", ("fate",), metric.help)


def controller_rows() -> Iterator[Row]:
    """What the controller shows."""
    for metric in controller_metrics.CATALOGUE:
        total = "_total" if metric.kind is controller_metrics.Kind.COUNTER else ""
        yield Row(metric.name + total, metric.kind.value, metric.labels, metric.help)


def render() -> str:
    """The whole page."""
    bounds = ", ".join(f"{bound:g}" for bound in DURATION_BOUNDS)
    return "\n".join(
        (
            _INTRODUCTION.format(bounds=bounds),
            f"## Controller\n\n{_table(controller_rows())}",
            f"## Activator\n\n{_table(activator_rows())}",
            f"## Queue proxy\n\n{_table(queue_proxy_rows())}",
        )
    )


def _table(rows: Iterable[Row]) -> str:
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for row in rows:
        labels = ", ".join(f"`{label}`" for label in row.labels)
        lines.append(f"| `{row.name}` | {row.kind} | {labels} | {row.help.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
