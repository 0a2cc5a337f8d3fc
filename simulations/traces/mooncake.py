"""Mooncake's traces: JSON lines with a time in milliseconds, lengths, and the prefixes that requests share, which are
not used."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from simulations.traces.lines import Columns, LineError, LineFormat, LineRequest
from simulations.traces.options import Format
from simulations.traces.source import Source
from simulations.traces.trace import MOST_TOKENS

_MOST_SECONDS = 1e10
# Numbers as JSON has them and within what is allowed, so that nothing has to be looked at twice. Prefixes are not used,
# and a list of them is long: whether each one is a number is not looked at.
_USUAL = re.compile(
    rb'\{"timestamp": ?+(?!0\d)(\d{1,9}+), ?+"input_length": ?+(?!0\d)(\d{1,9}+),'
    rb' ?+"output_length": ?+(?!0\d)(\d{1,9}+)'
    rb'(?:, ?+"hash_ids": ?+\[[\d, ]*+\])?+\}\r?+\n|[^\n]*+\n'
)


def mooncake_line(text: str) -> LineRequest:
    """{"timestamp": milliseconds, "input_length": n, "output_length": n, "hash_ids": [...]}. Raises LineError."""
    try:
        body = json.loads(text)
    except RecursionError:
        raise LineError("not JSON that can be read: it is nested too deeply") from None
    except ValueError as error:
        raise LineError(f"not JSON: {error}"[:200]) from None
    if not isinstance(body, dict):
        raise LineError("a JSON object is needed")
    return LineRequest(
        arrival=_number(body.get("timestamp"), "timestamp", _MOST_SECONDS) / 1000.0,
        input_tokens=int(_number(body.get("input_length"), "input_length", MOST_TOKENS)),
        output_tokens=int(_number(body.get("output_length"), "output_length", MOST_TOKENS)),
    )


def _columns(found: Sequence[Sequence[bytes | None]]) -> Columns:
    timestamps, inputs, outputs = map(_numbers, found)
    return Columns(
        np.where(timestamps < 0, np.nan, timestamps / 1000.0),
        input_tokens=inputs.astype(np.int32),
        output_tokens=outputs.astype(np.int32),
    )


def _numbers(texts: Sequence[bytes | None]) -> NDArray[np.int64]:
    """Whole numbers; −1 where the line is not as usual."""
    given = [text or b"-1" for text in texts] if None in texts else texts
    return np.fromstring(b" ".join(cast("Sequence[bytes]", given)), np.int64, sep=" ")


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
