"""docs/kubernetes-performance.md: a page of sections, each written by the benchmark that measures it.

A benchmark replaces its own section and leaves the others, so that each can be repeated alone.
"""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Sequence
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "kubernetes-performance.md"
_HEAD = """# Performance in a cluster

Written by the benchmarks themselves (`make bench-wake`, `make bench-scale`); nothing here is edited by hand. The
cluster is the one of `tests/cluster`: real etcd, API server, scheduler, kubelets, kube-proxy and containerd, all on one
machine.
"""


def write_section(page: Path, name: str, text: str) -> None:
    """Put `text` in place of the section `name`, or behind the others where there is none."""
    before = page.read_text() if page.exists() else _HEAD
    page.write_text(with_section(before, name, text))


def with_section(page: str, name: str, text: str) -> str:
    """The page with this section; the rest stays to the byte."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    section = f"{begin}{text.strip()}\n{end}"
    found = re.search(f"{re.escape(begin)}.*?{re.escape(end)}", page, re.DOTALL)
    if found is None:
        return f"{page.rstrip()}\n\n{section}"
    return page[: found.start()] + section + page[found.end() :]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown: the first column is words, the others are figures."""
    line = " | ".join(["---"] + ["---:"] * (len(head) - 1))
    return "\n".join([f"| {' | '.join(head)} |", f"| {line} |", *(f"| {' | '.join(row)} |" for row in rows)])


class Surroundings:
    """What else the machine did meanwhile: share of its processors that was in use, load averages."""

    def __init__(self) -> None:
        self._before = _idle_and_all()

    def text(self) -> str:
        """One sentence, as of now."""
        idle, total = (after - before for before, after in zip(self._before, _idle_and_all(), strict=True))
        busy = 100 * (1 - idle / total) if total else 0.0
        load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
        return (
            f"Measured {time.strftime('%Y-%m-%d %H:%M')} UTC on {os.cpu_count()} cores (Linux {platform.release()}, "
            f"Python {platform.python_version()}); all processors together were {busy:.0f} % busy during the run, "
            f"the load averages at its end {load}."
        )


def _idle_and_all() -> tuple[int, int]:
    """Ticks since boot in which processors had nothing to do (waiting for disks included), and all of them."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)
