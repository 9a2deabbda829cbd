import asyncio

from openturret.boot.bell import Bell


async def test_a_bell_wakes_everybody_who_waits_and_nobody_later() -> None:
    bell = Bell()
    waiting = [asyncio.create_task(bell.wait(600)) for _ in range(3)]
    await asyncio.sleep(0)
    bell.ring()
    assert await asyncio.gather(*waiting) == [True, True, True]
    assert not await bell.wait(0.001)


async def test_a_wait_ends_by_itself() -> None:
    assert not await Bell().wait(0.001)
