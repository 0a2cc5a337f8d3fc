"""Cgroups of the nodes: each kubelet gets one of its own, or two kubelets on one machine delete each other's pods.

Both layouts occur: one directory per controller (version 1), or one tree for all (version 2).
"""

from collections.abc import Iterator
from pathlib import Path

from tests.cluster.cache import cluster_name

_ROOT = Path("/sys/fs/cgroup")
_CONTROLLERS_OF_A_KUBELET = ("cpu", "cpuset", "memory", "pids")


def name(node: int) -> str:
    """The node's cgroup, as kubelet's `cgroupRoot` has it."""
    return f"/{_prefix()}{node}"


def make(node: int) -> None:
    """Make the node's cgroup in each hierarchy, with all processors and all memory nodes."""
    for hierarchy in _hierarchies():
        directory = hierarchy / name(node).lstrip("/")
        if (hierarchy / "cgroup.controllers").exists():
            offered = (hierarchy / "cgroup.controllers").read_text().split()
            wanted = [f"+{controller}" for controller in _CONTROLLERS_OF_A_KUBELET if controller in offered]
            if wanted:
                (hierarchy / "cgroup.subtree_control").write_text(" ".join(wanted))
        directory.mkdir(exist_ok=True)
        # In version 1 these are empty in a fresh cgroup, and no process can join it before they are not.
        for file in ("cpuset.cpus", "cpuset.mems"):
            if (directory / "cgroup.clone_children").exists() and (directory / file).exists():
                (directory / file).write_text((hierarchy / file).read_text())


def remove_all() -> bool:
    """Remove the cgroups of all nodes; False while processes that are still dying keep one."""
    removed = True
    for hierarchy in _hierarchies():
        for top in hierarchy.glob(f"{_prefix()}*"):
            below = sorted((path for path in top.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts))
            for directory in (*below, top):
                try:
                    directory.rmdir()
                except FileNotFoundError:
                    pass
                except OSError:
                    removed = False
    return removed


def left() -> list[Path]:
    """Cgroups of nodes that exist."""
    return [top for hierarchy in _hierarchies() for top in hierarchy.glob(f"{_prefix()}*")]


def _prefix() -> str:
    return f"pilotlight-{cluster_name()}-"


def _hierarchies() -> Iterator[Path]:
    if (_ROOT / "cgroup.procs").exists():
        yield _ROOT
    else:
        yield from (entry for entry in _ROOT.iterdir() if (entry / "cgroup.procs").exists())
