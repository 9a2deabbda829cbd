import asyncio

from openturret.hal import EventHub, HookEvent, HookState, KeyEvent, Overflow


def key(number: int) -> KeyEvent:
    return KeyEvent(float(number), "panel", f"key-{number}", pressed=True)


async def test_events_come_in_order_to_every_reader() -> None:
    hub = EventHub()
    readers = [hub.subscribe(), hub.subscribe()]
    lifted = HookEvent(1.0, "handset-left", HookState.OFF_HOOK)
    hub.publish(lifted)
    hub.publish(key(2))
    for reader in readers:
        assert [await anext(reader), await anext(reader)] == [lifted, key(2)]


async def test_a_slow_reader_loses_the_oldest_and_is_told_how_many() -> None:
    hub = EventHub(limit=3)
    reader = hub.subscribe()
    for number in range(5):
        hub.publish(key(number))
    assert await anext(reader) == Overflow(lost=2)
    assert [await anext(reader) for _ in range(3)] == [key(2), key(3), key(4)]


async def test_a_waiting_reader_is_woken() -> None:
    hub = EventHub()
    reader = hub.subscribe()
    waiting = asyncio.create_task(anext(reader))
    asyncio.get_running_loop().call_soon(hub.publish, key(1))
    assert await waiting == key(1)


async def test_closing_ends_the_iteration_after_what_is_queued() -> None:
    hub = EventHub()
    reader = hub.subscribe()
    hub.publish(key(1))
    hub.close()
    assert [event async for event in reader] == [key(1)]
