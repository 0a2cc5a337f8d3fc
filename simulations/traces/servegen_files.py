"""ServeGen's files: as published, and as one table of rates with one of token quantiles."""

from __future__ import annotations

import ast
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulations.traces.options import Format, OpenedTrace, ReadOptions, input_digest
from simulations.traces.renewal import LEAST_CV, MOST_CV
from simulations.traces.rows import header_of
from simulations.traces.servegen import ClientRates, Lengths, RatesTrace, TokenLengths
from simulations.traces.source import BadRows, Source
from simulations.traces.trace import TraceError

_WIDTH = 600.0
_RATES_HEADER = ("client", "bin_start_s", "rate_rps", "iat_cv", "iat_family")
_CHUNK = re.compile(r"chunk-(\d{1,6})-trace\.csv(\.gz)?")
_CHUNK_LINE = re.compile(r"[\d.eE+]+,[\d.eE+-]+,[\d.eE+-]*,(Gamma|Weibull|Exponential|)\b")
_FAMILIES = {"G": False, "Gamma": False, "W": True, "Weibull": True, "Exponential": False, "": False}
_MOST_RATE = 1e6
_MOST_LENGTH = 1e12
_MOST_DATASET_BYTES = 256 << 20
_MOST_PENDING = 5_000_000


@dataclass(frozen=True, slots=True)
class _Entry:
    begin: float
    client: int
    rate: float
    cv: float
    weibull: bool


def recognise_rates(source: Source) -> bool:
    """A header with client, bin, rate and variation."""
    return tuple(header_of(source)[: len(_RATES_HEADER)]) == _RATES_HEADER


def recognise_chunk(source: Source) -> bool:
    """chunk-N-trace.csv: no header, six fields, a family in the fourth."""
    first = source.first_lines(1)
    return _CHUNK.fullmatch(source.path.name) is not None and bool(first) and bool(_CHUNK_LINE.match(first[0]))


def open_rates(source: Source, options: ReadOptions) -> OpenedTrace:
    """One table for all clients. Raises TraceError."""
    bad = BadRows(str(source.path), options.skip_bad)
    entries = list(_entries(source, bad, has_client=True, client=0))
    inputs = {source.path.name: source.digest()}
    named = options.tokens or source.path.with_name(
        source.path.name.replace(".client_rates_600s.", ".token_quantiles.")
    )
    lengths, remarks = TokenLengths({}, {}), ("no token lengths: give them with --tokens FILE",)
    if named != source.path and (named.exists() or options.tokens is not None):
        bad_lengths = BadRows(str(named), options.skip_bad)
        lengths, remarks = _quantiles(Source.open(named), bad_lengths), (f"token lengths from {named}",)
        bad.count, bad.first = bad.count + bad_lengths.count, bad.first or bad_lengths.first
        inputs[named.name] = Source.open(named).digest()
    model = source.name.removesuffix(".client_rates_600s")
    return _opened(source.path, "servegen-rates", model, entries, lengths, inputs, options, bad, remarks)


def open_directory(directory: Path, options: ReadOptions) -> OpenedTrace:
    """ServeGen's own files of one model. Raises TraceError."""
    found = sorted((int(match[1]), path) for path in directory.iterdir() if (match := _CHUNK.fullmatch(path.name)))
    if not found:
        raise TraceError(
            f"{directory}: no chunk-N-trace.csv in it; a directory must hold ServeGen's files of one model"
        )
    return _open_chunks(directory, found, options)


def _open_chunk(source: Source, options: ReadOptions) -> OpenedTrace:
    match = _CHUNK.fullmatch(source.path.name)
    return _open_chunks(source.path, [(int(match[1]) if match else 0, source.path)], options)


def _open_chunks(place: Path, found: list[tuple[int, Path]], options: ReadOptions) -> OpenedTrace:
    bad = BadRows(str(place), options.skip_bad)
    entries: list[_Entry] = []
    inputs: dict[str, str] = {}
    lengths = TokenLengths({}, {})
    for client, path in found:
        source = Source.open(path)
        bad.name = str(path)
        entries += _entries(source, bad, has_client=False, client=client)
        inputs[path.name] = source.digest()
        dataset = path.with_name(f"chunk-{client}-dataset.json")
        if dataset.exists():
            _read_dataset(dataset, client, lengths)
            inputs[dataset.name] = Source.open(dataset).digest()
    model = place.name if place.is_dir() else place.parent.name or "servegen"
    remarks = () if lengths.inputs else ("no token lengths: chunk-N-dataset.json is missing",)
    return _opened(place, "servegen", model, entries, lengths, inputs, options, bad, remarks)


