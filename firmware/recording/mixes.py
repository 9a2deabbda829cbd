"""What is recorded: both handsets in one mix, speaker channels three to a mix."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from ...hal.matrix import Codec, MixingMatrix
from .cti import CHANNELS_PER_MIX, HANDSETS, mix_of

logger = logging.getLogger(__name__)

CODEC = Codec.PCMU


def mixes(channels: int) -> Mapping[str, tuple[str, ...]]:
    """Returns each recording with the buses it taps.

    >>> list(mixes(4).values())
    [('handset-left', 'handset-right'), ('channel-1', 'channel-2', 'channel-3'), ('channel-4',)]
    """
    found: dict[str, tuple[str, ...]] = {HANDSETS: ("handset-left", "handset-right")}
    for first in range(1, channels + 1, CHANNELS_PER_MIX):
        last = min(first + CHANNELS_PER_MIX, channels + 1)
        found[mix_of(f"channel-{first}")] = tuple(f"channel-{n}" for n in range(first, last))
    return found


async def open_mixes(matrix: MixingMatrix, channels: int) -> tuple[str, ...]:
    """Opens and taps what is not open yet; returns the labels, handsets first.

    Raises:
        MatrixError: The matrix refused or is gone.
    """
    wanted = mixes(channels)
    there = {recording.name: recording for recording in await matrix.recording_list()}
    for name, buses in wanted.items():
        if name not in there:
            await matrix.recording_open(name, codec=CODEC)
        tapped = there[name].buses if name in there else ()
        for bus in buses:
            if bus not in tapped:
                await matrix.recording_tap(name, bus)
    return tuple(wanted)


async def close_mixes(matrix: MixingMatrix, labels: tuple[str, ...]) -> None:
    """Closes recordings with everything that hangs on them.

    Raises:
        MatrixError: The matrix refused or is gone.
    """
    there = {recording.name for recording in await matrix.recording_list()}
    for label in labels:
        if label in there:
            await matrix.recording_close(label)
