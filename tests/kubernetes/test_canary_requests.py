"""Nobody who looks sees a service sleep or wake: a request every 5 ms through 20 cycles."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.kubernetes.canary_flight import CYCLES, fly
from tests.kubernetes.installation import Installation

_SECONDS = 600.0


@pytest.fixture(scope="module")
def report(cluster: Cluster, installed: Installation) -> dict[str, Any]:
    """What 20 cycles came to."""
    found = fly(cluster, _SECONDS)
    cycles = sorted(found["cycles"])
    print(
        f"\n{len(cycles)} cycles of {cycles[0]:.1f} to {cycles[-1]:.1f} s (median {cycles[len(cycles) // 2]:.1f}):"
        f" {found['work']} requests for work, {found['looks']} looks; failed: {found['failed']}\n"
        f"{(found['work'] + found['looks']) / sum(cycles):.0f} a second; not sent: {found['held_back']}, for too many"
        f" were under way, and {found['late']}, for this machine had no time for the canary"
    )
    return found


def test_it_went_to_zero_and_back_twenty_times(report: dict[str, Any]) -> None:
    assert (report["error"], len(report["cycles"])) == ("", CYCLES)


def test_no_request_by_the_services_address_failed(report: dict[str, Any]) -> None:
    assert report["failed"]["service"] == {}


def test_no_request_through_the_gateway_failed(report: dict[str, Any]) -> None:
    assert report["failed"]["gateway"] == {}
