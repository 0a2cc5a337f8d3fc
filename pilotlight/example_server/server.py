"""Runs the example server: start failures, loading, serving, and a clean end on SIGTERM."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence

import uvloop
from aiohttp import web

from pilotlight.example_server import oip, openai
from pilotlight.example_server.engine import Engine
from pilotlight.example_server.options import Options, Protocol, StartFailures, WhileLoading, parse_options
from pilotlight.example_server.replies import ENGINE, EXAMPLE

_LARGEST_BODY = 32 * 1024 * 1024


def main(arguments: Sequence[str]) -> int:
    """The command; returns the exit status."""
    return run(parse_options(arguments))


def run(options: Options) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status."""
    failure = _start_failure(options.start_failures)
    if failure is not None:
        _say(failure)
        return options.start_failures.exit_code
    try:
        return uvloop.run(_serve(options))
    except OSError as error:
        _say(f"cannot listen on {options.host}:{options.port}: {error.strerror or error}")
        return 1


def build_application(engine: Engine) -> web.Application:
    """The HTTP application around an engine."""
    application = web.Application(client_max_size=_LARGEST_BODY, middlewares=[_errors_as_json])
    application[ENGINE] = engine
    application.router.add_get("/", _root)
    application.router.add_get("/metrics", _metrics)
    if engine.options.protocol is not Protocol.OPENAI:
        oip.add_routes(application.router)
    if engine.options.protocol is not Protocol.OIP:
        openai.add_routes(application.router)
    return application


async def _serve(options: Options) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    engine = Engine(options, time.monotonic)
    # Cancelling the handler of a client that left frees its slot, as a real engine's abort does.
    runner = web.AppRunner(
        build_application(engine), access_log=None, handler_cancellation=True, shutdown_timeout=options.drain_seconds
    )
    await runner.setup()
    site = web.TCPSite(runner, options.host, options.port, backlog=4096)
    if options.while_loading is WhileLoading.UNREADY:
        await site.start()
    _say(f"{EXAMPLE}; loading for {options.load_seconds:g} s")
    if not await _happens_within(stopped, options.load_seconds):
        engine.loaded = True
        if options.while_loading is WhileLoading.REFUSE:
            await site.start()
        host, port = runner.addresses[0][:2]
        _say(f"serving {options.model!r} on {host}:{port}")
        await stopped.wait()
    engine.draining = True
    _say(f"ending; {engine.counts.running} requests running, {engine.counts.waiting} waiting")
    await runner.cleanup()
    return 0


async def _happens_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


def _start_failure(failures: StartFailures) -> str | None:
    if failures.always:
        return "this start fails on purpose: --fail-start always"
    if failures.counter is None:
        return None
    ordinal = _count_start(failures)
    return f"start {ordinal} fails on purpose: --fail-start" if ordinal in failures.ordinals else None


def _count_start(failures: StartFailures) -> int:
    """Which start this is. With O_APPEND each process's write ends at an offset of its own, so none count alike."""
    assert failures.counter is not None
    counter = os.open(failures.counter, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(counter, b".")
        return os.lseek(counter, 0, os.SEEK_CUR)
    finally:
        os.close(counter)


async def _root(request: web.Request) -> web.Response:
    return web.json_response({"name": request.app[ENGINE].options.model, "note": EXAMPLE})


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(text=request.app[ENGINE].metrics(), content_type="text/plain", charset="utf-8")


@web.middleware
async def _errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        headers = {name: value for name, value in error.headers.items() if name == "Allow"}
        return web.json_response({"error": error.reason}, status=error.status, headers=headers)


def _say(message: str) -> None:
    print(f"example-server[{os.getpid()}]: {message}", file=sys.stderr, flush=True)
