"""One service: who goes first, what is known, which order is placed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.cluster.interface import Replica, ReplicaPhase
from autoscaler.controller.service_report import summary
from autoscaler.decide.decision import Phase
from autoscaler.signals.reading import Known, Missing
from tests.unit.controller.controller_builders import control_of, inference_service, replica, stats, view, woken

# Who goes first


def test_of_ready_replicas_the_idlest_goes_first_and_of_equals_the_youngest() -> None:
    shown = view(
        replica("busy", created_at=1.0),
        replica("idle-old", created_at=2.0),
        replica("idle-young", created_at=3.0),
        replica("waiting", created_at=4.0),
    )
    control = control_of(shown)
    control.scraped("busy", stats("busy", 9.0, running=3), 1_000.0)
    control.scraped("waiting", stats("waiting", 9.0, running=1, waiting=1), 1_000.0)
    for name in ("idle-old", "idle-young"):
        control.scraped(name, stats(name, 9.0), 1_000.0)
    assert control.go_first() == ("idle-young", "idle-old", "waiting", "busy")


def test_what_is_not_ready_goes_before_what_is() -> None:
    shown = view(
        replica("ready"),
        replica("starting", ReplicaPhase.STARTING),
        replica("failed", ReplicaPhase.FAILED),
        replica("pending", ReplicaPhase.PENDING),
        replica("draining", ReplicaPhase.DRAINING),
    )
    control = control_of(shown)
    control.scraped("ready", stats("ready", 9.0), 1_000.0)
    assert control.go_first() == ("failed", "pending", "starting", "ready")


def test_a_replica_that_was_never_heard_may_be_full_and_goes_last() -> None:
    control = control_of(view(replica("silent", created_at=9.0), replica("busy", created_at=1.0)))
    control.scraped("busy", stats("busy", 9.0, running=50), 1_000.0)
    assert control.go_first() == ("busy", "silent")


# Orders


def test_a_service_without_a_deployment_is_not_decided_on_and_its_first_replica_gets_the_time_to_become_ready() -> None:
    control = control_of(replace(view(), deployed=False))
    assert control.evaluate(1_000.0) is None
    assert summary(control, 1_000.0)["explanation"] == "nothing to scale yet: KServe has made no Deployment for it"
    control.viewed(view(replica(phase=ReplicaPhase.STARTING)), 1_002.0)
    for second in range(60):
        evaluation = control.evaluate(1_002.0 + second)
        assert evaluation is not None
        assert evaluation.order is None, evaluation.decision.explanation


def test_somebody_who_waits_is_an_order() -> None:
    evaluation = woken().evaluate(1_000.0)
    assert evaluation is not None
    assert evaluation.order is not None
    assert evaluation.order.replicas == 1


def test_an_order_that_was_taken_is_not_placed_again_before_the_cluster_shows_it() -> None:
    control = woken()
    control.evaluate(1_000.0)
    control.order_placed(1, 1_000.01)
    evaluation = control.evaluate(1_000.5)
    assert evaluation is not None
    assert evaluation.order is None
    assert evaluation.decision.replicas.wanted == 1


def test_an_order_that_was_taken_and_never_shows_is_placed_again() -> None:
    control = woken()
    control.evaluate(1_000.0)
    control.order_placed(1, 1_000.01)
    control.pushed("main", stats("activator/main", 8.0, waiting=1), 1_003.0, urgent=True)
    evaluation = control.evaluate(1_003.0)
    assert evaluation is not None
    assert evaluation.order is not None


def test_somebody_elses_order_is_seen() -> None:
    control = woken()
    control.evaluate(1_000.0)
    control.order_placed(1, 1_000.01)
    control.viewed(view(wanted=1), 1_000.1)
    control.viewed(view(wanted=7), 1_000.2)
    assert control.wanted == 7


# Pushes


def test_a_push_is_urgent_only_where_somebody_waits_and_nobody_is_ready() -> None:
    asleep, serving = control_of(view()), control_of(view(replica("a")))
    assert not asleep.pushed("main", stats("activator/main", 1.0), 1_000.0, urgent=True)
    assert not asleep.pushed("main", stats("activator/main", 2.0, waiting=1), 1_001.0, urgent=False)
    assert asleep.pushed("main", stats("activator/main", 3.0, waiting=1), 1_002.0, urgent=True)
    assert not serving.pushed("main", stats("activator/main", 1.0, waiting=1), 1_000.0, urgent=True)


def test_activators_are_summed() -> None:
    control = control_of(view())
    control.pushed("one", stats("activator/one", 5.0, waiting=2), 1_000.0, urgent=False)
    control.pushed("two", stats("activator/two", 7.0, waiting=3), 1_000.0, urgent=False)
    control.evaluate(1_000.0)
    assert control.observation is not None
    assert control.observation.held == Known(5.0, 0.0)


def test_an_activator_cannot_speak_for_another_or_for_a_replica() -> None:
    control = control_of(view(replica("a")))
    control.scraped("a", stats("a", 5.0, running=9), 1_000.0)
    control.pushed("main", stats("a", 6.0), 1_000.0, urgent=False)
    control.evaluate(1_000.0)
    assert control.observation is not None
    assert control.observation.in_flight == Known(9.0, 0.0)


# What is known


def test_a_ready_replica_that_was_not_heard_makes_the_load_unknown() -> None:
    control = control_of(view(replica("a"), replica("b")))
    control.scraped("a", stats("a", 5.0), 1_000.0)
    control.evaluate(1_000.0)
    assert control.observation is not None
    assert isinstance(control.observation.in_flight, Missing)


def test_a_replica_that_was_ready_once_is_remembered_until_the_object_changes() -> None:
    control = control_of(view(replica("a")))
    control.viewed(view(), 1_001.0)
    control.evaluate(1_001.0)
    assert control.observation is not None
    assert control.observation.ever_ready
    control.viewed(view(generation=2), 1_002.0)
    control.evaluate(1_003.0)
    assert not control.observation.ever_ready


@pytest.mark.parametrize(("ever_ready", "ordered"), [(False, True), (True, False)])
def test_a_new_controller_does_not_start_again_what_was_ready_before_its_time(ever_ready: bool, ordered: bool) -> None:
    isvc = inference_service()
    isvc["metadata"] = {"name": "chat", "annotations": {"autoscaling.knative.dev/initial-scale": "1"}}
    control = control_of(replace(view(isvc=isvc), ever_ready=ever_ready))
    control.pushed("main", stats("activator/main", 50.0, history=60), 1_000.0, urgent=False)
    evaluation = control.evaluate(1_000.0)
    assert evaluation is not None
    assert (evaluation.order is not None) is ordered


def test_a_wake_that_was_measured_is_what_the_next_is_expected_to_take() -> None:
    control = woken()
    control.evaluate(1_000.0)
    control.order_placed(1, 1_000.0)
    control.viewed(view(replica("a", created_at=1_000.2, ready_at=1_008.0)), 1_008.0)
    control.scraped("a", replace(stats("a", 20.0), first_request_at=19.5), 1_009.0)
    (wake,) = control.wakes.last(10)
    assert wake.seconds == 8.0
    assert wake.first_request_at == 1_008.5
    assert control.route().expected_wake_seconds == 8.0
    control.evaluate(1_009.0)
    assert control.observation is not None
    assert control.observation.wake_seconds == 8.0


def test_a_report_says_what_was_heard_last_and_not_what_was_decided_on() -> None:
    control = control_of(view(replica("a")))
    control.scraped("a", stats("a", 5.0), 1_000.0)
    control.pushed("main", stats("activator/main", 5.0), 1_000.0, urgent=False)
    control.evaluate(1_000.0)
    control.scraped("a", stats("a", 6.0, running=3, waiting=1), 1_001.0)
    control.pushed("main", stats("activator/main", 6.0, waiting=2), 1_001.0, urgent=False)
    said = summary(control, 1_001.5)
    assert (said["in_flight"], said["held"]) == (4.0, 2.0)
    silent = summary(control, 1_010.0)
    assert (silent["in_flight"], silent["held"]) == (None, None)


def test_looking_takes_nothing_away_from_what_is_decided_on() -> None:
    looked_at, left_alone = (control_of(view(replica("a"))) for _ in range(2))
    for control in (looked_at, left_alone):
        for at in range(5):
            control.scraped("a", stats("a", float(at), running=3), 1_000.0 + at)
            control.pushed("main", stats("activator/main", float(at)), 1_000.0 + at, urgent=False)
    for _ in range(3):
        summary(looked_at, 1_004.0)
    evaluations = [control.evaluate(1_004.0) for control in (looked_at, left_alone)]
    assert evaluations[0] == evaluations[1]


def test_a_service_wakes_until_a_replica_is_ready_and_not_until_the_next_decision() -> None:
    control = woken()
    control.evaluate(1_000.0)
    control.order_placed(1, 1_000.0)
    phases = [control.phase]
    control.viewed(view(replica("a", ReplicaPhase.STARTING)), 1_001.0)
    phases.append(control.phase)
    control.viewed(view(replica("a")), 1_001.9)
    phases.append(control.phase)
    assert phases == [Phase.WAKING, Phase.WAKING, Phase.SERVING]


def test_in_shadow_the_phase_is_that_of_what_is_there() -> None:
    shadowed = view(isvc=inference_service(scaling="shadow"))
    control = control_of(shadowed)
    control.pushed("main", stats("activator/main", 5.0, waiting=1), 1_000.0, urgent=True)
    evaluation = control.evaluate(1_000.0)
    assert evaluation is not None
    assert evaluation.decision.desired == 1
    assert control.phase is Phase.ASLEEP


@pytest.mark.parametrize(
    ("replicas", "said"),
    [
        ((replica("a", reason="never mind"),), None),
        ((replica("a", ReplicaPhase.DRAINING, reason="was told to go"),), None),
        ((replica("a", ReplicaPhase.STARTING),), None),
        (
            (replica("a", ReplicaPhase.FAILED, reason="exit 3; its log:\none\ntwo"),),
            "a is failed: exit 3; its log: two",
        ),
        (
            (
                replica("a", ReplicaPhase.FAILED, created_at=1_000.0, reason="exit code 3"),
                replica("b", ReplicaPhase.STARTING, created_at=1_001.0, reason="not ready yet: nobody\nexit code 3"),
                replica("c", created_at=1_002.0),
            ),
            "b is starting: not ready yet: nobody",
        ),
    ],
)
def test_the_summary_names_what_keeps_the_newest_replica_from_being_ready(
    replicas: tuple[Replica, ...], said: str | None
) -> None:
    assert summary(control_of(view(*replicas)), 1_003.0)["trouble"] == said
