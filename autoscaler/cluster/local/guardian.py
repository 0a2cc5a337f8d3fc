"""The guardian: kills what a run has left when the process that owns the run is gone, however it went.

`up` cannot clean up after its own SIGKILL. The kernel kills its direct children then (PR_SET_PDEATHSIG), but not
theirs. The guardian holds the reading end of a pipe whose only writing end is in `up`; when that end closes, it kills
every process of the run and removes the run directory. After an orderly end it does the same and finds nothing.

It is started for every run and must be ready at once, so it imports next to nothing. Lines on the pipe:

    session 4711     a session leader was started
    forget 4711      that session is empty
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from contextlib import suppress

from autoscaler.cluster.local.procfs import RUN_VARIABLE, find_members, kill_members

RUN_FILE = "run-id"


def main(arguments: list[str]) -> int:
    """Wait for the owner's end, then clean up. Arguments: run id, run directory."""
    run, directory = arguments
    # Ctrl-C at a terminal, or a service manager's SIGTERM to all, is for `up`: we go when it has gone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with suppress(BrokenPipeError):  # The owner may be gone before it heard it; what it left is cleaned up.
        os.write(1, b"ready\n")
    sessions: set[int] = set()
    for line in sys.stdin:
        order, _, number = line.strip().partition(" ")
        if order == "session":
            sessions.add(int(number))
        elif order == "forget":
            sessions.discard(int(number))
    mark = f"{RUN_VARIABLE}={run}"
    left = kill_members(lambda: find_members((mark,), sessions))
    remove_run_directory(directory, run)
    return 1 if left else 0


def remove_run_directory(directory: str, run: str) -> None:
    """Remove the run directory, provided that it says itself that it is this run's."""
    try:
        with open(os.path.join(directory, RUN_FILE), encoding="ascii") as file:  # noqa: PTH118, PTH123
            if file.read().strip() != run:
                return
    except OSError:
        return
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
