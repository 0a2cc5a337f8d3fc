"""A test inside node 1's network: pod addresses, Service addresses and cluster names work for it as for a pod.

Namespaces belong to threads. The calling thread enters, and with it every thread and process that it starts from there
on; an event loop that is made inside therefore has its sockets, its resolver threads and its subprocesses inside. Names
are resolved by the C library, which reads /etc/resolv.conf, so the thread also gets a mount namespace in which that
file names the cluster's DNS server.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLONE_FS, _CLONE_NEWNS, _CLONE_NEWNET = 0x200, 0x20000, 0x40000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def inside(network: Path, resolv_conf: Path) -> Iterator[None]:
    """Run the body in `network` (a /proc/PID/ns/net) with `resolv_conf` as /etc/resolv.conf. Raises OSError."""
    here = Path.cwd()
    own = Path("/proc/thread-self/ns")
    own_network = os.open(own / "net", os.O_RDONLY)
    own_mounts = os.open(own / "mnt", os.O_RDONLY)
    try:
        _enter(network, resolv_conf)
        yield
    finally:
        # A mount namespace can be entered only by who shares its working directory with nobody; threads share it.
        _check(_libc.unshare(_CLONE_FS), "unshare")
        _check(_libc.setns(own_mounts, _CLONE_NEWNS), "setns")
        _check(_libc.setns(own_network, _CLONE_NEWNET), "setns")
        os.chdir(here)  # which setns has moved to the root
        os.close(own_mounts)
        os.close(own_network)


def _enter(network: Path, resolv_conf: Path) -> None:
    _check(_libc.unshare(_CLONE_NEWNS), "unshare")
    _check(_libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "mount --make-rprivate /")
    _check(_libc.mount(os.fsencode(resolv_conf), b"/etc/resolv.conf", None, _MS_BIND, None), "mount /etc/resolv.conf")
    target = os.open(network, os.O_RDONLY)
    try:
        _check(_libc.setns(target, _CLONE_NEWNET), "setns")
    finally:
        os.close(target)


def _check(result: int, call: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
