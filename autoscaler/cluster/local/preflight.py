"""Preflight: whether a plan can run on this machine, looked up once, before anything waits for it.

A command that is not installed or a model folder that is not there would otherwise show only when the first request
has been waiting for its replica.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from autoscaler.cluster.local.launch_error import LaunchError
from autoscaler.cluster.local.launch_plan import LaunchPlan
from autoscaler.cluster.local.machine import Machine


@dataclass(frozen=True, slots=True)
class Footing:
    """Where replicas of a plan stand on this machine; all paths are absolute."""

    executable: str
    working_directory: Path
    model_directory: str | None


def check_launch(plan: LaunchPlan, machine: Machine, base: Path) -> Footing:
    """The footing of `plan`. Relative paths in the manifest count from `base`.

    Raises LaunchError with one line for each thing that this machine lacks.
    """
    problems = list(machine.shortages(plan.resources))
    directory = base / (plan.working_directory or ".")
    if not directory.is_dir():
        problems.append(f"workingDir {directory} is not a folder of this machine")
    models = None
    if plan.model_directory is not None:
        models = str((base / plan.model_directory).absolute())
        if not Path(models).exists():
            problems.append(f"storageUri: {models} does not exist")
    own = next((variable.value for variable in plan.environment if variable.name == "PATH"), None)
    path = search_path(own)
    executable = find_executable(plan.command[0], path, directory)
    if executable is None:
        problems.append(f"command {plan.command[0]!r} is not found in PATH ({path})")
    if problems or executable is None:
        raise LaunchError("\n".join(f"{plan.service}: {problem}" for problem in problems))
    return Footing(executable, directory.absolute(), models)


def search_path(own: str | None = None) -> str:
    """PATH for replicas: the container's own or ours, and at its end the folder of the Python that runs us.

    So `python` and `pilotlight` resolve in an environment that nobody has activated, and yet anything the user has
    in front of them wins.
    """
    parts = (own if own is not None else os.environ.get("PATH", os.defpath)).split(os.pathsep)
    ours = str(Path(sys.executable).parent)
    return os.pathsep.join([*parts, *([] if ours in parts else [ours])])


def find_executable(command: str, path: str, directory: Path) -> str | None:
    """The program that `command` names, as an absolute path; with a slash in it, it counts from `directory`."""
    if os.sep in command:
        candidate = directory / command
        return str(candidate.absolute()) if candidate.is_file() and os.access(candidate, os.X_OK) else None
    return shutil.which(command, path=path)
