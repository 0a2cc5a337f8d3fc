"""A page in Prometheus's text format, made in pieces.

The format wants all samples of a family in one place, and who makes the page of thousands of services in one go does
nothing else for seconds. So each piece is written with a few services in every family, and the families are put
together at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

_NEXT_FAMILY = b"\n# HELP "


class Page:
    """One page, for whoever asked for it."""

    def __init__(self) -> None:
        """Nothing is on it."""
        self._families: dict[bytes, list[bytes]] = {}

    def add(self, collectors: Iterable[Collector]) -> None:
        """Write what these collect. Of each family a sample may be added once."""
        text = generate_latest(_Together(collectors))
        # A line that begins so is no sample: within the value of a label the end of a line is written as two letters.
        for family in (b"\n" + text.removesuffix(b"\n")).split(_NEXT_FAMILY)[1:]:
            what, _, rest = family.partition(b"\n")
            kind, _, samples = rest.partition(b"\n")
            written = self._families.setdefault(b"# HELP " + what + b"\n" + kind + b"\n", [])
            if samples:
                written.append(samples + b"\n")

    def text(self) -> bytes:
        """The page, families in the order in which they came."""
        return b"".join(part for head, samples in self._families.items() for part in (head, *samples))


class _Together(Collector):
    def __init__(self, collectors: Iterable[Collector]) -> None:
        self._collectors = collectors

    def collect(self) -> Iterator[Family]:
        """What each collects."""
        for collector in self._collectors:
            yield from collector.collect()
