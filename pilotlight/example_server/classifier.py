"""The example's classifier: a linear one with fixed weights, computed for real, so that a wrong answer can be seen.

Two clients that send the same numbers get the same scores, whichever replica answers; a load generator checks every
answer against `classify` and so notices one that was cut, mixed up or made up on the way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

FEATURES = 4
CLASSES = ("low", "medium", "high")
# Chosen by hand to tell small, middling and large inputs apart; nothing was trained.
_WEIGHTS = ((-0.5, -0.25, -0.75, -1.0), (0.125, 0.25, 0.0625, 0.125), (0.5, 0.25, 0.75, 1.0))
_BIASES = (1.0, 0.5, -1.0)
_LARGEST = 3.4028234663852886e38  # FP32
_MOST_ROWS = 4096


class InvalidTensorError(ValueError):
    """An input tensor is not what the model takes: says what is wrong and what is allowed."""


@dataclass(frozen=True, slots=True)
class Classified:
    """Scores of each row (one per class) and the index of its highest."""

    scores: tuple[tuple[float, ...], ...]
    labels: tuple[int, ...]


def classify(rows: Sequence[Sequence[float]]) -> Classified:
    """Score each row of FEATURES numbers against each class."""
    scores = tuple(
        tuple(
            sum(weight * value for weight, value in zip(weights, row, strict=True)) + bias
            for weights, bias in zip(_WEIGHTS, _BIASES, strict=True)
        )
        for row in rows
    )
    return Classified(scores=scores, labels=tuple(max(range(len(CLASSES)), key=row.__getitem__) for row in scores))


def read_rows(tensor: object) -> list[list[float]]:
    """The rows of an OIP input tensor (`shape` [n, FEATURES], FP32, `data` flat or nested).

    Raises InvalidTensorError naming the field.
    """
    if not isinstance(tensor, dict):
        raise InvalidTensorError(f"an input must be an object, not {type(tensor).__name__}")
    if not isinstance(tensor.get("name"), str) or not tensor["name"]:
        raise InvalidTensorError("an input needs a `name`")
    if tensor.get("datatype") != "FP32":
        raise InvalidTensorError(f"input `datatype` must be FP32, not {tensor.get('datatype')!r:.40}")
    count = _count_of_rows(tensor.get("shape"))
    flat = _flat(tensor.get("data"))
    if len(flat) != count * FEATURES:
        raise InvalidTensorError(f"input `data` has {len(flat)} numbers where shape [{count}, {FEATURES}] has others")
    return [flat[start : start + FEATURES] for start in range(0, len(flat), FEATURES)]


def _count_of_rows(shape: object) -> int:
    if not isinstance(shape, list) or any(isinstance(size, bool) or not isinstance(size, int) for size in shape):
        raise InvalidTensorError("input `shape` must be a list of whole numbers")
    if len(shape) != 2 or shape[1] != FEATURES or not 1 <= shape[0] <= _MOST_ROWS:
        raise InvalidTensorError(f"input `shape` must be [1..{_MOST_ROWS}, {FEATURES}], not {shape!r:.80}")
    return int(shape[0])


def _flat(data: object) -> list[float]:
    """OIP allows a tensor's data flat or nested in its shape; two dimensions are all this model has."""
    if not isinstance(data, list):
        raise InvalidTensorError("input `data` must be a list")
    flat = []
    for entry in data:
        for value in entry if isinstance(entry, list) else (entry,):
            if isinstance(value, bool) or not isinstance(value, int | float) or not -_LARGEST <= value <= _LARGEST:
                raise InvalidTensorError(f"input `data` must hold FP32 numbers, not {value!r:.40}")
            flat.append(float(value))
    if not all(map(math.isfinite, flat)):
        raise InvalidTensorError("input `data` must be finite")
    return flat
