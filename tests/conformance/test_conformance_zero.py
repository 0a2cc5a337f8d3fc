"""Knative's scale-to-zero state machine, row by row."""

from __future__ import annotations

import pytest

from autoscaler.decide.decision import LimitName, Phase, Reason
from autoscaler.decide.state import Activity, Backlog, Evidence, Panic, State
from autoscaler.decide.zero import next_activity, rest
from autoscaler.policy.scaling_policy import ScalingPolicy
from tests.unit.decide.decide_scenarios import START, VirtualService, knative_policy, limit_names, observation


def state(activity: Activity, since: float, *, proxy_since: float | None = None) -> State:
    return State(
        at=float(START),
        panic=Panic(),
        backlog=Backlog(),
        delay=(),
        activity=activity,
        activity_since=START - since,
        evidence=Evidence(True, None if proxy_since is None else START - proxy_since, START - 10_000.0),
        excess_burst=0,
    )


NEVER_READY, GRACE = LimitName.NEVER_READY, LimitName.GRACE_PERIOD
ROWS = [
    pytest.param(
        Activity.ACTIVATING, 629.9, None, {}, True, 2, None, NEVER_READY, id="activating, within the deadline"
    ),
    pytest.param(Activity.ACTIVATING, 630.0, None, {}, True, 0, 0, None, id="activating for deadline + 30 s: given up"),
    pytest.param(Activity.ACTIVE, 59.9, None, {}, True, 1, 1, LimitName.STABLE_WINDOW, id="active, idle too short"),
    pytest.param(Activity.ACTIVE, 60.0, None, {}, True, 2, 0, GRACE, id="active, idle: becomes inactive, not patched"),
    pytest.param(
        Activity.INACTIVE, 900.0, None, {}, False, 2, 0, LimitName.ACTIVATOR_NOT_IN_PATH, id="activator not confirmed"
    ),
    pytest.param(
        Activity.INACTIVE, 900.0, 0.0, {"target_burst_capacity": -1.0}, False, 0, 0, None, id="burst −1 needs no proof"
    ),
    pytest.param(Activity.INACTIVE, 30.0, 1.0, {}, True, 0, 0, None, id="inactive for the grace period"),
    pytest.param(Activity.INACTIVE, 29.9, 1.0, {}, True, 2, 0, GRACE, id="inactive for less"),
    pytest.param(Activity.INACTIVE, 2.0, 30.0, {}, True, 0, 0, None, id="fast path: in the path for the grace period"),
    pytest.param(Activity.INACTIVE, 2.0, 29.9, {}, True, 2, 0, GRACE, id="in the path for less"),
    pytest.param(
        Activity.INACTIVE,
        39.9,
        900.0,
        {"scale_to_zero_retention_seconds": 40.0},
        True,
        2,
        0,
        LimitName.RETENTION,
        id="retention is a hard minimum, also on the fast path",
    ),
    pytest.param(
        Activity.INACTIVE, 40.0, 1.0, {"scale_to_zero_retention_seconds": 40.0}, True, 0, 0, None, id="and then it ends"
    ),
    pytest.param(
        Activity.INACTIVE,
        20.0,
        1.0,
        {"scale_to_zero_retention_seconds": 10.0},
        True,
        2,
        0,
        GRACE,
        id="longer one counts",
    ),
    pytest.param(
        Activity.ACTIVE, 900.0, 900.0, {"scale_to_zero": False}, True, 1, 1, LimitName.SCALE_TO_ZERO_OFF, id="off: one"
    ),
]


@pytest.mark.parametrize(("activity", "since", "proxied", "settings", "confirmed", "replicas", "wish", "limit"), ROWS)
def test_the_state_machine(
    activity: Activity,
    since: float,
    proxied: float | None,
    settings: dict[str, object],
    confirmed: bool,
    replicas: int,
    wish: int | None,
    limit: LimitName | None,
) -> None:
    before = state(activity, since, proxy_since=proxied)
    outcome = rest(
        knative_policy(**settings),
        before,
        before.evidence,
        observation(float(START), wanted=2, ready=2, activator_confirmed=confirmed),
        float(START),
    )
    assert (outcome.replicas, outcome.wish, outcome.limit) == (replicas, wish, limit)


