"""Each formula against numbers that its project publishes, or that follow from its text by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.policy.scaling_policy import Improvements, ScalingPolicy
from autoscaler.signals.observation import ReplicaCounts
from simulations.policies.aibrix import AibrixKpa, AibrixKpaSettings, Apa, ApaSettings, apa
from simulations.policies.hpa import Hpa, HpaSettings, of_total, per_pod
from simulations.policies.hpa_behavior import Behavior, BehaviorSettings
from simulations.policies.keda import Keda, KedaSettings
from simulations.policies.keep_alive import KeepAlive, KeepAliveSettings
from simulations.policies.knative import KnativeSettings
from simulations.policies.llmd import SloLaw, SloLawSettings, WvaSettings, most_batch, saturation, slo_law
from simulations.policies.metrics import PodMetric, Scraped
from simulations.policies.ray_serve import RayServe, RayServeSettings, ray_serve
from tests.unit.simulations.policies.policy_observations import Told, observed, service


@pytest.mark.parametrize(
    ("ready", "starting", "pending", "each", "target", "wanted"),
    [
        # The Kubernetes page: "if the current metric value is 200m, and the desired value is 100m, the number of
        # replicas will be doubled"; "if the current value is instead 50m, you'll halve"; within 0.1 nothing.
        pytest.param(3, 0, 0, 0.2, 0.1, 6, id="twice the target doubles"),
        pytest.param(4, 0, 0, 0.05, 0.1, 2, id="half of it halves"),
        pytest.param(10, 0, 0, 0.109, 0.1, 10, id="within the tolerance"),
        pytest.param(10, 0, 0, 0.111, 0.1, 12, id="just beyond it"),
        pytest.param(10, 0, 0, 0.089, 0.1, 9, id="just below it"),
        # Upstream's table (TestReplicaCalcScaleUpUnreadyLessScale and its like), in our words.
        pytest.param(3, 0, 0, 0.5, 0.3, 5, id="scale up"),
        pytest.param(2, 1, 0, 0.6, 0.3, 4, id="one that starts counts as idle on the way up"),
        pytest.param(1, 2, 0, 0.8, 0.3, 3, id="and can hold it back altogether"),
        pytest.param(3, 0, 2, 0.7, 0.4, 5, id="pending ones are enough"),
        pytest.param(4, 1, 0, 0.3, 0.5, 4, id="on the way down it counts as on target"),
        pytest.param(0, 2, 0, 0.0, 0.5, 2, id="nobody has a metric: nothing happens"),
    ],
)
def test_hpa_pods_metric(ready: int, starting: int, pending: int, each: float, target: float, wanted: int) -> None:
    pods = ReplicaCounts(ready + starting + pending, ready, starting, pending)
    scraped = Scraped(0.0, each * ready, ready)
    assert per_pod(ready + starting + pending, scraped, pods, target, 0.1) == wanted


@pytest.mark.parametrize(
    ("current", "total", "target", "wanted"),
    [(1, 30.0, 10.0, 3), (3, 32.0, 10.0, 3), (3, 34.0, 10.0, 4), (4, 0.0, 10.0, 0), (0, 25.0, 10.0, 3)],
)
def test_hpa_average_value_of_an_external_metric(current: int, total: float, target: float, wanted: int) -> None:
    assert of_total(current, total, target, 0.1) == wanted


def test_hpa_grows_by_four_pods_or_by_double_in_fifteen_seconds() -> None:
    behavior = Behavior(BehaviorSettings())
    sizes, current = [], 1
    for turn in range(5):
        current = behavior.limited(turn * 15.0, current, 100)
        sizes.append(current)
    assert sizes == [5, 10, 20, 40, 80]


def test_what_was_added_lately_counts_in_the_period() -> None:
    behavior = Behavior(BehaviorSettings(up_period=60.0))
    assert behavior.limited(0.0, 2, 100) == 6
    assert behavior.limited(15.0, 6, 100) == 6
    assert behavior.limited(60.0, 6, 100) == 12


def test_hpa_shrinks_to_the_highest_of_five_minutes() -> None:
    behavior = Behavior(BehaviorSettings())
    assert behavior.limited(0.0, 10, 8) == 10  # ten were there
    assert behavior.limited(150.0, 10, 3) == 10
    assert behavior.limited(300.0, 10, 2) == 3
    assert behavior.limited(450.0, 3, 2) == 2


def test_each_direction_has_a_period_of_its_own() -> None:
    behavior = Behavior(BehaviorSettings(down_window=0.0, up_pods=1, up_percent=0.0, up_period=60.0, down_period=300.0))
    assert behavior.limited(0.0, 2, 5) == 3
    assert behavior.limited(61.0, 3, 5) == 4  # what was added is older than the period upwards
    behavior = Behavior(BehaviorSettings(down_window=0.0, down_percent=0.0, down_pods=1, down_period=120.0))
    assert [behavior.limited(at, 9, 1) for at in (0.0, 60.0, 119.0, 120.0)] == [8, 9, 9, 8]


def test_the_page_s_example_of_ten_percent_a_minute() -> None:
    # "if you have 80 replicas and the target has to be scaled down to 10 … with 10 %": 80 → 72 → 64 → …
    behavior = Behavior(BehaviorSettings(down_window=0.0, down_percent=10.0, down_period=60.0))
    first = behavior.limited(0.0, 80, 10)
    assert [first, behavior.limited(60.0, first, 10)] == [72, 64]


def test_hpa_decides_every_fifteen_seconds_on_a_metric_that_is_half_a_scrape_old() -> None:
    told = Told(Hpa(HpaSettings(metric=PodMetric.CONCURRENCY, target=2.0)), ready=1)
    told.until(90.0, load=4.0)
    # The scrape at 7.5 s is the first; at 15 s two are wanted, and so at each turn while the load stays.
    assert told.policy.period == 7.5
    assert told.orders == [(0.0, 1), (15.0, 2)]


def test_hpa_does_not_touch_what_is_at_zero() -> None:
    told = Told(Hpa(HpaSettings(metric=PodMetric.CONCURRENCY, target=2.0)), ready=0)
    assert told.until(120.0, load=50.0) == 0


@pytest.mark.parametrize(
    ("held", "woken"), [pytest.param(1.0, 1, id="above the threshold"), pytest.param(0.0, 0, id="not above it")]
)
def test_keda_activates_above_the_threshold(held: float, woken: int) -> None:
    assert Told(Keda(KedaSettings(target=10.0), service()), ready=0).until(45.0, held=held) == woken


def test_keda_polls_every_thirty_seconds_and_cools_down_for_five_minutes() -> None:
    told = Told(Keda(KedaSettings(target=10.0), service()), ready=0)
    told.until(29.0, held=1.0)
    told.until(59.0, load=1.0)
    told.until(900.0)
    # Asked at 30 s with the scrape of 22.5 s, active last at 60 s with that of 52.5 s.
    assert told.orders == [(0.0, 0), (30.0, 1), (360.0, 0)]


def test_keda_waits_for_no_cooldown_of_what_was_never_active() -> None:
    told = Told(Keda(KedaSettings(target=10.0), service()), ready=1)
    told.until(60.0)
    assert told.orders == [(0.0, 1), (30.0, 0)]  # the first poll that can know anything


def test_keda_s_hpa_takes_the_total_over_the_threshold() -> None:
    told = Told(Keda(KedaSettings(target=10.0), service()), ready=1)
    assert told.until(60.0, load=38.0) == 4


@pytest.mark.parametrize(
    ("ready", "per_pod_use", "wanted"),
    [
        # apa_test.go: three ready with 22.46 / 3 of a target of 5 (within the tolerance of 0.5): as they are.
        pytest.param(3, 0.54, 3, id="within 10 % upwards"),
        pytest.param(3, 0.56, 4, id="beyond"),
        pytest.param(3, 0.41, 3, id="within 20 % downwards"),
        pytest.param(4, 0.30, 3, id="beyond"),
        pytest.param(2, 5.0, 4, id="at most twice what is ready"),
        pytest.param(8, 0.0, 4, id="at least half of it"),
        pytest.param(1, 0.0, 0, id="the minimum is applied afterwards"),
    ],
)
def test_apa(ready: int, per_pod_use: float, wanted: int) -> None:
    assert apa(ApaSettings(), ready, per_pod_use) == wanted


def test_aibrix_kpa_halves_at_each_end_of_its_delay() -> None:
    told = Told(AibrixKpa(AibrixKpaSettings(scale_down_delay=180.0)), ready=8)
    told.until(700.0)
    # Eight until panic, in which it begins, is over (60 s) and the delay after it; then half, and half again.
    assert [replicas for _, replicas in told.orders] == [8, 4, 2, 1]
    assert all(
        later - sooner >= 180.0 for (sooner, _), (later, _) in zip(told.orders[1:], told.orders[2:], strict=False)
    )


def test_aibrix_kpa_goes_no_faster_than_twice_what_is_ready() -> None:
    policy = AibrixKpa(AibrixKpaSettings(scale_down_delay=0.0, target=0.25))
    assert policy.step(observed(0.0, ready=1, kv=1.0)).replicas == 2
    assert policy.step(observed(10.0, ready=1, starting=1, kv=1.0)).replicas == 2
    assert policy.step(observed(20.0, ready=2, kv=1.0)).replicas == 4


@pytest.mark.parametrize(
    ("pods", "replicas"),
    [
        pytest.param({}, 4, id="all answer"),
        pytest.param({"pending": 1}, 3, id="one waits for a node"),
        pytest.param({"starting": 1}, 3, id="one starts"),
        pytest.param({"draining": 1}, 2, id="one ends"),
    ],
)
def test_aibrix_decides_nothing_while_a_pod_does_not_answer(pods: dict[str, int], replicas: int) -> None:
    seen = replace(
        observed(20.0, kv=1.0), replicas=ReplicaCounts(2 + sum(pods.values()) - pods.get("draining", 0), 2, **pods)
    )
    assert Apa(ApaSettings()).step(seen).replicas == replicas
    assert AibrixKpa(AibrixKpaSettings()).step(seen).replicas == replicas


def test_a_pod_may_answer_aibrix_before_it_is_ready() -> None:
    policy = Apa(ApaSettings(window=1.0, answers=15.0))
    assert policy.step(observed(0.0, ready=2, kv=1.0)).replicas == 4
    assert policy.step(observed(10.0, ready=2, starting=2)).replicas == 4
    assert policy.step(observed(20.0, ready=2, starting=2)).replicas == 1


@pytest.mark.parametrize(
    ("ready", "kv", "queue", "wanted"),
    [
        pytest.param(2, 0.75, 0.0, 3, id="spare cache below 0.10"),
        pytest.param(2, 0.69, 2.0, 2, id="spare on both counts, but not over one"),
        pytest.param(2, 0.30, 2.5, 3, id="spare queue below 3"),
        pytest.param(2, 0.85, 0.0, 3, id="saturated"),
        pytest.param(3, 0.40, 0.0, 2, id="what is left is safe over two"),
        pytest.param(1, 0.0, 0.0, 1, id="the last one stays"),
    ],
)
def test_wva_saturation(ready: int, kv: float, queue: float, wanted: int) -> None:
    assert saturation(WvaSettings(), ready, kv, queue) == wanted


def test_wva_by_its_model_keeps_the_batch_within_the_objective() -> None:
    # 20 ms + 0.5 ms · batch ≤ 30 ms: twenty at a time.
    assert most_batch(service(llm=True), 0.030) == 20.0
    assert most_batch(service(llm=True), 0.001) == 1.0


@pytest.mark.parametrize(
    ("wanted", "ready", "share", "asked"),
    [
        pytest.param(4, 4, 1.1, 8, id="twice the threshold: twice as many"),
        pytest.param(4, 2, 1.1, 4, id="what is starting will answer it"),
        pytest.param(4, 4, 0.5, 4, id="between the thresholds"),
        pytest.param(4, 4, 0.2, 2, id="half of the lower one: half as many"),
        pytest.param(4, 4, 0.39, 4, id="rounded towards staying"),
    ],
)
def test_the_slo_law(wanted: int, ready: int, share: float, asked: int) -> None:
    assert slo_law(SloLawSettings(), wanted, ready, share) == asked


def test_the_slo_law_lets_one_go_every_two_minutes_and_waits_three_before_it() -> None:
    told = Told(SloLaw(SloLawSettings(), service(llm=True)), ready=6)
    told.until(900.0)
    # Nothing to do from the beginning on: six were wanted then, and count as wanted for three minutes.
    assert told.orders == [(0.0, 6), (180.0, 5), (300.0, 4), (420.0, 3), (540.0, 2), (660.0, 1)]


@pytest.mark.parametrize(
    ("running", "ongoing", "factor", "wanted"),
    [
        # Ray's own test: target 2 and ten ongoing over one replica → 5; half of the load halves.
        (1, 10.0, 1.0, 5),
        (4, 4.0, 1.0, 2),
        (4, 8.0, 1.0, 4),
        (10, 40.0, 0.5, 15),
        (10, 16.0, 0.5, 9),
        (1, 0.0, 1.0, 1),
    ],
)
def test_ray_serve(running: int, ongoing: float, factor: float, wanted: int) -> None:
    settings = RayServeSettings(upscaling_factor=factor, downscaling_factor=factor)
    assert ray_serve(settings, running, ongoing) == wanted


def test_ray_serve_waits_half_a_minute_for_more_and_ten_for_fewer() -> None:
    told = Told(RayServe(RayServeSettings(look_back=10.0)), ready=1)
    told.until(100.0, load=4.0)
    told.until(2000.0, load=1.0)
    assert told.orders == [(0.0, 1), (30.0, 2), (710.0, 1)]


def test_ray_serve_goes_to_zero_by_way_of_one_and_comes_back_at_once() -> None:
    told = Told(RayServe(RayServeSettings(min_replicas=0, downscale_delay=60.0)), ready=3)
    told.until(400.0)
    assert [replicas for _, replicas in told.orders] == [3, 1, 0]
    assert told.policy.step(observed(401.0, ready=0, held=1.0, urgent=True)).replicas == 1


def test_keep_alive_has_a_timer_for_each_replica() -> None:
    told = Told(KeepAlive(KeepAliveSettings(idle=100.0), service(limit=1)), ready=0)
    told.until(10.0, load=3.0)
    told.until(50.0, load=1.0)
    told.until(300.0)
    assert [replicas for _, replicas in told.orders] == [3, 1, 0]
    assert [at for at, _ in told.orders[1:]] == pytest.approx([110.0, 150.0], abs=2.0)


@pytest.mark.parametrize(
    ("settings", "limit", "expected"),
    [
        (KnativeSettings(), 0, {"target": 100.0}),
        (KnativeSettings(), 10, {"target": 10.0, "container_concurrency": 10}),
        (KnativeSettings(target=3.0, stable_window=30.0), 10, {"target": 3.0, "stable_window_seconds": 30.0}),
    ],
)
def test_knative_is_our_own_decider_in_knative_s_terms(
    settings: KnativeSettings, limit: int, expected: dict[str, object]
) -> None:
    policy = settings.policy(service(limit))
    pure = Improvements(
        starting_replicas_count=False, backlog_sizing=False, one_before_zero=False, throughput_floor=False
    )
    defaults = ScalingPolicy(initial_scale=1, improvements=pure)
    assert {name: getattr(policy, name) for name in expected} == expected
    for name in ("panic_window_fraction", "panic_threshold", "max_scale_up_rate", "scale_to_zero_grace_seconds"):
        assert getattr(policy, name) == getattr(defaults, name)
    assert policy.improvements == pure
