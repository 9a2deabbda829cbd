"""What the desk makes of what was negotiated, and how its ports get on their buses."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from openturret.firmware.calls.events import NegotiatedMedia
from openturret.firmware.calls.line import CallKind, Line
from openturret.firmware.calls.voice import Voice, target_of
from openturret.hal.errors import MatrixConflictError
from openturret.hal.matrix import Codec, Leg, LegTarget, MixingMatrix

MEDIA = NegotiatedMedia(
    0, "10.1.0.7", 4000, 4001, "OPUS", 96, 101, 20, send=True, receive=True, fec=True, dtx=True
)


@pytest.mark.parametrize(
    ("name", "bus", "codec"),
    [
        ("PCMU", "handset-left", Codec.PCMU),
        ("PCMA", "channel-1", Codec.PCMA),
        ("G722", "handset-right", Codec.G722),
        ("OPUS", "handset-left", Codec.OPUS_16K),
        ("OPUS", "channel-3", Codec.OPUS_8K),
    ],
)
def test_the_codec_suits_the_bus(name: str, bus: str, codec: Codec) -> None:
    target = target_of(replace(MEDIA, codec=name), None, bus)
    assert target is not None
    assert target.codec is codec


def test_what_was_negotiated_besides_reaches_the_leg() -> None:
    assert target_of(MEDIA, None, "handset-left") == LegTarget(
        "10.1.0.7",
        4000,
        Codec.OPUS_16K,
        96,
        4001,
        20,
        event_type=101,
        fec=True,
        loss_percent=5,
        dtx=True,
    )


def test_an_inactive_line_keeps_its_target_and_neither_way_flows() -> None:
    before = target_of(MEDIA, None, "handset-left")
    assert before is not None
    after = target_of(NegotiatedMedia(0), before, "handset-left")
    assert after == replace(before, send=False, receive=False)
    assert target_of(NegotiatedMedia(0), None, "handset-left") is None


class NarrowMatrix:
    """A matrix whose buses somebody has made at 8 kHz already."""

    def __init__(self) -> None:
        self.joined: list[tuple[str, str]] = []

    async def bus_join(
        self,
        bus: str,
        port: str,
        *,
        talk_db: float | None = None,
        listen_db: float | None = None,
        rate_hz: int | None = None,
    ) -> None:
        if rate_hz not in (None, 8000):
            raise MatrixConflictError(f"bus {bus!r} mixes at 8000 Hz, not at {rate_hz} Hz")
        self.joined.append((bus, port))


async def test_a_bus_of_another_rate_costs_no_voice() -> None:
    matrix = NarrowMatrix()
    voice = Voice(cast(MixingMatrix, matrix))
    line = Line("x", CallKind.CALL, "handset-left", "sip:x@h")
    line.leg = Leg(7, 11000, 11001, 1, "127.0.0.1")
    await voice.join(line)
    await voice.device_on("handset-left", "handset-left", talk_db=0, listen_db=0)
    assert matrix.joined == [("handset-left", "leg:7"), ("handset-left", "device:handset-left")]
