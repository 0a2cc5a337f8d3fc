"""The product's image, built from the project's own Dockerfile as a user's `docker build .` would build it.

Two things differ, as there may be neither a container registry nor, inside a build, a package index: the base is a
Debian made by debootstrap, with no compiled file as the official image of Python has none, and the dependencies come as
wheels, fetched outside with the hashes of the lock.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.cluster.cache import cache_root, forget_old, locked, made
from tests.cluster.images import archive, buildah, name_also
from tests.cluster.processes import ClusterError

IMAGE = "localhost/pilotlight:dev"
# As the manifests and the examples call it, so that tests apply those unchanged.
ALSO = ("pilotlight:0.1.0", "pilotlight/example-server:0.1.0")
_REPOSITORY = Path(__file__).parents[2]
_PACKAGES = ("queue_proxy", "activator", "admission", "autoscaler", "simulations", "pilotlight")
_LOCKS = ("requirements-image.lock", "requirements-compile.lock")
_FILES = ("Dockerfile", ".dockerignore", "pyproject.toml", "compiled.txt", "compile_packages.py", *_LOCKS)
_DEBIAN = "bookworm"
_BASE_PACKAGES = ("python3", "python3-venv", "ca-certificates")
_COMPILER_PACKAGES = (*_BASE_PACKAGES, "python3-dev", "gcc", "libc6-dev")
_BASE_PYTHON = "3.11"  # of that Debian
_BASE_WITHOUT = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "var/cache/apt", "var/lib/apt")
_BASE_NOT_COMPILED = "usr/lib/python3*/**/*.pyc"
_KEPT = 3  # archives of the image; one is written for each change of the code


def product_image() -> Path:
    """A docker-archive of IMAGE as the working tree has it; builds what has changed since the last one."""
    with tempfile.TemporaryDirectory(prefix="pilotlight-image-") as directory:
        context = Path(directory)
        _stage(context)
        base, compiler = base_image(), base_image(_COMPILER_PACKAGES)
        path = cache_root() / "images" / f"pilotlight-{_digest(context, base, compiler)}.tar"
        with locked("images"):
            if not path.exists():
                path.parent.mkdir(exist_ok=True)
                _build(context, base, compiler, path)
            path.touch()
            forget_old(path.parent.glob("pilotlight-*.tar"), _KEPT)
    return path


def base_image(packages: tuple[str, ...] = _BASE_PACKAGES) -> str:
    """The name of an image with these in buildah's storage; makes it (a minute) where it is not there."""
    recipe = f"{_DEBIAN} {packages} {_BASE_WITHOUT} {_BASE_NOT_COMPILED}"
    name = f"localhost/pilotlight-base:{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"
    with locked("base-image"):
        if name not in buildah("images", "--format", "{{.Name}}:{{.Tag}}").split():
            _make_base(name, packages)
    return name


def wheels(lock: Path = _REPOSITORY / "requirements-image.lock") -> Path:
    """A directory with the wheels of a lock for the base's Python."""

    def make(directory: Path) -> None:
        options = [
            "--quiet",
            "--require-hashes",
            "--only-binary=:all:",
            f"--python-version={_BASE_PYTHON}",
            "--no-deps",
        ]
        command = [sys.executable, "-m", "pip", "download", *options, f"--dest={directory}", f"--requirement={lock}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClusterError(f"the wheels of {lock.name} cannot be had: {done.stderr[-2000:]}")

    return made(f"wheels-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}", make)


def _stage(context: Path) -> None:
    """Lay out what .dockerignore lets through, so that what is hashed is exactly what is built."""
    for file in _FILES:
        shutil.copy2(_REPOSITORY / file, context / file)
    for package in _PACKAGES:
        shutil.copytree(
            _REPOSITORY / package, context / package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
        )


def _digest(context: Path, *images: str) -> str:
    digest = hashlib.sha256(" ".join(images).encode())
    for path in sorted(path for path in context.rglob("*") if path.is_file()):
        digest.update(f"\0{path.relative_to(context)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _build(context: Path, base: str, compiler: str, path: Path) -> None:
    for lock in _LOCKS:
        shutil.copytree(wheels(_REPOSITORY / lock), context / "wheels", dirs_exist_ok=True)
    bases = (f"--build-arg=BASE={base}", f"--build-arg=COMPILER={compiler}")
    buildah("build", "--quiet", "--layers", *bases, f"--tag={IMAGE}", str(context))
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    archive(IMAGE, unfinished)
    name_also(unfinished, ALSO)
    unfinished.rename(path)


def _make_base(name: str, packages: tuple[str, ...]) -> None:
    print(f"making a Debian {_DEBIAN} with Python; this takes a minute, once", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="pilotlight-base-") as directory:
        root = Path(directory) / "root"
        command = ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", _DEBIAN, str(root)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClusterError(f"debootstrap: {done.stdout[-1500:]}{done.stderr[-1500:]}")
        for unneeded in _BASE_WITHOUT:
            shutil.rmtree(root / unneeded, ignore_errors=True)
        for compiled in root.glob(_BASE_NOT_COMPILED):
            compiled.unlink()
        container = buildah("from", "scratch")
        buildah("add", "--quiet", container, str(root), "/")
        buildah("commit", "--quiet", "--rm", container, name)
