"""Mooncake's traces: JSON lines with a time in milliseconds, lengths, and the prefixes that requests share, which are
not used."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import numpy as np

from simulations.traces.lines import Columns, LineError, LineFormat, LineRequest
from simulations.traces.options import Format
from simulations.traces.source import Source
from simulations.traces.trace import MOST_TOKENS

_MOST_SECONDS = 1e10
# Numbers as JSON has them and within what is allowed, so that nothing has to be looked at twice.
_USUAL = re.compile(
    rb'(?:\{"timestamp": ?(0|[1-9]\d{0,8}), ?"input_length": ?(0|[1-9]\d{0,8}), ?"output_length": ?(0|[1-9]\d{0,8})'
    rb'(?:, ?"hash_ids": ?\[(?:(?:0|[1-9]\d*)(?:, ?(?:0|[1-9]\d*))*+)?\])?\}\r?\n|[^\n]*\n)'
)


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


def _columns(found: Sequence[tuple[bytes, ...]]) -> Columns:
    timestamps, inputs, outputs = zip(*found, strict=True)
    return Columns(
        np.array([float(text or b"nan") for text in timestamps]) / 1000.0,
        input_tokens=np.array([int(text or 0) for text in inputs], np.int32),
        output_tokens=np.array([int(text or 0) for text in outputs], np.int32),
    )


def recognise(source: Source) -> bool:
    """The first line is an object with a timestamp and an input length."""
    first = "".join(source.first_lines(1)).lstrip()
    return first.startswith("{") and '"timestamp"' in first and '"input_length"' in first


def _number(value: object, what: str, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise LineError(f"{what} is {value!r:.60}; a number from 0 to {most:g} is needed")
    return float(value)


LINES = LineFormat("mooncake", _USUAL, _columns, mooncake_line)
MOONCAKE = Format("mooncake", "Mooncake's JSON lines, timestamp in milliseconds", recognise, LINES.open)
