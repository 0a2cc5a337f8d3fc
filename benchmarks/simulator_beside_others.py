"""The table "How Pilotlight does beside others" of docs/simulate.md: defaults of each on eight loads, as Markdown.

    python -m benchmarks.simulator_beside_others TRACES_DIR [--seeds N] [--policy NAME …] [--set KEY=VALUE …]

Each row is one run of `pilotlight simulate`, which is printed before the table. TRACES_DIR holds converted public
traces by their usual names (azure_llm_2023_conv.requests.csv.gz …); one that is missing is left out, and said. In bold
is what nobody else in the row beats: nobody costs less and serves more. `--policy` takes other columns than the page's,
`--set` other settings of Pilotlight: what a default would have to be better than.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
POLICIES = ("pilotlight", "kpa", "keda", "apa", "keep-alive")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `trace` is a file of TRACES_DIR, or with a slash in it one of the repository."""

    said: str
    trace: str
    profile: str
    slo: str = "ttft=2s"
    seeds: int = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """What one policy came to: mean over the seeds."""

    gpu_hours: float
    in_time: float


ROWS = (
    Row("`examples/traces/chat.csv.gz`, `llm-8b-nvme`", "examples/traces/chat.csv.gz", "llm-8b-nvme"),
    Row("the same, `llm-70b`", "examples/traces/chat.csv.gz", "llm-70b"),
    Row("Azure LLM 2023, conversations, `llm-8b-nvme`", "azure_llm_2023_conv.requests.csv.gz", "llm-8b-nvme"),
    Row("the same, `llm-70b`", "azure_llm_2023_conv.requests.csv.gz", "llm-70b"),
    Row("the load of AIBrix's own runs, `llm-8b-nvme`", "aibrix_25min_workload.requests.csv.gz", "llm-8b-nvme"),
    Row("Mooncake, conversations, `llm-8b-nvme`", "mooncake_conversation.requests.csv.gz", "llm-8b-nvme", "ttft=10s"),
    Row("the same, `llm-70b`", "mooncake_conversation.requests.csv.gz", "llm-70b", "ttft=10s"),
    Row(
        "`examples/traces/image-models.csv.gz`, `diffusion`",
        "examples/traces/image-models.csv.gz",
        "diffusion",
        "latency=2m",
        seeds=2,
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", type=Path, metavar="TRACES_DIR")
    parser.add_argument("--seeds", type=int, metavar="N", help="in every row (5; image models: 2)")
    parser.add_argument("--policy", action="append", metavar="POLICY", help=f"a column ({', '.join(POLICIES)})")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    policies = tuple(given.policy or POLICIES)
    lines = [_line(("trace, profile", *(f"`{policy}`" for policy in policies))), _line(["---"] * (1 + len(policies)))]
    for row in ROWS:
        path = REPOSITORY / row.trace if "/" in row.trace else given.traces / row.trace
        if not path.exists():
            print(f"{path}: not there", flush=True)
            continue
        command = _command(row, path, policies, given.seeds or row.seeds, given.settings)
        print(f"pilotlight {shlex.join(command)}", flush=True)
        lines.append(_line((row.said, *_shown(_cells(command, policies)))))
    print("\n" + "\n".join(lines))


def _command(row: Row, path: Path, policies: Sequence[str], seeds: int, settings: Sequence[str]) -> list[str]:
    chosen = [word for policy in policies for word in ("--policy", policy)]
    more = [word for setting in settings for word in ("--set", setting)]
    return [
        "simulate", str(path), "--profile", row.profile, "--slo", row.slo, *chosen, *more, "--seeds", str(seeds),
        "--json", "-",
    ]  # fmt: skip


def _cells(command: Sequence[str], policies: Sequence[str]) -> list[Cell]:
    finished = subprocess.run(
        [sys.executable, "-m", "pilotlight.entry", *command], stdout=subprocess.PIPE, text=True, check=True
    )
    of = {each["policy"]: each["figures"] for each in json.loads(finished.stdout)["traces"][0]["policies"]}
    return [Cell(of[policy]["gpu_hours"]["mean"], of[policy]["attainment"]["mean"]) for policy in policies]


def _shown(cells: Sequence[Cell]) -> Iterator[str]:
    for cell in cells:
        hours = f"{cell.gpu_hours:.0f}" if cell.gpu_hours >= 99.95 else f"{cell.gpu_hours:#.3g}"
        hours = hours if cell.gpu_hours >= 1.0 else f"{cell.gpu_hours:.2f}"
        text = f"{hours}, {_percent(cell.in_time)}"
        yield text if any(_beats(other, cell) for other in cells) else f"**{text}**"


def _beats(other: Cell, cell: Cell) -> bool:
    """No worse in both, and better in one."""
    no_worse = other.gpu_hours <= cell.gpu_hours and other.in_time >= cell.in_time
    return no_worse and other != cell


def _percent(share: float) -> str:
    """One place; as many as it takes to tell it from all."""
    if share == 1.0:
        return "100 %"
    return next(text for places in range(1, 9) if not (text := f"{100.0 * share:.{places}f} %").startswith("100"))


def _line(fields: Sequence[str]) -> str:
    return f"| {' | '.join(fields)} |"


if __name__ == "__main__":
    main()
