import asyncio

import pytest

from openturret.firmware.services.changes import Changes


async def test_rings_while_the_reader_is_busy_become_one() -> None:
    changes = Changes()
    reader = changes.rings()
    waiting = asyncio.ensure_future(anext(reader))
    await asyncio.sleep(0)
    for _ in range(5):
        changes.ring()
    await asyncio.wait_for(waiting, 1)
    changes.ring()
    changes.ring()
    await asyncio.wait_for(anext(reader), 1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(reader), 0.01)


async def test_every_reader_wakes() -> None:
    changes = Changes()
    waiting = [asyncio.ensure_future(anext(changes.rings())) for _ in range(3)]
    await asyncio.sleep(0)
    changes.ring()
    await asyncio.wait_for(asyncio.gather(*waiting), 1)
