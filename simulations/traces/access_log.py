"""Access logs of web servers, in common or combined format."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from simulations.traces.lines import Columns, LineError, LineFormat, LineRequest, each_once
from simulations.traces.options import Format
from simulations.traces.source import Source

# From the time on. What stands before it is split at blanks: as one expression it would be tried in many ways.
_ACCESS = re.compile(
    r'(?P<time>[^\]]{20,32})\] "[^"\\]*(?:\\.[^"\\]*)*" (?P<status>\d{3}) (?:\d+|-)(?P<rest>.*)', re.DOTALL
)
_NUMBER = r"\d{1,15}(?:\.\d{1,9})?"
_REQUEST_TIME = re.compile(rf'(?:^|\s)(?:"(?P<quoted>{_NUMBER})"|(?:[a-z_]{{1,32}}=)?(?P<bare>{_NUMBER}))\s*$')


# The same for lines without escapes in which no host, agent or number can be taken for something else, in bytes.
# Nothing in it is tried in two ways, which would take longer.
_USUAL = re.compile(
    rb'([^ \n"\[\\-][^ \n"\[]*+ (?!- ))?+[^ \n"\[-][^ \n"\[]*+ - [^ \n"\[]++ '
    rb'\[(.{26})\] "[^"\n\\]*+" \d\d\d (?:\d++|-)'
    rb'(?: "[^"\n\\]*+" "(?!\d)[^"\n\\]*+")?+(?: (?:(\d{1,15}+\.\d{1,9}+)|(\d{1,15}+)))?+\r?+\n|[^\n]*+\n'
)


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


def _columns(found: Sequence[Sequence[bytes | None]]) -> Columns:
    hosts, times, fractions, microseconds = found
    moments = each_once(lambda text: _moment(text.decode(errors="replace")), times)
    took = each_once(float, fractions)
    return Columns(
        moments - np.nan_to_num(took),
        [(host or b"")[:-1] for host in hosts] if any(hosts) else None,
        seconds=np.where(np.isnan(took), each_once(lambda text: int(text) / 1e6, microseconds), took),
    )


def recognise(source: Source) -> bool:
    """One of the first lines is a log line; a log may begin with one that is not."""
    return any(_ACCESS.match(line.partition(" [")[2]) for line in source.first_lines(5))


_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: at for at, name in enumerate(_MONTH_NAMES, 1)}
_TIME = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)")


def _moment(text: str) -> float:
    """Seconds since 1970; NaN for what is no such time."""
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


LINES = LineFormat("access-log", _USUAL, _columns, access_line, whole_seconds=True)
ACCESS_LOG = Format(
    "access-log",
    "access logs in common or combined format, with or without request time and host",
    recognise,
    LINES.open,
)
