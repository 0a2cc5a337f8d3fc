"""What a node's disk has before its first boot: images, imported once and then shared by all nodes and all runs.

An import unpacks some hundred megabytes; done by each node of each run, it is what one waits for. So one containerd
imports into a directory of the cache, and a node begins with hard links to it. That is safe because what is linked is
never written: image contents are named by their checksums, and a container's file system keeps its changes apart. The
databases, which are written, are copied. In the same way the disk with one image more begins as the one without it; so
images that seldom change are to be named first.
"""

import hashlib
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.cache import cache_root, forget_old, made
from tests.cluster.processes import ClusterError, spawn, wait_until

_KEPT = 6  # disks; one is made for each change of the product's image, and one for each image before it
_CONFIGURATION = """version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri"]
root = "{directory}/containerd"
state = "{directory}/state"
[grpc]
  address = "{directory}/containerd.sock"
"""


def disk_with(images: Sequence[Path], run: Path) -> Path:
    """A containerd root with these docker-archives imported, by processes of the cluster `run`."""
    before = disk_with(images[:-1], run) if images[:-1] else None
    # An archive is renamed to its place, so another one is another inode; its time only tells when it was last used.
    key = "".join(f"{image} {image.stat().st_size} {image.stat().st_ino}\n" for image in images)
    (cache_root() / "disks").mkdir(exist_ok=True)
    name = f"disks/{hashlib.sha256(key.encode()).hexdigest()[:16]}"

    def make(directory: Path) -> None:
        if before is not None:
            copy_disk(before, directory / "containerd")
        _import(images[-1], directory, run)

    disk = made(name, make)
    os.utime(disk)
    forget_old((path for path in disk.parent.iterdir() if path.is_dir() and not path.suffix), _KEPT)
    return disk / "containerd"


def copy_disk(disk: Path, to: Path) -> None:
    """Give a node its own disk."""
    subprocess.run(["cp", "--archive", "--link", str(disk), str(to)], check=True)
    for database in to.rglob("*.db"):
        content = database.read_bytes()
        database.unlink()
        database.write_bytes(content)


def _import_image(containerd: Path, archive: Path) -> None:
    """Let the containerd that listens on this socket import a docker-archive."""
    command = ["ctr", "-a", str(containerd), "-n", "k8s.io", "images", "import", str(archive)]
    loaded = subprocess.run(command, capture_output=True, text=True, check=False)
    if loaded.returncode:
        raise ClusterError(f"{archive} cannot be imported: {loaded.stderr}")


def answers(containerd: Path) -> bool:
    """Whether a containerd listens on this socket."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(containerd))
        except OSError:
            return False
    return True


def _import(image: Path, directory: Path, run: Path) -> None:
    configuration, log = directory / "containerd.toml", directory / "containerd.log"
    configuration.write_text(_CONFIGURATION.format(directory=directory))
    start = f"mount -t tmpfs disk /run/containerd; exec containerd --config {configuration}"
    process = spawn(run, ["unshare", "--mount", "sh", "-e", "-c", start], log)
    try:
        wait_until(lambda: answers(directory / "containerd.sock"), "containerd", 30, log)
        _import_image(directory / "containerd.sock", image)
    finally:
        process.terminate()  # it closes its databases
        process.wait(timeout=30)
    shutil.rmtree(directory / "state", ignore_errors=True)
