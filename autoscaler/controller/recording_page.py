"""The recording as a page of the API, so that a run in a cluster can be decided again on somebody's machine.

A recording may be as large as its disk, so it is read and sent in pieces, on a thread: decisions do not wait for it.
What is sent ends with the last whole line that was there when the request came.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

_PIECE = 1024 * 1024


async def send_recording(request: web.Request, path: Path, service: str) -> web.StreamResponse:
    """Send the lines of `service`, `namespace/name`; of all services when it is empty. Raises OSError before any."""
    file = await asyncio.to_thread(os.open, path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        response = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
        await response.prepare(request)
        async for lines in _lines(file, _mark(service)):
            await response.write(lines)
        await response.write_eof()
        return response
    finally:
        os.close(file)


async def _lines(file: int, mark: bytes) -> AsyncIterator[bytes]:
    size = os.fstat(file).st_size
    at, rest = 0, b""
    while at < size:
        piece = await asyncio.to_thread(os.pread, file, min(_PIECE, size - at), at)
        if not piece:
            return  # it was cut meanwhile: its disk is full
        at += len(piece)
        whole, newline, rest = (rest + piece).rpartition(b"\n")
        chosen = whole + newline if not mark else await asyncio.to_thread(_with, whole, mark)
        if chosen:
            yield chosen


def _with(lines: bytes, mark: bytes) -> bytes:
    return b"".join(line + b"\n" for line in lines.split(b"\n") if mark in line)


def _mark(service: str) -> bytes:
    """What stands in each line of a service and in no other: in a text, its quotes would have backslashes."""
    return f'"service":{json.dumps(service)}'.encode() if service else b""
