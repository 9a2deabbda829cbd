"""What the desk asks of the mixing matrix for a line: a leg, its target, its bus."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from functools import partial

from ...hal.errors import MatrixConflictError, MatrixError, UnknownPortError
from ...hal.matrix import Codec, LegTarget, MixingMatrix, device_port, leg_port
from .events import LocalMedia, NegotiatedMedia
from .line import Line

logger = logging.getLogger(__name__)
UNITY_DB = 0.0
SPEAKER_RATE_HZ = 8_000
"""The open lines are narrow, and there may be 32 of them, whatever the loudspeaker can do."""
EXPECTED_LOSS_PERCENT = 5
"""What Opus reckons with where the far end can recover: below 1 it recovers nothing."""


def rate_of(bus: str) -> int | None:
    """Returns the rate that a bus of the desk is to have; None is that of its device.

    A narrow handset would gain nothing from a wider bus but two resamplers.

    >>> rate_of("handset-left"), rate_of("channel-3")
    (None, 8000)
    """
    return None if bus.startswith("handset-") else SPEAKER_RATE_HZ


def codec_of(name: str, bus: str) -> Codec:
    """Returns the matrix's codec for the one that SDP names; our end of Opus suits the bus.

    >>> codec_of("OPUS", "handset-left").value, codec_of("PCMU", "channel-1").value
    ('OPUS_16K', 'PCMU')
    """
    if name != "OPUS":
        return Codec(name)
    return Codec.OPUS_8K if rate_of(bus) == SPEAKER_RATE_HZ else Codec.OPUS_16K


def target_of(media: NegotiatedMedia, before: LegTarget | None, bus: str) -> LegTarget | None:
    """Translates what was negotiated; an inactive line keeps its target but neither way flows."""
    if media.remote_rtp_port == 0:
        return None if before is None else replace(before, send=False, receive=False)
    return LegTarget(
        media.remote_address,
        media.remote_rtp_port,
        codec_of(media.codec, bus),
        media.payload_type,
        media.remote_rtcp_port,
        media.ptime_ms,
        media.send,
        media.receive,
        event_type=media.event_payload_type,
        fec=media.fec,
        loss_percent=EXPECTED_LOSS_PERCENT if media.fec else 0,
        dtx=media.dtx,
    )


class Voice:
    """Legs and buses of the desk's lines.

    Args:
        matrix: Whoever mixes.
    """

    def __init__(self, matrix: MixingMatrix) -> None:
        self._matrix = matrix

    async def open(self, line: Line) -> LocalMedia:
        """Gives the line a leg, or keeps the one it has; returns our end of the offer.

        Raises:
            MatrixError: No port is left, or the matrix is gone.
        """
        if line.leg is None:
            line.leg = await self._matrix.leg_open(tag=line.tag())
        return LocalMedia(line.leg.address, line.leg.rtp_port)

    async def connect(self, line: Line, media: NegotiatedMedia) -> None:
        """Points the leg at what was negotiated; the same target again changes nothing.

        Raises:
            MatrixError: The leg is not there, or the matrix is gone.
        """
        target = target_of(media, line.target, line.bus)
        if line.leg is None or target is None or target == line.target:
            return
        await self._matrix.leg_connect(line.leg.leg, target)
        line.leg = replace(line.leg, codec=target.codec, target=target)
        line.target = target

    async def legs(self) -> frozenset[tuple[int, int]]:
        """Returns number and SSRC of every leg; a restarted matrix uses the numbers again.

        Raises:
            MatrixError: The matrix is gone.
        """
        return frozenset((leg.leg, leg.ssrc) for leg in await self._matrix.leg_list())

    async def retag(self, line: Line) -> None:
        """Writes the line's present state onto its leg."""
        if line.leg is not None:
            await self._matrix.leg_tag(line.leg.leg, line.tag())

    async def join(self, line: Line) -> None:
        """Puts the leg on the line's bus."""
        if line.leg is not None and line.bus:
            await self._put(line.bus, leg_port(line.leg.leg), UNITY_DB, UNITY_DB)

    async def leave(self, line: Line) -> None:
        """Takes the leg off the line's bus; nothing when it is not on it."""
        if line.leg is not None and line.bus:
            with suppress(UnknownPortError):
                await self._matrix.bus_leave(line.bus, leg_port(line.leg.leg))

    async def close(self, line: Line) -> None:
        """Closes the leg; one that is gone already is no error."""
        leg, line.leg, line.target = line.leg, None, None
        if leg is None:
            return
        try:
            await self._matrix.leg_close(leg.leg)
        except MatrixError as error:
            logger.warning("leg %d not closed: %s", leg.leg, error)

    async def device_on(
        self, bus: str, position: str, *, talk_db: float | None, listen_db: float | None
    ) -> None:
        """Puts a device on a bus, or changes its gains there.

        Raises:
            MatrixError: There is no such device, or the matrix is gone.
        """
        await self._put(bus, device_port(position), talk_db, listen_db)

    async def device_off(self, bus: str, position: str) -> None:
        """Takes a device off a bus; nothing when it is not on it."""
        with suppress(UnknownPortError):
            await self._matrix.bus_leave(bus, device_port(position))

    async def _put(
        self, bus: str, port: str, talk_db: float | None, listen_db: float | None
    ) -> None:
        """Puts a port on a bus; one that somebody made at another rate is taken as it is."""
        join = partial(self._matrix.bus_join, bus, port, talk_db=talk_db, listen_db=listen_db)
        try:
            await join(rate_hz=rate_of(bus))
        except MatrixConflictError as error:
            logger.info("%s", error)
            await join()
