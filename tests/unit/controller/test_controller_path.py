"""When the cluster is told to lead new connections to the activator, and when past it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.cluster.interface import Replica, ReplicaPhase, ServiceView
from autoscaler.controller.service.control import ServiceControl
from autoscaler.controller.service.routes import route_for
from autoscaler.controller.settings import Cadence
from autoscaler.policy.scaling_policy import ScalingPolicy
from tests.unit.controller.controller_builders import CHAT, inference_service, replica, stats, view


def controlled(*replicas: Replica, at: float = 0.0, scaling: str = "on") -> ServiceControl:
    shown = seen(*replicas, scaling=scaling)
    control = ServiceControl(shown, Cadence(), at)
    control.viewed(shown, at)
    return control


def seen(*replicas: Replica, scaling: str = "on") -> ServiceView:
    return view(*replicas, isvc=inference_service(target_burst_capacity="0", scaling=scaling))


def in_path(control: ServiceControl, now: float) -> bool | None:
    order = control.path_order(now)
    return None if order is None else order.in_path


def decided_busy(control: ServiceControl, now: float) -> None:
    control.scraped("chat-a", stats("chat-a", now, running=1), now)
    control.pushed("one", stats("activator/one", now), now, urgent=False)
    assert control.evaluate(now) is not None


@pytest.mark.parametrize("phase", [ReplicaPhase.PENDING, ReplicaPhase.STARTING, ReplicaPhase.FAILED])
def test_the_activator_goes_in_as_soon_as_nothing_is_ready_decided_or_not(phase: ReplicaPhase) -> None:
    assert in_path(controlled(replica("chat-a", phase)), 0.0) is True


def test_with_a_replica_ready_nothing_is_said_before_something_was_decided() -> None:
    assert in_path(controlled(replica("chat-a")), 0.0) is None


def test_a_decision_that_replicas_have_capacity_to_spare_takes_it_out() -> None:
    control = controlled(replica("chat-a"))
    decided_busy(control, 1.0)
    decided_busy(control, 3.0)
    assert in_path(control, 3.0) is False


def test_what_the_cluster_took_is_not_ordered_again() -> None:
    control = controlled()
    assert in_path(control, 0.0) is True
    control.path_placed(True, 0.0)
    assert in_path(control, 0.0) is None


def test_it_goes_in_at_once_and_out_again_only_after_ten_seconds() -> None:
    control = controlled(replica("chat-a", ReplicaPhase.STARTING))
    control.path_placed(True, 100.0)
    control.viewed(seen(replica("chat-a")), 101.0)
    decided_busy(control, 101.0)
    decided_busy(control, 103.0)
    assert in_path(control, 109.9) is None
    assert in_path(control, 110.0) is False
    control.path_placed(False, 110.0)
    control.viewed(seen(), 110.1)
    assert in_path(control, 110.1) is True


@pytest.mark.parametrize("mode", ["shadow", "off"])
def test_a_service_that_is_not_acted_on_is_left_where_it_is(mode: str) -> None:
    assert in_path(controlled(scaling=mode), 0.0) is None


@pytest.mark.parametrize(("mode", "desired"), [("shadow", 0), ("on", 1)])
def test_in_shadow_sleep_does_not_wait_for_an_activator_that_nobody_puts_there(mode: str, desired: int) -> None:
    outside = replace(seen(replica("chat-a"), scaling=mode), activator_in_path=False, ever_ready=True)
    control = ServiceControl(outside, Cadence(), 0.0)
    control.viewed(outside, 0.0)
    for at in range(1, 200):
        control.scraped("chat-a", stats("chat-a", float(at)), float(at))
        control.pushed("one", stats("activator/one", float(at)), float(at), urgent=False)
        control.evaluate(float(at))
    assert control.history.latest is not None
    assert control.history.latest.desired == desired


def test_a_service_that_is_acted_on_again_is_told_anew() -> None:
    control = controlled()
    control.path_placed(True, 0.0)
    control.viewed(seen(scaling="shadow"), 1.0)
    assert in_path(control, 1.0) is None
    control.viewed(seen(), 2.0)
    assert in_path(control, 2.0) is True


def test_clients_are_moved_over_only_once_nothing_leads_to_the_activator_any_more() -> None:
    going_out = replace(view(replica()), activator_in_path=False)
    assert route_for(going_out, ScalingPolicy(), None).in_path
    assert not route_for(replace(going_out, activator_left=True), ScalingPolicy(), None).in_path


def test_a_refusal_is_a_fault_of_the_service_until_it_is_taken() -> None:
    control = controlled()
    control.path_failed(True, "no activator is ready", 1.0)
    (fault,) = control.faults.current
    assert fault.message == "the activator could not be put in the path: no activator is ready"
    control.path_placed(True, 2.0)
    assert control.faults.current == ()
    assert control.view.service == CHAT
