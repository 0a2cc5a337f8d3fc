"""`pilotlight`, and somebody who presses Ctrl-C at a moment that is named.

    python -m tests.integration.simulate.interrupted_command MOMENT simulate TRACE…

Moments: `import MODULE`, as that module begins to be imported; `fork N`, within the N-th fork, where Python drops what
is raised; `answer`, as the first run is over.
"""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing.connection import Connection

from pilotlight import entry


def main() -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    moment, _, which = sys.argv.pop(1).partition(" ")
    match moment:
        case "import":
            sys.meta_path.insert(0, PressWhenImported(which))
        case "fork":
            forks = iter(range(int(which) - 1, -1, -1))
            os.register_at_fork(after_in_parent=lambda: press() if next(forks, None) == 0 else None)
        case _:
            press_before_an_answer()
    return entry.main()


def press(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGINT)


class PressWhenImported:
    """A finder that finds nothing."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, name: str, *_: object) -> None:
        if name == self._name:
            press()


def press_before_an_answer() -> None:
    """As the first run is over."""
    from simulations import workers

    answer = workers._answer

    def pressed(connection: Connection) -> object:
        press()
        return answer(connection)

    workers._answer = pressed  # type: ignore[assignment]


if __name__ == "__main__":
    sys.exit(main())
