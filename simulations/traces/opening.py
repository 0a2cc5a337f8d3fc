"""Opening a trace of whatever format: by its name where the user gives one, else by what the file begins with.

What was recognised is said in a sentence, because a wrong guess that nobody sees is worse than none; and a file that
nothing recognises gets the list of what could have been.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from simulations.traces.access_log import ACCESS_LOG
from simulations.traces.count_formats import COUNT_FORMATS
from simulations.traces.mooncake import MOONCAKE
from simulations.traces.notation import GENERATORS, generate, is_generator
from simulations.traces.options import OpenedTrace, ReadOptions
from simulations.traces.recording import RECORDING
from simulations.traces.row_formats import ROW_FORMATS
from simulations.traces.servegen_files import SERVEGEN_FORMATS, open_directory
from simulations.traces.source import Source
from simulations.traces.trace import TraceError
from simulations.traces.transforms import scale_load

FORMATS = (*ROW_FORMATS, *COUNT_FORMATS, *SERVEGEN_FORMATS, RECORDING, MOONCAKE, ACCESS_LOG)

# Tables of the same collections that hold no requests; a user who takes the wrong one should be told so.
_NO_TRACES = {
    "function,avg_ms": "durations; they go with a file of counts, which is the trace",
    "function,trigger,avg_ms": "durations; they go with a file of counts, which is the trace",
    "HashOwner,HashApp,HashFunction,Average": "durations; they go with a file of counts, which is the trace",
    "client,window_start_s,field": "token lengths; they go with a file of rates, which is the trace",
    "t_s,running,pending,init": "pods of a measured run; they go with its measured requests",
    "minute,tokens_per_s": "tokens per second and not requests",
    "day,requests,tokens": "totals of days, too coarse to simulate",
    "service,role,gpus": "instances and not requests",
    "kind,t_s,value_ms": "samples of loading times and not requests",
}


def open_trace(path: Path, options: ReadOptions | None = None, form: str | None = None) -> OpenedTrace:
    """Open the trace at `path`; `form` names its format, None: find out. Raises TraceError."""
    options = options or ReadOptions()
    opened = _opened(path, options, form)
    return replace(opened, trace=scale_load(opened.trace, options.load, options.seed))


def _opened(path: Path, options: ReadOptions, form: str | None) -> OpenedTrace:
    known = {known.name: known for known in FORMATS}
    if form is not None and form not in known:
        raise TraceError(f"format {form!r:.60} is not known; there are {', '.join(known)}")
    if path.is_dir():
        if form not in (None, "servegen"):
            raise TraceError(f"{path}: is a directory, and format {form} is a file")
        return open_directory(path, options)
    source = Source.open(path)
    if form is not None:
        return known[form].open(source, options)
    for candidate in FORMATS:
        if candidate.recognise(source):
            return candidate.open(source, options)
    raise TraceError(_unknown(source))


def open_or_generate(text: str, options: ReadOptions | None = None, form: str | None = None) -> OpenedTrace:
    """What a command line calls a trace: a path, or a generator (see notation). Raises TraceError."""
    options = options or ReadOptions()
    if form is None and is_generator(text) and not Path(text).exists():
        trace = scale_load(generate(text, options.seed), options.load, options.seed)
        return OpenedTrace(trace, "generator", f"{text}: generated, seed {options.seed}")
    family = text.partition(":")[0]
    if ":" in text and not Path(text).exists() and not Path(text).parent.name:
        raise TraceError(f"{text}: no such file, and {family!r} is no generator; there are {', '.join(GENERATORS)}")
    return open_trace(Path(text), options, form)


def _unknown(source: Source) -> str:
    first = "".join(source.first_lines(1))
    for begin, what in _NO_TRACES.items():
        if first.startswith(begin):
            return f"{source.path}: holds {what}"
    if not first.strip():
        return f"{source.path}: begins with an empty line, or is empty; no format does"
    names = ", ".join(known.name for known in FORMATS)
    return f"{source.path}: no known format begins with {first[:80]!r}; name one of these with --format: {names}"
