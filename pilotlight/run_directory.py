"""The run directory: private sockets, logs, and nothing that anybody else on the machine may read."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

from pilotlight.errors import CommandError

# A unix socket's path has 107 bytes at most; this leaves room for the longest name in the directory.
_LONGEST_PATH = 107 - len("/control.sock")


def make_run_directory(logs: Path | None) -> Path:
    """A new directory of mode 0700 in XDG_RUNTIME_DIR, else in the temporary directory; it goes when the run ends.

    `logs` is where the user wants logs to stay; then `logs` in the run directory leads there. Raises CommandError.
    """
    try:
        directory = Path(tempfile.mkdtemp(prefix="pilotlight-", dir=_parent()))
    except OSError as error:
        raise CommandError(f"cannot make a run directory: {error.strerror} ({error.filename})") from error
    try:
        if logs is not None:
            (directory / "logs").symlink_to(_own_directory(logs.absolute()), target_is_directory=True)
        else:
            (directory / "logs").mkdir(mode=0o700)
        if len(os.fsencode(directory)) > _LONGEST_PATH:
            raise CommandError(f"{directory} is too long for a socket in it; set TMPDIR to a shorter path")
    except CommandError:
        remove_run_directory(directory)
        raise
    return directory


def remove_run_directory(directory: Path) -> None:
    """Delete it; a place that the user named for logs is only let go of."""
    shutil.rmtree(directory, ignore_errors=True)


def _parent() -> str:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if Path(runtime).is_absolute() and os.access(runtime, os.W_OK | os.X_OK):
        return runtime
    return tempfile.gettempdir()


def _own_directory(path: Path) -> Path:
    """`path` as a directory that only its owner, who must be us, can read. Raises CommandError."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except FileExistsError:
        raise CommandError(f"--logs {path}: is not a directory") from None
    except OSError as error:
        raise CommandError(f"--logs {path}: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise CommandError(f"--logs {path}: must be a directory of your own")
    return path
