"""Isochronous streams of a redirected device: frames of 1 ms, paced by a clock that never slips.

A guest asks for transfers of several frames; like a host's controller, a stream exchanges one
transfer at a time and keeps to the schedule that its start laid down.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

FRAME_S: Final = 0.001
CATCH_UP_S: Final = 0.2
MAX_PACKETS: Final = 32
MAX_QUEUED: Final = 256


class Stream:
    """Calls ``exchange`` once for every frame, a transfer's worth at a time.

    Args:
        packets: Frames in a transfer, 1 to 32; what is outside is brought inside.
        exchange: Moves one frame.
        counters: Where ``late`` transfers and ``skipped`` frames are counted.
    """

    def __init__(self, packets: int, exchange: Callable[[], None], counters: Counter[str]) -> None:
        self._packets = min(max(packets, 1), MAX_PACKETS)
        self._period_s = self._packets * FRAME_S
        self._exchange = exchange
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._epoch = self._loop.time()
        self._next = self._schedule(1)

    def stop(self) -> None:
        """Exchanges nothing from now on."""
        self._next.cancel()

    def _schedule(self, number: int) -> asyncio.TimerHandle:
        return self._loop.call_at(self._epoch + number * self._period_s, self._run, number)

    def _run(self, number: int) -> None:
        behind = int((self._loop.time() - self._epoch) / self._period_s) - number
        self._counters["late"] += behind > 0
        if behind * self._period_s > CATCH_UP_S:
            self._counters["skipped"] += behind * self._packets
            number += behind
        self._next = self._schedule(number + 1)
        for _ in range(self._packets):
            self._exchange()


class PlaybackQueue:
    """What a guest said ahead of time, bounded: the oldest frame gives way and is counted."""

    def __init__(self, counters: Counter[str]) -> None:
        self._frames: deque[bytes] = deque(maxlen=MAX_QUEUED)
        self._counters = counters

    def put(self, frame: bytes) -> None:
        """Adds a frame."""
        self._counters["dropped"] += len(self._frames) == MAX_QUEUED
        self._frames.append(frame)

    def take(self) -> bytes:
        """Returns the next frame, nothing when the guest has said nothing."""
        return self._frames.popleft() if self._frames else b""
