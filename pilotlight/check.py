"""`pilotlight check`: every mistake in some manifests, each with its place, and what is allowed there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from autoscaler.cluster.local.launch_error import LaunchError
from autoscaler.cluster.local.launch_plan import plan_launch
from pilotlight.given_manifests import given_manifests


def run_check(files: Sequence[Path]) -> int:
    """Print one line for each good service; without services, for each profile. Raises CommandError with mistakes.

    What would keep a service from running on one machine (no command, say) is a remark: in a cluster it may be right.
    """
    manifests = given_manifests(files, profiles_alone=True)
    if not manifests.services:
        for profile in manifests.profiles.by_name.values():
            print(f"profile {profile.name}: good")
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
