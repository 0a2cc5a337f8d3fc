"""The life of replicas: phases, nodes, caches, bandwidth, failures, the way out."""

from __future__ import annotations

import numpy as np
import pytest

from simulations.plant.plant import SimulatedPlant
from simulations.plant.results import GpuUse, Outcome
from simulations.scenario import Clients, ClusterSpec, Scenario, ScenarioError, StartDraws, StartPhase, constant
from tests.unit.simulations.plant.plant_worlds import Arrivals, Script, run, service

PHASES = StartDraws(
    "each its own",
    schedule=constant(1.0),
    node=constant(100.0),
    image=constant(20.0),
    image_cached=constant(2.0),
    runtime=constant(3.0),
    weights=constant(40.0),
    weights_cached=constant(4.0),
    engine=constant(5.0),
)
NOTHING = Arrivals([])


def test_a_start_on_a_warm_node_goes_through_its_phases() -> None:
    results, _ = run(NOTHING, Script((0.0, 1)), start=PHASES)
    assert results.starts == 1
    assert sum(results.phase_seconds.values()) == 1.0 + 2.0 + 3.0 + 4.0 + 5.0
    assert results.phase_seconds[StartPhase.NODE] == 0.0
    assert results.gpu_seconds[GpuUse.STARTING] == 14.0  # not paid before it is placed
    assert results.gpu_seconds[GpuUse.IDLE] == 1000.0 - 15.0


def test_the_second_start_on_a_node_finds_image_and_weights() -> None:
    cluster = ClusterSpec(gpus_per_node=8, caches_warm=False)
    results, _ = run(NOTHING, Script((0.0, 1), (200.0, 2)), start=PHASES, cluster=cluster)
    assert results.phase_seconds[StartPhase.IMAGE] == 20.0 + 2.0
    assert results.phase_seconds[StartPhase.WEIGHTS] == 40.0 + 4.0


def test_a_node_is_made_when_none_has_room_and_goes_when_idle() -> None:
    cluster = ClusterSpec(gpus_per_node=1, nodes=1, most_nodes=2, node_idle_seconds=60.0)
    results, over = run(NOTHING, Script((0.0, 2), (300.0, 1)), start=PHASES, cluster=cluster)
    assert results.phase_seconds[StartPhase.NODE] == 100.0
    assert results.phase_seconds[StartPhase.IMAGE] == 2.0 + 20.0
    made_for = (300.0 - 1.0) + 60.0
    assert over.results.node_gpu_seconds == pytest.approx(1000.0 + made_for)
    assert over.results.most_gpus == 2


def test_without_a_gpu_a_replica_is_pending_until_one_is_free() -> None:
    policy = Script((0.0, 3))
    results, _ = run(NOTHING, policy, gpus=2, cluster=ClusterSpec.of_gpus(5))
    assert (policy.seen[50].replicas.ready, policy.seen[50].replicas.pending) == (2, 1)
    assert results.starts == 2


def test_services_share_gpus_in_the_order_in_which_they_ask() -> None:
    scenario = Scenario((service("a"), service("b")), ClusterSpec.of_gpus(1))
    plant = SimulatedPlant(scenario, NOTHING, compiled=False)
    plant.order(0, 1)
    plant.advance(5.0)
    plant.order(1, 1)
    plant.advance(100.0)
    assert plant.observe(1).replicas.pending == 1
    plant.order(0, 0)
    plant.advance(110.0)
    assert plant.observe(1).replicas.ready == 1


def test_transfers_share_the_bandwidth_there_is() -> None:
    cluster = ClusterSpec(gpus_per_node=1, nodes=4, caches_warm=False, weight_streams=2.0)
    start = StartDraws("weights", weights=constant(10.0))
    alone, _ = run(NOTHING, Script((0.0, 1)), start=start, cluster=cluster)
    together, _ = run(NOTHING, Script((0.0, 4)), start=start, cluster=cluster)
    assert alone.phase_seconds[StartPhase.WEIGHTS] == pytest.approx(10.0)
    assert together.phase_seconds[StartPhase.WEIGHTS] == pytest.approx(4 * 20.0)


def test_a_transfer_that_begins_later_slows_the_first() -> None:
    cluster = ClusterSpec(gpus_per_node=1, nodes=2, caches_warm=False, weight_streams=1.0)
    start = StartDraws("weights", weights=constant(10.0))
    results, _ = run(NOTHING, Script((0.0, 1), (5.0, 2)), start=start, cluster=cluster)
    # 5 s alone, 10 s shared for its other half; the second has then had its half and goes on alone.
    assert results.phase_seconds[StartPhase.WEIGHTS] == pytest.approx(15.0 + 15.0)


def test_a_start_that_fails_is_paid_for_and_tried_again() -> None:
    start = StartDraws("fails", engine=constant(10.0), failure=0.5, backoff=10.0)
    results, _ = run(NOTHING, Script((0.0, 20)), start=start)
    assert results.starts == 20
    assert results.failed_starts > 5
    assert results.gpu_seconds[GpuUse.FAILED] >= results.failed_starts * 20.0
    assert results.gpu_seconds[GpuUse.STARTING] == pytest.approx(20 * 10.0)


