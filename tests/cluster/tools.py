"""The programs that the cluster is made of: compiled from Go modules that only name tools, and Debian's packages.

The Go registry is the one place where Kubernetes, CoreDNS and the others can be had by version and checksum without a
container registry. Each module under tools/ is a go.mod and a go.sum; its programs are kept in the cache under the
checksum of the latter.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tests.cluster.cache import made

_KUBERNETES_VERSION = "v1.34.4"  # what tools/kubernetes/go.mod requires as k8s.io/kubernetes
_CNI_PLUGINS = Path("/usr/lib/cni")
# Program → the Debian package that has it.
_PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "busybox": "busybox-static",
    "ip": "iproute2",
    "nft": "nftables",
    "iptables": "iptables",
    "openssl": "openssl",
    "nsenter": "util-linux",
    "prometheus": "prometheus",
}


@dataclass(frozen=True, slots=True)
class _Tools:
    directory: str
    programs: tuple[str, ...]
    linker_flags: str = ""


class Module(Enum):
    """A Go module under tools/, with the programs that `go build tool` makes of it."""

    KUBERNETES = _Tools(
        "kubernetes",
        (
            "server",  # etcd
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kubelet",
            "kube-proxy",
            "kubectl",
            "coredns",
        ),
        # Clients and Knative ask for the version and refuse v0.0.0, which a build without these flags reports.
        " ".join(
            f"-X k8s.io/component-base/version.{name}={value}"
            for name, value in zip(
                ("gitVersion", "gitMajor", "gitMinor"),
                (_KUBERNETES_VERSION, *_KUBERNETES_VERSION[1:].split(".")),
                strict=False,
            )
        ),
    )
    KWOK = _Tools("kwok", ("kwok",))
    GATEWAY = _Tools("gateway", ("traefik",))
    KNATIVE = _Tools("knative", ("activator", "autoscaler", "controller", "queue", "webhook"))


class ToolError(Exception):
    """A program cannot be had; the message says which and why."""


def binaries(module: Module) -> Path:
    """The directory with the programs of `module`; compiles them (minutes) where the cache has none.

    Raises ToolError if Go is not installed or the build fails.
    """
    tools = module.value
    checksum = hashlib.sha256((source(module) / "go.sum").read_bytes()).hexdigest()[:16]

    def whole(directory: Path) -> bool:
        return all(os.access(directory / program, os.X_OK) for program in tools.programs)

    return made(f"{tools.directory}-{checksum}", lambda directory: _build(module, directory), whole)


def source(module: Module) -> Path:
    """The directory of the module's go.mod."""
    return Path(__file__).parent / "modules" / module.value.directory


def module_directory(module: Module, path: str) -> Path:
    """Where Go keeps the sources of `path`, a dependency of `module`: for YAML that is read in place."""
    command = ["go", "list", "-mod=mod", "-m", "-f", "{{.Dir}}", path]
    subprocess.run(["go", "mod", "download", path], cwd=source(module), check=True, capture_output=True)
    listed = subprocess.run(command, cwd=source(module), check=True, capture_output=True, text=True)
    return Path(listed.stdout.strip())


def _build(module: Module, directory: Path) -> None:
    if shutil.which("go") is None:
        raise ToolError(f"{module.value.directory}: Go 1.25 or newer is needed to compile it (https://go.dev/dl)")
    print(f"compiling {', '.join(module.value.programs)}; this takes minutes, once", file=sys.stderr, flush=True)
    # Behind everything else: a build of minutes on two cores must not make the tests beside it time out.
    # What a debugger would read is not linked, and making it is a tenth of the work.
    flags = ["-trimpath", "-gcflags=all=-dwarf=false", "-ldflags", f"-s -w {module.value.linker_flags}"]
    command = ["nice", "-n", "10", "go", "build", *flags]
    environment = os.environ | {"CGO_ENABLED": "0"}
    built = subprocess.run(
        [*command, "-o", f"{directory}/", "tool"],
        cwd=source(module),
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if built.returncode:
        raise ToolError(f"{module.value.directory}: go build failed: {built.stderr[-2000:]}")


def missing() -> str | None:
    """Why no cluster can be brought up on this machine, with the command that helps; None if one can."""
    if sys.platform != "linux":
        return "a real cluster needs Linux: its nodes are namespaces"
    if os.geteuid() != 0:
        return "a real cluster needs root, for network and mount namespaces: sudo make test"
    packages = sorted({package for program, package in _PACKAGES.items() if shutil.which(program) is None})
    if not (_CNI_PLUGINS / "bridge").exists():
        packages.append("containernetworking-plugins")
    if packages:
        return f"not installed: apt-get install --no-install-recommends {' '.join(packages)}"
    if shutil.which("go") is None:
        try:
            binaries(Module.KUBERNETES)
        except ToolError as error:
            return str(error)
    return None
