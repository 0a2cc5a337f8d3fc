"""Formats of one request a line that are no tables: Mooncake's JSON lines, and access logs of web servers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulations.traces.options import Format, OpenedTrace, ReadOptions, input_digest
from simulations.traces.randomness import stream
from simulations.traces.rows import Services, stored_trace
from simulations.traces.source import BadRows, Source
from simulations.traces.spool import Spool
from simulations.traces.trace import MOST_TOKENS, NOT_RECORDED, Requests

_BATCH_ROWS = 32_768
_MOST_SECONDS = 1e10


@dataclass(frozen=True, slots=True)
class LineRequest:
    """One line read. `service` is the name as it stands there, b"" for the file's own."""

    arrival: float
    service: bytes = b""
    input_tokens: int = NOT_RECORDED
    output_tokens: int = NOT_RECORDED
    seconds: float = math.nan


class LineError(ValueError):
    """A line is not of the format: says what is wrong and what is allowed."""


def mooncake_line(text: str) -> LineRequest:
    """{"timestamp": milliseconds, "input_length": n, "output_length": n, "hash_ids": [...]}. Raises LineError."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LineError(f"not JSON: {error}"[:200]) from None
    if not isinstance(body, dict):
        raise LineError("a JSON object is needed")
    return LineRequest(
        arrival=_number(body.get("timestamp"), "timestamp", _MOST_SECONDS) / 1000.0,
        input_tokens=int(_number(body.get("input_length"), "input_length", MOST_TOKENS)),
        output_tokens=int(_number(body.get("output_length"), "output_length", MOST_TOKENS)),
    )


# From the time on. What stands before it is split at blanks: as one expression it would be tried in many ways.
_ACCESS = re.compile(
    r'(?P<time>[^\]]{20,32})\] "[^"\\]*(?:\\.[^"\\]*)*" (?P<status>\d{3}) (?:\d+|-)(?P<rest>.*)', re.DOTALL
)
_NUMBER = r"\d{1,15}(?:\.\d{1,9})?"
_REQUEST_TIME = re.compile(rf'(?:^|\s)(?:"(?P<quoted>{_NUMBER})"|(?:[a-z_]{{1,32}}=)?(?P<bare>{_NUMBER}))\s*$')


def access_line(text: str) -> LineRequest:
    """One request of a log in common or combined format, arrival in seconds since 1970. Raises LineError.

    A number at the end of the line is the request's time: with a point it is seconds, as nginx writes
    $request_time, and the line's time is then the end of the request; without one it is microseconds, as Apache
    writes %D, whose line's time is the beginning. A host in front of the client's address (vhost_combined) is the
    service.
    """
    who, _, request = text.partition(" [")
    match, parts = _ACCESS.match(request), who.split(" ", 4)
    if match is None or not 3 <= len(parts) <= 5:
        raise LineError('not an access log line: CLIENT - USER [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 2326')
    # HOST CLIENT - USER; a user's name may have blanks in it, but what comes before it is "-" in practice.
    host = parts[0] if len(parts) >= 4 and parts[1] != "-" and parts[2] == "-" else ""
    moment = _moment(match["time"])
    if math.isnan(moment):
        raise LineError(f"the time is {match['time']!r:.60}; one like 10/Oct/2000:13:55:36 +0000 is needed")
    took = _REQUEST_TIME.search(match["rest"])
    said = "" if took is None else took["quoted"] or took["bare"]
    seconds = math.nan
    if "." in said:
        seconds = float(said)
        moment -= seconds
    elif said:
        seconds = int(said) / 1e6
    return LineRequest(arrival=moment, service=host.encode(), seconds=seconds)


def recognise_mooncake(source: Source) -> bool:
    """The first line is an object with a timestamp and an input length."""
    first = "".join(source.first_lines(1)).lstrip()
    return first.startswith("{") and '"timestamp"' in first and '"input_length"' in first


def recognise_access_log(source: Source) -> bool:
    """One of the first lines is a log line; a log may begin with one that is not."""
    return any(_ACCESS.match(line.partition(" [")[2]) for line in source.first_lines(5))


def read_lines(
    source: Source, options: ReadOptions, form: str, parse: Callable[[str], LineRequest], *, whole_seconds: bool
) -> OpenedTrace:
    """Read a file line by line. Raises TraceError.

    With `whole_seconds` the format knows no finer times: requests are then spread over their second, each by a draw
    of its own, because a hundred at one instant would be a burst that never was.
    """
    bad = BadRows(str(source.path), options.skip_bad)
    services, spool = Services(bad), Spool(str(source.path))
    for batch, (requests, lines) in enumerate(_batches(source, parse, bad)):
        rows = _columns(requests, lines, services, source)
        if whole_seconds:
            spread = stream(options.seed, "within the second", batch).random(len(rows))
            rows = Requests(rows.arrival + spread, rows.service, rows.input_tokens, rows.output_tokens, rows.seconds)
        known = rows.service >= 0
        bad.good += int(known.sum())
        if bool(known.any()):
            spool.add(rows.take(known), lines[known])
    digest = input_digest({source.path.name: source.digest()}, options, drawn=whole_seconds)
    trace = stored_trace(source, tuple(services.names), spool.finish(), digest, rebase=True)
    return OpenedTrace(
        trace=trace,
        format=form,
        recognised=f"{source.path}: {form}, by its first lines",
        skipped=bad.count,
        first_bad=bad.first,
        remarks=("times are whole seconds: requests are spread over their second",) if whole_seconds else (),
    )


def _batches(
    source: Source, parse: Callable[[str], LineRequest], bad: BadRows
) -> Iterator[tuple[list[LineRequest], NDArray[np.int64]]]:
    requests: list[LineRequest] = []
    lines: list[int] = []
    for number, text in source.lines():
        try:
            requests.append(parse(text))
            lines.append(number)
        except LineError as error:
            bad.bad(number, str(error))
        if len(requests) == _BATCH_ROWS:
            yield requests, np.array(lines, np.int64)
            requests, lines = [], []
    if requests:
        yield requests, np.array(lines, np.int64)


def _columns(requests: list[LineRequest], lines: NDArray[np.int64], services: Services, source: Source) -> Requests:
    own = source.name.encode()
    return Requests(
        np.array([request.arrival for request in requests]),
        services.indexes([request.service or own for request in requests], lines, np.ones(len(lines), np.bool_)),
        np.array([request.input_tokens for request in requests], np.int32),
        np.array([request.output_tokens for request in requests], np.int32),
        np.array([request.seconds for request in requests]),
    )


def _number(value: object, what: str, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise LineError(f"{what} is {value!r:.60}; a number from 0 to {most:g} is needed")
    return float(value)


_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: at for at, name in enumerate(_MONTH_NAMES, 1)}
_TIME = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)")


@lru_cache(maxsize=1024)
def _moment(text: str) -> float:
    """Seconds since 1970; NaN for what is no such time. Lines of one second, or minute, come together."""
    match = _TIME.fullmatch(text)
    if match is None or match[2] not in _MONTHS:
        return math.nan
    day, month, year, hour, minute, second = (
        int(match[1]),
        _MONTHS[match[2]],
        int(match[3]),
        int(match[4]),
        int(match[5]),
        int(match[6]),
    )
    offset = timedelta(hours=int(match[8]), minutes=int(match[9])) * (-1 if match[7] == "-" else 1)
    try:
        return (
            datetime(year, month, day, hour, minute, min(second, 59)) - offset - datetime(1970, 1, 1)
        ).total_seconds()
    except (ValueError, OverflowError):
        return math.nan


def _open_mooncake(source: Source, options: ReadOptions) -> OpenedTrace:
    return read_lines(source, options, "mooncake", mooncake_line, whole_seconds=False)


def _open_access_log(source: Source, options: ReadOptions) -> OpenedTrace:
    return read_lines(source, options, "access-log", access_line, whole_seconds=True)


LINE_FORMATS = (
    Format("mooncake", "Mooncake's JSON lines, timestamp in milliseconds", recognise_mooncake, _open_mooncake),
    Format(
        "access-log",
        "access logs in common or combined format, with or without request time and host",
        recognise_access_log,
        _open_access_log,
    ),
)
