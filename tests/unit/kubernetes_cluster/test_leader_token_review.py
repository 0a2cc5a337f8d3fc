"""Whose token lets an activator in, what is remembered of it, and what strangers may cost."""

from __future__ import annotations

import asyncio

import pytest

from autoscaler.cluster.interface import NotAuthenticatedError
from autoscaler.cluster.kubernetes.json_object import JsonObject
from autoscaler.cluster.kubernetes.token_review import ActivatorAuthenticator, ReviewSettings, TokenReviewer
from tests.unit.kubernetes_cluster.token_reviews import Reviews, status

pytestmark = pytest.mark.looptime


def reviewer(reviews: Reviews, settings: ReviewSettings = ReviewSettings()) -> ActivatorAuthenticator:  # noqa: B008
    one = TokenReviewer(reviews, asyncio.get_running_loop().time, settings)
    return ActivatorAuthenticator(one, "pilotlight-system/pilotlight-activator")


async def refused(one: ActivatorAuthenticator, authorization: str, activator: str = "a") -> NotAuthenticatedError:
    with pytest.raises(NotAuthenticatedError) as error:
        await one.authenticate(authorization, activator)
    return error.value


async def test_our_activators_token_lets_in_and_is_asked_for_once_a_minute() -> None:
    reviews = Reviews({"t": status()})
    one = reviewer(reviews)
    for _ in range(3):
        await one.authenticate("Bearer t", "a")
    assert reviews.asked == ["t"]
    await asyncio.sleep(60)
    await one.authenticate("bearer t", "a")
    assert reviews.asked == ["t", "t"]


async def test_a_token_that_was_made_for_a_pod_speaks_for_that_activator_only() -> None:
    one = reviewer(Reviews({"t": status(pod="activator-1")}))
    await one.authenticate("Bearer t", "activator-1")
    assert (await refused(one, "Bearer t", "activator-2")).status == 403


@pytest.mark.parametrize(
    "authorization", ["", "t", "Basic t", "Bearer", "Bearer  ", f"Bearer {'x' * 16_385}", "Bearer é"]
)
async def test_what_cannot_be_a_token_is_refused_without_asking(authorization: str) -> None:
    reviews = Reviews({})
    assert (await refused(reviewer(reviews), authorization)).status == 401
    assert reviews.asked == []


@pytest.mark.parametrize(
    "said",
    [
        {},
        status(known=False),
        status(known="true"),
        status(user="system:serviceaccount:default:pilotlight-activator"),
        status(user="system:serviceaccount:pilotlight-system:pilotlight-activator-2"),
        status(audiences=("https://kubernetes.default.svc",)),
        status(audiences=()),
        status(audiences="pilotlight-controller"),
        status(audiences=None),
    ],
)
async def test_anybody_elses_token_is_refused(said: JsonObject) -> None:
    assert (await refused(reviewer(Reviews({"t": said})), "Bearer t")).status == 403


async def test_a_refusal_is_remembered_for_ten_seconds() -> None:
    reviews = Reviews({})
    one = reviewer(reviews)
    await refused(one, "Bearer t")
    await refused(one, "Bearer t")
    reviews.known["t"] = status()
    await asyncio.sleep(10)
    await one.authenticate("Bearer t", "a")
    assert reviews.asked == ["t", "t"]


async def test_when_nobody_can_tell_that_is_said_and_not_remembered() -> None:
    reviews = Reviews({"t": status()})
    one = reviewer(reviews)
    reviews.fails = True
    assert (await refused(one, "Bearer t")).status == 503
    reviews.fails = False
    await one.authenticate("Bearer t", "a")


async def test_what_the_refusal_says_does_not_hold_the_token() -> None:
    assert "secret" not in str(await refused(reviewer(Reviews({})), "Bearer secret"))


async def test_many_with_one_token_are_one_question() -> None:
    reviews = Reviews({"t": status()})
    one = reviewer(reviews)
    await asyncio.gather(*(one.authenticate("Bearer t", "a") for _ in range(20)))
    assert reviews.asked == ["t"]


async def test_who_asked_first_and_goes_away_does_not_take_the_answer_along() -> None:
    one = reviewer(Reviews({"t": status()}))
    first = asyncio.create_task(one.authenticate("Bearer t", "a"))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(one.authenticate("Bearer t", "a"))
    await asyncio.sleep(0)
    first.cancel()
    await second


async def test_strangers_with_ever_new_tokens_keep_few_questions_under_way_and_few_answers() -> None:
    reviews = Reviews({})
    one = reviewer(reviews, ReviewSettings(remembered=10, at_once=4))
    await asyncio.gather(*(refused(one, f"Bearer t{number}") for number in range(100)))
    assert reviews.most_at_once == 4
    assert len(one._reviewer._remembered) == 10


async def test_no_more_strangers_wait_for_an_answer_than_are_allowed() -> None:
    one = reviewer(Reviews({}), ReviewSettings(at_once=1, in_line=3))
    statuses = [(await error).status for error in [asyncio.create_task(refused(one, f"Bearer t{n}")) for n in range(5)]]
    assert statuses == [403, 403, 403, 503, 503]
    assert (await refused(one, "Bearer t5")).status == 403
