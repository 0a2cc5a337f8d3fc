"""Images without a registry: built by buildah from a Debian that debootstrap has made, kept as docker-archives."""

import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.cache import cache_root, made
from tests.cluster.configuration import PAUSE_IMAGE
from tests.cluster.processes import ClusterError


def pause_image() -> Path:
    """The image that each pod needs for its network: a program that sleeps. Also a shell for a container to run."""

    def make(directory: Path) -> None:
        root = directory / "root"
        (root / "bin").mkdir(parents=True)
        shutil.copy2(shutil.which("busybox") or "/bin/busybox", root / "bin" / "busybox")
        for applet in ("sh", "sleep", "cat", "echo", "true", "false", "touch"):
            (root / "bin" / applet).symlink_to("busybox")
        container = buildah("from", "scratch")
        buildah("add", "--quiet", container, str(root), "/")
        buildah("config", "--entrypoint", '["/bin/sleep", "infinity"]', "--user", "65535:65535", container)
        buildah("commit", "--quiet", "--rm", container, PAUSE_IMAGE)
        shutil.rmtree(root)
        archive(PAUSE_IMAGE, directory / "pause.tar")

    return made("pause-1", make) / "pause.tar"


def archive(image: str, path: Path) -> None:
    """Write an image to a docker-archive, under its name."""
    buildah("push", "--quiet", image, f"docker-archive:{path}:{image}")


def name_also(path: Path, names: Sequence[str]) -> None:
    """Give the image in a docker-archive more names."""
    renamed = path.with_suffix(".renamed")
    with tarfile.open(path) as old, tarfile.open(renamed, "w") as new:
        for member in old:
            content = old.extractfile(member) if member.isfile() else None
            if member.name == "manifest.json" and content is not None:
                manifest = json.loads(content.read())
                manifest[0]["RepoTags"] += names
                data = json.dumps(manifest).encode()
                member.size = len(data)
                content = io.BytesIO(data)
            new.addfile(member, content)
    renamed.rename(path)


def buildah(*arguments: str, cwd: Path | None = None) -> str:
    """What `buildah` prints. Its storage is the cache's, not that of whoever uses buildah on this machine."""
    storage = cache_root() / "buildah"
    options: Sequence[str] = (
        f"--root={storage}/root",
        f"--runroot={storage}/run",
        "--storage-driver=overlay",
    )
    # unshare: its mounts end with it, however it ends.
    # chroot: a build needs no namespaces of its own, which not every machine allows.
    environment = os.environ | {"BUILDAH_ISOLATION": "chroot"}
    done = subprocess.run(
        ["unshare", "--mount", "buildah", *options, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=cwd,
        check=False,
    )
    if done.returncode:
        raise ClusterError(f"buildah {' '.join(arguments)}: {done.stderr[-3000:]}")
    return done.stdout.strip()
