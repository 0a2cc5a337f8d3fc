"""A bell that is waited for for a while."""

from __future__ import annotations

import asyncio

from autoscaler.controller.service.bell import Bell


async def test_who_waits_is_woken_by_the_bell() -> None:
    bell = Bell()
    waiting = asyncio.create_task(bell.rung_within(60.0))
    await asyncio.sleep(0)
    bell.ring()
    assert await waiting


async def test_a_bell_that_was_rung_before_is_not_waited_for_until_it_is_hushed() -> None:
    bell = Bell()
    bell.ring()
    assert await bell.rung_within(0.0)
    bell.hush()
    assert not await bell.rung_within(0.0)


async def test_a_bell_rung_as_the_time_is_over_counts() -> None:
    bell = Bell()
    waiting = asyncio.create_task(bell.rung_within(0.0))
    await asyncio.sleep(0)
    bell.ring()
    bell.ring()
    assert await waiting


async def test_who_waits_can_be_cancelled_and_leaves_nothing_behind() -> None:
    bell = Bell()
    waiting = asyncio.create_task(bell.rung_within(60.0))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting.cancelled()
    bell.ring()
    assert await bell.rung_within(60.0)
