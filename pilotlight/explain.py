"""`pilotlight explain`: why a service has the replicas it has, in words, from what the controller says."""

from __future__ import annotations

import json
import time

from pilotlight.controller_api import Controller, explanation_of, parse
from pilotlight.explanation import INDENT, explanation_lines, gist
from pilotlight.terminal import folded, terminal_size, write_data

_WATCH_SECONDS = 1.0
_CLEAR = "\x1b[H\x1b[2J"


def run_explain(controller: Controller, service: str, *, last: int, watch: bool, as_json: bool) -> int:
    """Print the explanation once, or with `watch` until Ctrl-C, then status 0. Raises CommandError."""
    if not watch:
        _print(explanation_of(controller, service, last), as_json=as_json, clear=False)
        return 0
    try:
        _watch(controller, service, last, as_json)
    except KeyboardInterrupt:
        pass  # how watching ends
    return 0


def _watch(controller: Controller, service: str, last: int, as_json: bool) -> None:
    """At a terminal the screen shows the present; elsewhere there is one more text whenever something has changed."""
    clear = terminal_size() is not None and not as_json
    shown: object = None
    while True:
        answer = explanation_of(controller, service, last)
        now = gist(parse(answer))
        if clear or now != shown:
            _print(answer, as_json=as_json, clear=clear, on_one_line=True)
            shown = now
        time.sleep(_WATCH_SECONDS)


def _print(answer: bytes, *, as_json: bool, clear: bool, on_one_line: bool = False) -> None:
    if as_json:
        indent = None if on_one_line else 2
        write_data(json.dumps(json.loads(answer), indent=indent, ensure_ascii=False))
        return
    lines, size = explanation_lines(parse(answer)), terminal_size()
    if size is not None:
        columns, rows = size
        lines = folded(lines, columns, len(INDENT) + 2)
        # What does not fit would scroll the beginning away, which matters more.
        lines = [*lines[: rows - 3], "…"] if clear and len(lines) > rows - 2 else lines
    print((_CLEAR if clear else "") + "\n".join(lines) + "\n", flush=True)
