"""Answers of our own: small JSON bodies that say what happened and what to do about it."""

from __future__ import annotations

import json

from queue_proxy.http.contract import Answer


def error_answer(status: int, why: str, *, retry_after: int | None = None, close: bool = False) -> Answer:
    """An error in the shape of the Open Inference Protocol, `{"error": why}`, with `Retry-After` in seconds."""
    headers: tuple[tuple[bytes, bytes], ...] = ((b"content-type", b"application/json"),)
    if retry_after is not None:
        headers += ((b"retry-after", b"%d" % retry_after),)
    return Answer(status, headers, json.dumps({"error": why}).encode(), close)
