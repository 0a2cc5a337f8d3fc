"""How fast traces are read and made, and that memory does not grow with them.

    python -m benchmarks.simulator_traces [--rows N]

Files of each format are made in a temporary directory. Opening reads the file once; reading is what each further run
over the trace costs; both in processor time. The largest memory is that of the process so far, so it shows that memory
is flat and not what each format takes.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import process_time

from benchmarks.peak_memory import peak_mib
from simulations.traces.notation import generate
from simulations.traces.opening import open_trace
from simulations.traces.trace import Trace

LINES: dict[str, tuple[str, Callable[[int], str]]] = {
    "requests": ("arrival_s\n", lambda n: f"{n * 0.013:.3f}\n"),
    "requests, all columns": (
        "arrival_s,service,seconds,input_tokens,output_tokens\n",
        lambda n: f"{n * 0.013:.3f},model-{n % 97},{n % 7 + 0.125},{n % 4096},{n % 512}\n",
    ),
    "azure-llm": (
        "TIMESTAMP,ContextTokens,GeneratedTokens\n",
        lambda n: (
            f"{datetime.fromtimestamp(1.7e9 + n * 0.013, UTC).isoformat(sep=' ', timespec='microseconds')},"
            f"{n % 4096},{n % 512}\n"
        ),
    ),
    "burstgpt": (
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n",
        lambda n: f"{n // 9},{'ChatGPT' if n % 3 else 'GPT-4'},{n % 4096},{n % 512},{n % 4608},Conversation log\n",
    ),
    "azure-functions-2021": (
        "app,func,end_timestamp,duration\n",
        lambda n: f"{n % 424 % 119:064x},{n % 424:064x},{n * 0.013:.6f},{n % 7 + 0.125}\n",
    ),
    "mooncake": (
        "",
        lambda n: (
            f'{{"timestamp": {n * 13}, "input_length": {n % 9999}, "output_length": 5, "hash_ids": [1, 2, {n}]}}\n'
        ),
    ),
    "access-log": (
        "",
        lambda n: (
            f'10.0.0.1 - - [10/Oct/2023:13:{n // 60_000 % 60:02d}:{n // 1000 % 60:02d} +0000] "GET / HTTP/1.1" 200 9 '
            f'"-" "curl/8" 0.{n % 1000:03d}\n'
        ),
    ),
}
GENERATED = ("poisson:rate=200,span=1d", "gamma:rate=200,cv=3,span=1d,services=20,seconds=lognormal(1,4)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    print(f"{'format':<24} {'rows':>10} {'open, M/s':>10} {'read, M/s':>10} {'MB so far':>10}")
    with tempfile.TemporaryDirectory() as directory:
        for name, (header, line) in LINES.items():
            path = Path(directory) / "trace"
            with path.open("w") as file:
                file.write(header)
                file.writelines(line(n) for n in range(rows))
            began = process_time()
            trace = open_trace(path).trace
            show(name, trace, process_time() - began)
    for text in GENERATED:
        show(text.partition(",")[0], generate(text), None)


def show(name: str, trace: Trace, opened: float | None) -> None:
    """One line of the table."""
    began = process_time()
    rows = sum(counts(trace))
    read = process_time() - began
    speed = "" if opened is None else f"{rows / opened / 1e6:.2f}"
    print(f"{name:<24} {rows:>10} {speed:>10} {rows / read / 1e6:>10.1f} {peak_mib():>10.0f}")


def counts(trace: Trace) -> Iterator[int]:
    """Rows of each chunk."""
    for chunk in trace.chunks():
        yield len(chunk)


if __name__ == "__main__":
    main()
