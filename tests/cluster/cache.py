"""What is built once and kept outside the repository: compiled tools, wheels, base images.

Two runs may want the same thing at the same moment, and a run may die while it builds. So everything is made in a
directory beside its place and renamed when it is whole, under a lock for which the second builder waits.
"""

import fcntl
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_IN_USE_SECONDS = 180  # between being found in the cache and having been read


def cache_root() -> Path:
    """`$PILOTLIGHT_CACHE`, else /var/cache/pilotlight for root, else ~/.cache/pilotlight. Made if it is not there."""
    if named := os.environ.get("PILOTLIGHT_CACHE"):
        root = Path(named).absolute()
    elif os.geteuid() == 0:
        root = Path("/var/cache/pilotlight")
    else:
        root = Path.home() / ".cache" / "pilotlight"
    root.mkdir(parents=True, exist_ok=True)
    return root


def cluster_name() -> str:
    """Which cluster of this machine is meant: `$PILOTLIGHT_CLUSTER_NAME`, else "tests". Of each name there is one."""
    name = os.environ.get("PILOTLIGHT_CLUSTER_NAME", "tests")
    if not re.fullmatch("[a-z0-9]{1,12}", name):
        raise ValueError(f"PILOTLIGHT_CLUSTER_NAME: {name!r}; allowed are 1 to 12 of a-z and 0-9")
    return name


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the cache's lock `name`; waits for whoever has it. The kernel releases it when its holder dies."""
    with (cache_root() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def forget_old(paths: Iterable[Path], kept: int) -> None:
    """Remove all but the `kept` that were used last (by their modification time), and what may be in use right now."""
    newest_first = sorted(((_last_used(path), path) for path in paths), key=lambda found: -found[0])
    for used, path in newest_first[kept:]:
        if time.time() - used > _IN_USE_SECONDS:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _last_used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another run has just forgotten it
        return 0.0


def made(name: str, make: Callable[[Path], None], whole: Callable[[Path], bool] = Path.is_dir) -> Path:
    """The cache's directory `name`, filled by `make` where it is not `whole` already.

    `make` is given an empty directory; what it leaves there becomes visible at once or, if it raises, not at all.
    """
    place = cache_root() / name
    if whole(place):
        return place
    with locked(name):
        if whole(place):
            return place
        unfinished = place.with_name(f"{place.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)  # of a run that died while it built
        unfinished.mkdir()
        try:
            make(unfinished)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        shutil.rmtree(place, ignore_errors=True)
        unfinished.rename(place)
    return place