def test_a_node_that_is_taken_back_takes_its_replica_and_another_is_begun_unasked() -> None:
    policy = Script((0.0, 20))
    results, _ = run(NOTHING, policy, reclaims=6.0)
    # 20 replicas for 990 s, six times an hour each: 33, and each of them ten seconds for a start.
    assert 20 < results.reclaimed < 48
    assert results.starts == pytest.approx(20 + results.reclaimed, abs=1)
    assert results.raised == 20
    assert policy.seen[-1].replicas.wanted == 20


def test_what_is_not_finished_within_the_notice_is_cut_off_and_tried_again() -> None:
    work = Arrivals([float(at) for at in range(0, 900, 3)], [40.0] * 300)
    told, _ = run(work, Script((0.0, 20)), initial=20, reclaims=20.0, reclaim_notice=60.0)
    untold, _ = run(work, Script((0.0, 20)), initial=20, reclaims=20.0, reclaim_notice=0.0)
    assert told.outcomes[Outcome.CUT] == 0
    assert untold.outcomes[Outcome.CUT] > 10
    clients = Clients(retries=5)
    retried, _ = run(work, Script((0.0, 20)), initial=20, reclaims=20.0, reclaim_notice=0.0, clients=clients)
    assert retried.outcomes[Outcome.CUT] == 0
    assert retried.attempts > retried.requests


def test_the_same_start_lives_as_long_whoever_ordered_it_when() -> None:
    early, late = Script((0.0, 3)), Script((100.0, 3))
    run(NOTHING, early, reclaims=30.0)
    run(NOTHING, late, reclaims=30.0)
    ready = [[seen.replicas.ready for seen in policy.seen] for policy in (early, late)]
    assert ready[0][:800] == ready[1][100:900]


def test_the_same_start_draws_the_same_time_whenever_it_happens() -> None:
    start = StartDraws("drawn", engine=np.linspace(1.0, 100.0, 997))
    early, _ = run(NOTHING, Script((0.0, 5)), start=start)
    late, _ = run(NOTHING, Script((0.0, 1), (300.0, 5)), start=start)
    assert early.phase_seconds == pytest.approx(late.phase_seconds)


def test_a_busy_replica_finishes_what_it_has_and_gets_nothing_more() -> None:
    policy = Script((2.0, 0))
    results, _ = run(Arrivals([1.0, 3.0], [30.0, 1.0]), policy, initial=1)
    assert policy.seen[10].replicas.draining == 1
    assert policy.seen[40].replicas.draining == 0
    assert results.outcomes[Outcome.COMPLETED] == 1
    assert results.outcomes[Outcome.REFUSED_NO_ENDPOINT] == 1
    assert results.gpu_seconds[GpuUse.DRAINING] == pytest.approx(29.0)


def test_a_replica_that_drains_too_long_is_killed() -> None:
    results, _ = run(Arrivals([1.0], [300.0]), Script((2.0, 0)), initial=1, drain_seconds=10.0)
    assert results.outcomes[Outcome.CUT] == 1
    assert results.gpu_seconds[GpuUse.DRAINING] == pytest.approx(10.0)


def test_a_replica_holds_its_gpus_until_its_process_has_ended() -> None:
    policy = Script((2.0, 1), (20.0, 0))
    results, _ = run(Arrivals([1.0], [10.0]), policy, initial=2, stop_seconds=4.0)
    assert [policy.seen[at].replicas.draining for at in (1, 3, 5, 7, 19, 21, 25)] == [0, 1, 1, 0, 0, 1, 0]
    assert results.outcomes[Outcome.COMPLETED] == 1
    assert results.gpu_seconds[GpuUse.DRAINING] == pytest.approx(8.0)


def test_a_start_that_is_given_up_holds_its_gpus_until_its_process_has_ended() -> None:
    policy = Script((0.0, 1), (5.0, 0))
    results, _ = run(NOTHING, policy, stop_seconds=4.0)
    assert [policy.seen[at].replicas.draining for at in (4, 6, 8, 10)] == [0, 1, 1, 0]
    assert results.gpu_seconds[GpuUse.STARTING] == pytest.approx(5.0)
    assert results.gpu_seconds[GpuUse.DRAINING] == pytest.approx(4.0)


def test_the_idlest_replica_goes_first() -> None:
    policy = Script((2.0, 1))
    results, _ = run(Arrivals([1.0], [50.0]), policy, initial=3)
    assert results.gpu_seconds[GpuUse.DRAINING] == 0.0
    assert results.outcomes[Outcome.COMPLETED] == 1


def test_a_starting_replica_goes_before_one_that_is_ready() -> None:
    policy = Script((0.0, 2), (5.0, 1))
    run(NOTHING, policy, initial=1)
    assert policy.seen[7].replicas.ready == 1
    assert policy.seen[7].replicas.starting == 0


def test_nobody_can_order_a_negative_number() -> None:
    plant = SimulatedPlant(Scenario((service(),)), NOTHING, compiled=False)
    with pytest.raises(ScenarioError, match="-1 replicas cannot be ordered"):
        plant.order(0, -1)


def test_a_wake_is_expected_to_take_what_nine_of_ten_did() -> None:
    policy = Script((0.0, 1))
    run(NOTHING, policy)
    assert policy.seen[5].wake_seconds is None
    assert policy.seen[11].wake_seconds == 10.0
