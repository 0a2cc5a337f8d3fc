"""One cluster of a name at a time, and nothing left of it: not after `down`, not after the test run was killed.

The run directory has one place and one lock, which the kernel releases when its holder dies. Besides, a small process
waits for the end of the run that brought the cluster up, on a pipe whose other end only that run holds, and then
removes what is left. Should both be killed, the next run removes it before it begins.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from tests.cluster import cgroups
from tests.cluster.cache import cache_root, cluster_name
from tests.cluster.node import SHARED_DIRECTORIES
from tests.cluster.processes import ClusterError, kill_all, wait_until

_REPOSITORY = Path(__file__).parents[2]
_KEEPER = "tests.cluster.lifetime"
_MADE_DIRECTORIES = "made-directories"  # in the run directory: those outside it that were not there before


def run_directory() -> Path:
    return cache_root() / f"cluster-{cluster_name()}"


class Lifetime:
    """Holds the lock and the run directory from construction to `end`.

    Raises ClusterError if after `patience` seconds another run still has them.
    """

    def __init__(self, patience: float = 15) -> None:
        self.run = run_directory()
        self._lock = _locked(patience)
        sweep(self.run)
        self.run.mkdir(mode=0o700)
        missing = [directory for directory in SHARED_DIRECTORIES if not Path(directory).exists()]
        (self.run / _MADE_DIRECTORIES).write_text("\n".join(missing))
        for directory in missing:
            Path(directory).mkdir(parents=True)
        # Without the run's mark: it must survive what it ends.
        self._keeper = subprocess.Popen(
            [sys.executable, "-m", _KEEPER, cluster_name()],
            stdin=subprocess.PIPE,
            cwd=_REPOSITORY,
            start_new_session=True,
        )

    def end(self) -> None:
        self._keeper.kill()
        self._keeper.wait()
        if self._keeper.stdin:
            self._keeper.stdin.close()
        sweep(self.run)
        self._lock.close()


def keepers() -> list[int]:
    """The processes that wait to remove the cluster of this name; there is one while it is up."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:  # gone meanwhile
                continue
            if command[1:4] == [b"-m", _KEEPER.encode(), cluster_name().encode()]:
                found.append(int(entry.name))
    return found


def sweep(run: Path) -> None:
    """End and remove whatever a cluster has left. Raises ClusterError if something does not go."""
    kill_all(run)
    wait_until(cgroups.remove_all, "the nodes' cgroups to be empty", timeout=10)
    made = run / _MADE_DIRECTORIES
    for directory in made.read_text().split() if made.exists() else ():
        try:
            Path(directory).rmdir()
        except OSError:  # somebody else has found a use for it, or it is gone
            pass
    if run.exists():
        shutil.rmtree(run)


def _locked(patience: float) -> IO[str]:
    """The lock's file. Raises ClusterError if its holder is still there after `patience` seconds."""
    file = run_directory().with_suffix(".lock").open("a+")
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                file.seek(0)
                holder = file.read().strip()
                file.close()
                raise ClusterError(
                    f"the cluster {cluster_name()!r} is up already, by process {holder}; "
                    "another name can be given by PILOTLIGHT_CLUSTER_NAME"
                ) from None
            time.sleep(0.1)
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _keep() -> None:
    """Wait for the end of standard input, that is of the run; then sweep, unless the next run is about to."""
    sys.stdin.buffer.read()
    try:
        lock = _locked(patience=5)  # a process that dies may close the pipe some time before the lock
    except ClusterError:
        return
    sweep(run_directory())
    lock.close()


if __name__ == "__main__":
    _keep()
