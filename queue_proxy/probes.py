"""Asking the model whether it is ready: once, in one of four ways, within a time limit.

When to ask, and what the answers add up to, is `readiness`' business.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
from typing import NamedTuple

from queue_proxy.grpc_health import HealthError, ServingStatus, check
from queue_proxy.http_get import FetchError, Request, get
from queue_proxy.probe_spec import ExecProbe, GrpcProbe, HttpProbe, Probe, TcpProbe


class Verdict(NamedTuple):
    """What one question brought; `why` says what was wrong, in one line, and is empty on success."""

    ready: bool
    why: str = ""


_READY = Verdict(True)


async def ask(probe: Probe, timeout_seconds: float) -> Verdict:
    """Ask once. Whatever goes wrong is a Verdict; only cancellation is raised."""
    try:
        async with asyncio.timeout(timeout_seconds):
            return await _ask(probe)
    except TimeoutError:
        return Verdict(False, f"no answer within {timeout_seconds:g} s")
    except (FetchError, HealthError) as error:
        return Verdict(False, str(error))
    except OSError as error:
        return Verdict(False, error.strerror or str(error))
    except UnicodeError:
        return Verdict(False, "the host name is not one")


async def accepts(host: str, port: int, timeout_seconds: float) -> bool:
    """Does somebody accept connections there? Cheap enough to ask a hundred times a second.

    On loopback the kernel knows the answer by the time the call returns, so there is nothing to wait for.
    That is for addresses; a name is looked up each time, in a thread, which takes much longer.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host)
    except OSError:
        return (await ask(TcpProbe(host, port), timeout_seconds)).ready
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        code = sock.connect_ex((host, port))
        if code == errno.EINPROGRESS:
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code != 0:
            return False
        try:
            sock.getpeername()
        except OSError:  # not refused and not there yet: a network lies between, or the backlog is full
            return (await ask(TcpProbe(host, port), timeout_seconds)).ready
        return True


async def _ask(probe: Probe) -> Verdict:
    match probe:
        case HttpProbe():
            return await _ask_http(probe)
        case TcpProbe():
            _reader, writer = await asyncio.open_connection(probe.host, probe.port)
            writer.transport.abort()
            return _READY
        case GrpcProbe():
            status = await check(probe.host, probe.port, probe.service)
            return _READY if status is ServingStatus.SERVING else Verdict(False, f"gRPC health says {status.name}")
        case ExecProbe():
            return await _ask_command(probe)


async def _ask_http(probe: HttpProbe) -> Verdict:
    reply = await get(Request(probe.host, probe.port, probe.path, probe.headers, probe.tls), max_body_bytes=0)
    if 200 <= reply.status < 400:
        return _READY
    return Verdict(False, f"GET {probe.path} was answered with {reply.status}")


async def _ask_command(probe: ExecProbe) -> Verdict:
    nothing = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *probe.command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
        )
    except OSError as error:
        return Verdict(False, f"cannot run {probe.command[0]}: {error.strerror}")
    try:
        code = await process.wait()
    finally:
        if process.returncode is None:
            # Its own session, so that what it started ends with it.
            _kill_group(process.pid)
            await process.wait()
    return _READY if code == 0 else Verdict(False, f"{probe.command[0]} exited with {code}")


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it ended in between
