"""Runs what the command line asks for (`command_line`).

Exit status: 0 as asked; 1 it could not be done, or something asked about is wrong; 2 the command line itself is wrong,
or `doctor` cannot look. Errors go to stderr as `pilotlight: error: …`. Commands import what they need when they run:
`example-server` is started for every replica of a demo and must not wait for the rest.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from pilotlight import interrupts
from pilotlight.command_line import command_line
from pilotlight.errors import CommandError

if TYPE_CHECKING:
    from pilotlight.controller_api import Controller

# They import much and say themselves from when on there is something to undo.
_UNDISTURBED = ("simulate", "headroom")


def main(words: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. SystemExit(2) comes from argparse for a wrong command line."""
    _have_standard_streams()
    try:
        return _parse_and_run(words)
    except CommandError as error:
        for line in str(error).splitlines():
            print(f"pilotlight: error: {line}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return interrupts.heard()
    except BrokenPipeError:
        # The reader of our output has gone (`pilotlight status | head -1`): that is no error, and nothing more to say.
        _drop_output()
        return 0
    except OSError as error:
        # A full disk behind `> file`, say. What can be wrong with the arguments has a better message of its own.
        _drop_output()
        where = f"{error.filename}: " if error.filename else ""
        print(f"pilotlight: error: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    except Exception:
        # A compiler that is called back drops Ctrl-C, and fails at what it then has not got.
        if interrupts.came():
            return interrupts.heard()
        raise


def _parse_and_run(words: Sequence[str] | None) -> int:
    parser = command_line()
    try:
        given = parser.parse_args(words)
        if given.command not in _UNDISTURBED:
            interrupts.as_usual()
        return _run(parser, given)
    finally:
        # What cannot be written, be it a version, shall be noticed here and not by the interpreter at its end.
        sys.stdout.flush()


def _drop_output() -> None:
    """What is still buffered for stdout goes nowhere, so that the interpreter does not fail on it at its end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        pass  # not a file at all


def _have_standard_streams() -> None:
    """Replace the ones that whoever started us has closed: else a socket would get the number of stdout. And print what
    a terminal's encoding lacks, an arrow or the name of a file, as a question mark."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _run(parser: argparse.ArgumentParser, given: argparse.Namespace) -> int:
    match given.command:
        case "up":
            return _up(given)
        case "demo":
            return _demo(given)
        case "check":
            from pilotlight.check import run_check

            return run_check([*given.files, *([given.profiles] if given.profiles else [])])
        case "inject":
            return _inject(given)
        case "webhook":
            from pilotlight.webhook import run_webhook

            return run_webhook(given)
        case "status":
            from pilotlight.status import run_status

            with _controller(given) as controller:
                return run_status(controller, as_json=given.json)
        case "explain":
            from pilotlight.explain import run_explain

            with _controller(given) as controller:
                return run_explain(controller, given.service, last=given.last, watch=given.watch, as_json=given.json)
        case "doctor":
            from pilotlight.doctor.run import run_doctor

            return run_doctor(given)
        case "replay":
            return _replay(given)
        case "simulate":
            from pilotlight.simulate.run import run_simulate

            return run_simulate(given)
        case "headroom":
            from pilotlight.headroom import run_headroom

            return run_headroom(given)
        case _:
            from pilotlight.example_server.options import from_arguments
            from pilotlight.example_server.server import run

            return run(from_arguments(parser, given))


def _controller(given: argparse.Namespace) -> AbstractContextManager[Controller]:
    """The controller that a command asks: on this machine, or the one that leads in a cluster. Raises CommandError."""
    from pilotlight.cluster_choice import asked_for, choice
    from pilotlight.controller_api import LocalController

    if not asked_for(given):
        return nullcontext(LocalController(given.api))
    from pilotlight.cluster_controller import ClusterController

    return ClusterController(choice(given))


def _replay(given: argparse.Namespace) -> int:
    from pilotlight.cluster_choice import asked_for, choice
    from pilotlight.replay import run_cluster_replay, run_replay

    if asked_for(given):
        return run_cluster_replay(choice(given), given.recording, given.policy, given.save)
    if given.save is not None:
        raise CommandError("--save is for a recording that comes from a cluster (--cluster, --kubeconfig)")
    return run_replay(Path(given.recording), given.policy)


def _up(given: argparse.Namespace) -> int:
    from pilotlight.prepared import UpOptions
    from pilotlight.up import run_up

    return run_up(
        UpOptions(
            files=tuple(given.files),
            host=given.host,
            first_port=given.port,
            api=given.api,
            record=given.record,
            gpus=given.gpus,
            logs=given.logs,
            drain_seconds=given.drain_seconds,
        )
    )


def _inject(given: argparse.Namespace) -> int:
    from pilotlight.inject import InjectOptions, default_image, run_inject

    return run_inject(
        InjectOptions(
            files=tuple(given.files),
            image=given.image or default_image(),
            upgrade=given.upgrade,
            remove=given.remove,
            in_place=given.in_place,
            first_port_only=given.first_port_only,
            profiles=given.profiles,
        )
    )


def _demo(given: argparse.Namespace) -> int:
    from pilotlight.demo.run import DemoOptions, run_demo

    return run_demo(
        DemoOptions(report=given.report, first_port=given.port, api=given.api, seed=given.seed, logs=given.logs)
    )