@pytest.mark.parametrize(
    ("activity", "initialised", "ready", "wish", "becomes"),
    [
        (Activity.ACTIVE, True, 1, 0, Activity.INACTIVE),
        (Activity.ACTIVATING, True, 0, 0, Activity.INACTIVE),
        (Activity.ACTIVATING, True, 0, 1, Activity.ACTIVATING),
        (Activity.ACTIVATING, True, 1, 1, Activity.ACTIVE),
        (Activity.ACTIVATING, True, 1, None, Activity.ACTIVE),
        (Activity.ACTIVATING, False, 2, 3, Activity.ACTIVATING),
        (Activity.ACTIVATING, False, 3, 3, Activity.ACTIVE),
        (Activity.INACTIVE, True, 1, None, Activity.INACTIVE),
        (Activity.INACTIVE, True, 1, 1, Activity.ACTIVE),
        (Activity.INACTIVE, True, 0, 1, Activity.ACTIVATING),
        (Activity.ACTIVE, True, 0, 2, Activity.ACTIVATING),
    ],
)
def test_activity_follows_the_wish_and_what_is_ready(
    activity: Activity, initialised: bool, ready: int, wish: int | None, becomes: Activity
) -> None:
    policy = knative_policy(initial_scale=3)
    assert next_activity(policy, activity, initialised, ready, wish) is becomes


@pytest.mark.parametrize(
    ("confirmed_all_along", "expected"),
    [pytest.param(True, 65.0, id="activator in the path before"), pytest.param(False, 92.0, id="only once inactive")],
)
def test_from_the_last_request_to_zero_with_defaults(confirmed_all_along: bool, expected: float) -> None:
    service = VirtualService(knative_policy(), concurrency=1.0, activator_confirmed=confirmed_all_along)
    service.run(300.0)
    service.concurrency, passed = 0.0, 0.0
    while service.step().desired != 0:
        passed += 2.0
        if service.decisions[-1].reason is Reason.WAITING_TO_SLEEP:
            service.activator_confirmed = True
    assert passed + 2.0 == pytest.approx(expected, abs=3.0)


def test_who_cannot_become_ready_is_given_up_after_the_deadline_once_nobody_waits() -> None:
    policy = knative_policy(initial_scale=0)
    service = VirtualService(policy, wanted=0, start_seconds=10_000.0, ever_ready=False)
    service.run(10.0)
    service.concurrency = 1.0
    assert service.step().reason is Reason.WAKE
    service.concurrency = 0.0
    taken = service.run_until(0, within=700.0)
    assert taken == pytest.approx(630.0, abs=2.0)
    decision = service.decisions[-1]
    assert (decision.reason, decision.phase) == (Reason.GAVE_UP_WAKING, Phase.DRAINING)
    assert service.step().phase is Phase.ASLEEP


def test_while_activating_nothing_is_taken_away() -> None:
    service = VirtualService(knative_policy(initial_scale=0), wanted=0, start_seconds=300.0, ever_ready=False)
    service.run(10.0)
    service.concurrency = 150.0
    service.run(60.0)
    service.concurrency = 0.0
    decision = service.run(120.0)
    assert decision.desired >= 1
    assert decision.phase is Phase.WAKING
    assert limit_names(decision)[-1] is LimitName.NEVER_READY


def test_an_initial_scale_that_is_never_reached_is_given_up_too() -> None:
    policy: ScalingPolicy = knative_policy(initial_scale=1)
    service = VirtualService(policy, wanted=0, start_seconds=10_000.0, ever_ready=False)
    assert service.step().desired == 1
    service.run_until(0, within=700.0)
    assert service.run(100.0).desired == 0
