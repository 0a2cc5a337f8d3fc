"""Interrupts: Ctrl-C ends a command whatever it is doing, with exit status 130 and no traceback.

Python raises KeyboardInterrupt wherever it happens to be. In a callback of the garbage collector, after a fork, or in
a bare `except:` while numba is imported, that is dropped, and the command goes on as if nobody had pressed anything.

Nothing happens where SIGINT is ignored, as it is in what a shell starts in the background.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

_INTERRUPTED = 130
# So long the exception is given to come through. Unwinding takes milliseconds.
_PATIENCE = 2.0

_came = False


def end_at_once() -> None:
    """While there is nothing to be undone, as during imports, Ctrl-C ends the process on the spot."""
    _on_ctrl_c(_end)


def unwind() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt; should that be dropped, the process ends all the same."""
    if _on_ctrl_c(_raise_or_end):
        signal.signal(signal.SIGALRM, _end)


def heard() -> int:
    """Ctrl-C has come through, and all is undone: returns the exit status."""
    global _came
    _came = False
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    end_at_once()
    return _INTERRUPTED


def came() -> bool:
    """Whether Ctrl-C was pressed since `unwind`: what is raised now may be what somebody made of it."""
    return _came


def as_usual() -> None:
    """From now on Ctrl-C does what Python has it do, for commands that handle it themselves."""
    _on_ctrl_c(signal.default_int_handler)


def _on_ctrl_c(handler: signal._HANDLER) -> bool:
    if signal.getsignal(signal.SIGINT) not in (signal.default_int_handler, _end, _raise_or_end):
        return False
    signal.signal(signal.SIGINT, handler)
    return True


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(_INTERRUPTED)


def _raise_or_end(number: int, frame: FrameType | None) -> None:
    global _came
    _came = True
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
    raise KeyboardInterrupt
