"""When a controller that has just started may decide."""

from __future__ import annotations

from autoscaler.controller.service.warmup import ActivatorsHeard, ReplicasHeard
from autoscaler.controller.settings import Cadence

CADENCE = Cadence(
    activator_connect=2.0, activator_push=1.5, activator_rest=0.5, first_scrapes=3.0, first_scrapes_queued=12.0
)


def test_without_an_activator_the_time_to_connect_is_waited_out() -> None:
    heard = ActivatorsHeard(CADENCE, now=100.0)
    assert heard.until(()) > 101.9
    assert heard.until(()) <= 102.0


def test_an_activator_that_told_of_the_service_ends_the_wait() -> None:
    heard = ActivatorsHeard(CADENCE, now=100.0)
    heard.connected("a", 100.1)
    assert heard.until(()) > 100.2
    heard.pushed("a", 100.2)
    assert heard.until({"a"}) <= 100.2


def test_a_service_that_is_not_in_the_first_push_waits_a_little_for_the_next() -> None:
    heard = ActivatorsHeard(CADENCE, now=100.0)
    heard.connected("a", 100.1)
    heard.pushed("a", 100.2)
    assert heard.until(()) > 100.6
    assert heard.until(()) <= 100.7


def test_every_activator_that_has_connected_is_waited_for() -> None:
    heard = ActivatorsHeard(CADENCE, now=100.0)
    heard.connected("a", 100.1)
    heard.connected("b", 100.1)
    heard.pushed("a", 100.2)
    assert heard.until({"a"}) > 100.3


def test_one_that_connects_and_says_nothing_is_waited_for_so_long_and_no_longer() -> None:
    heard = ActivatorsHeard(CADENCE, now=100.0)
    heard.connected("a", 101.0)
    assert heard.until(()) > 102.4
    assert heard.until(()) <= 102.5


def test_one_that_goes_without_a_word_may_come_again_while_there_is_time() -> None:
    heard = ActivatorsHeard(CADENCE, now=100.0)
    heard.connected("a", 100.1)
    heard.disconnected("a")
    assert heard.until(()) > 101.0
    assert heard.until(()) <= 102.0


def test_one_that_connects_later_holds_nobody_up() -> None:
    heard = ActivatorsHeard(CADENCE, now=100.0)
    heard.connected("late", 110.0)
    assert heard.until(()) <= 110.0


def test_every_replica_is_waited_for() -> None:
    heard = ReplicasHeard(CADENCE, {"a", "b"}, now=100.0)
    heard.scraped("a")
    assert heard.until(queued=False) > 100.5
    heard.scraped("b")
    assert heard.until(queued=False) <= 100.5


def test_a_replica_that_never_answers_is_waited_for_so_long_and_no_longer() -> None:
    heard = ReplicasHeard(CADENCE, {"a"}, now=100.0)
    assert heard.until(queued=False) > 102.9
    assert heard.until(queued=False) <= 103.0


def test_a_replica_that_is_gone_is_not_waited_for() -> None:
    heard = ReplicasHeard(CADENCE, {"a", "b"}, now=100.0)
    heard.scraped("a")
    heard.keep({"a"})
    assert heard.until(queued=False) <= 100.1


def test_a_replica_that_was_not_asked_yet_because_others_are_before_it_is_waited_for() -> None:
    heard = ReplicasHeard(CADENCE, {"a", "b", "c"}, now=100.0)
    heard.scraped("a")
    assert heard.until(queued=True) > 103.1
    heard.scraped("b")
    heard.scraped("c")
    assert heard.until(queued=True) <= 103.2


def test_but_not_for_ever() -> None:
    heard = ReplicasHeard(CADENCE, {"a"}, now=100.0)
    assert heard.until(queued=True) > 111.9
    assert heard.until(queued=True) <= 112.0