def _opened(
    place: Path,
    form: str,
    model: str,
    entries: list[_Entry],
    lengths: TokenLengths,
    inputs: dict[str, str],
    options: ReadOptions,
    bad: BadRows,
    remarks: tuple[str, ...],
) -> OpenedTrace:
    entries.sort(key=lambda entry: (entry.begin, entry.client))
    if not entries:
        raise bad.nothing("rate")
    first = math.floor(entries[0].begin / _WIDTH) * _WIDTH
    rates = ClientRates(
        np.array([entry.begin - first for entry in entries]),
        np.array([entry.client for entry in entries], np.int32),
        np.array([entry.rate for entry in entries]),
        np.array([entry.cv for entry in entries]),
        np.array([entry.weibull for entry in entries], np.bool_),
    )
    bins = int((entries[-1].begin - first) // _WIDTH) + 1
    trace = RatesTrace(
        name=model,
        services=(model,),
        rates=rates,
        width=_WIDTH,
        bins=bins,
        lengths=_moved(lengths, first),
        seed=options.seed,
        origin=input_digest(inputs, options, drawn=False),
    )
    mean = float(rates.rate.sum()) / bins
    made = f"requests are made from rates, mean {mean:.4g}/s times load {options.load:g}, seed {options.seed}"
    clients = len(np.unique(rates.client))
    return OpenedTrace(
        trace=trace,
        format=form,
        recognised=f"{place}: ServeGen, rates of {clients} clients in bins of {_WIDTH:g} s",
        skipped=bad.count,
        first_bad=bad.first,
        remarks=(made, *remarks),
    )


def _entries(source: Source, bad: BadRows, *, has_client: bool, client: int) -> Iterator[_Entry]:
    for number, line in source.lines():
        if has_client and number == 1:
            continue
        fields = line.strip().split(",")
        try:
            own = _client(fields) if has_client else client
            entry = _entry(own, fields[1:] if has_client else fields)
        except _RowError as error:
            bad.bad(number, str(error))
            continue
        bad.good += 1
        if bad.good > _MOST_PENDING:
            raise TraceError(f"{source.path}:{number}: more than {_MOST_PENDING} rates")
        if entry.rate > 0:
            yield entry


class _RowError(ValueError):
    """A row is not of the format: says what is wrong and what is allowed."""


def _number(fields: Sequence[str], at: int, name: str, least: float = 0.0, most: float = 1e8) -> float:
    """A number of a row. Raises _RowError for what is none, and for a field that is not there."""
    if at >= len(fields):
        raise _RowError(f"the row ends before {name}")
    try:
        value = float(fields[at])
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise _RowError(f"{name} is {fields[at]!r:.40}; a number from {least:g} to {most:g} is needed")
    return value


def _client(fields: Sequence[str]) -> int:
    number = _number(fields, 0, "client", most=999_999)
    if number != int(number):
        raise _RowError(f"client is {fields[0]!r:.40}; a whole number is needed")
    return int(number)


def _entry(client: int, fields: list[str]) -> _Entry:
    """begin, rate, cv, family[, shape, scale]; raises _RowError. A cv that is left out is 1, Poisson."""
    begin = _number(fields, 0, "bin_start_s")
    if begin % _WIDTH:
        raise _RowError(f"a bin begins at a multiple of {_WIDTH:g} s, not at {begin:g}")
    rate = _number(fields, 1, "rate_rps", most=_MOST_RATE)
    cv = 1.0 if fields[2:3] == [""] else _number(fields, 2, "iat_cv", most=math.inf)
    if len(fields) < 4:
        raise _RowError("the row ends before iat_family")
    family = fields[3].strip()
    if family not in _FAMILIES:
        raise _RowError(f"iat_family is {family!r:.40}; there are {', '.join(filter(None, _FAMILIES))}")
    return _Entry(begin, client, rate, min(max(cv, LEAST_CV), MOST_CV), _FAMILIES[family])


def _quantiles(source: Source, bad: BadRows) -> TokenLengths:
    """client,window_start_s,field,mean,p1,…,p100; several kinds of input (text and image) add up by quantile."""
    header = header_of(source)
    at = {index: int(name[1:]) / 100 for index, name in enumerate(header) if re.fullmatch(r"p\d{1,3}", name)}
    if header[:3] != ["client", "window_start_s", "field"] or not at:
        raise TraceError(f"{source.path}:1: is not a file of token quantiles: client,window_start_s,field,mean,p1,…")
    found: dict[tuple[bool, int], dict[float, list[np.ndarray[tuple[int], np.dtype[np.float64]]]]]
    found = defaultdict(lambda: defaultdict(list))
    for number, line in source.lines():
        if number == 1:
            continue
        fields = line.strip().split(",")
        try:
            key = fields[2:3] == ["output_tokens"], _client(fields)
            begin = _number(fields, 1, "window_start_s")
            values = [_number(fields, index, header[index], -math.inf, _MOST_LENGTH) for index in at]
        except _RowError as error:
            bad.bad(number, str(error))
            continue
        bad.good += 1
        found[key][begin].append(np.maximum.accumulate(np.maximum(0.0, values)))
    places = np.array(list(at.values()))
    windows: dict[bool, dict[int, tuple[Lengths, ...]]] = {False: {}, True: {}}
    for (is_output, client), of_client in sorted(found.items()):
        windows[is_output][client] = tuple(
            Lengths(begin, places, np.sum(parts, axis=0)) for begin, parts in sorted(of_client.items())
        )
    return TokenLengths(windows[False], windows[True])


def _read_dataset(path: Path, client: int, lengths: TokenLengths) -> None:
    """{"WINDOW": {"input_tokens": "{length: probability, …}", "output_tokens": …}}. Raises TraceError."""
    try:
        body = json.loads(Source.open(path).everything(_MOST_DATASET_BYTES))
        windows = sorted((float(begin), fields) for begin, fields in body.items())
        for name, kept in (("input_tokens", lengths.inputs), ("output_tokens", lengths.outputs)):
            kept[client] = tuple(_histogram(begin, fields[name]) for begin, fields in windows if fields.get(name))
            if not kept[client]:
                del kept[client]
    except (ValueError, AttributeError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise TraceError(f"{path}: is not a ServeGen dataset: {error}"[:300]) from None


def _histogram(begin: float, text: object) -> Lengths:
    """Probabilities of lengths, as JSON or as the text of a Python dict, which is how they are published."""
    table = ast.literal_eval(text) if isinstance(text, str) else text
    if not isinstance(table, dict) or not table:
        raise ValueError("a table of lengths and probabilities is needed")
    pairs = sorted((float(length), float(share)) for length, share in table.items())
    shares = np.array([share for _, share in pairs])
    values = np.array([length for length, _ in pairs])
    if not np.all(np.isfinite(values)) or not np.all(shares >= 0) or not 0 < shares.sum() < math.inf:
        raise ValueError("lengths are finite, and probabilities not negative and not all zero")
    upper = np.cumsum(shares) / shares.sum()
    # Steps: each length holds from one probability to the next.
    at = np.column_stack((np.concatenate(([0.0], upper[:-1])), upper)).ravel()
    return Lengths(begin, at, np.repeat(values, 2))


def _moved(lengths: TokenLengths, first: float) -> TokenLengths:
    def moved(windows: dict[int, tuple[Lengths, ...]]) -> dict[int, tuple[Lengths, ...]]:
        return {
            client: tuple(Lengths(each.begin - first, each.at, each.values) for each in own)
            for client, own in windows.items()
        }

    return TokenLengths(moved(lengths.inputs), moved(lengths.outputs))


SERVEGEN_FORMATS = (
    Format(
        "servegen-rates",
        "ServeGen as one table, client,bin_start_s,rate_rps,iat_cv,iat_family",
        recognise_rates,
        open_rates,
    ),
    Format("servegen", "ServeGen's own files, a directory with chunk-N-trace.csv", recognise_chunk, _open_chunk),
)
