"""`pilotlight check`: every mistake in some manifests, each with its place, and what is allowed there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from autoscaler.cluster.local.launch_error import LaunchError
from autoscaler.cluster.local.launch_plan import plan_launch
from autoscaler.policy.check import check
from autoscaler.policy.manifest import load_manifests


def run_check(files: Sequence[Path]) -> int:
    """Print mistakes to stderr, or one line for each good service; the exit status is 1 when there is a mistake.

    What would keep a service from running on one machine (no command, say) is a remark: in a cluster it may be right.
    """
    mistakes = check(files)
    if mistakes:
        for mistake in mistakes:
            print(f"pilotlight: error: {mistake}", file=sys.stderr)
        return 1
    manifests = load_manifests(files)
    runtimes = [runtime.body for runtime in manifests.runtimes]
    for manifest in manifests.services:
        own = f"{manifest.service}: "
        print(f"{own}good ({manifest.where})")
        try:
            remarks = plan_launch(manifest.body, runtimes).warnings
        except LaunchError as error:
            remarks = tuple(f"cannot run on one machine: {line.removeprefix(own)}" for line in str(error).splitlines())
        for remark in remarks:
            print(f"  remark: {remark.removeprefix(own)}")
    return 0
