"""The jitter buffer with every codec, at every rate, under a virtual clock."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openturret.c_ext._engine import ffi, lib

Pcm = npt.NDArray[np.int16]

CODECS = {
    "PCMU": lib.OT_PCMU,
    "PCMA": lib.OT_PCMA,
    "G722": lib.OT_G722,
    "L16-8k": lib.OT_L16_8K,
    "L16-16k": lib.OT_L16_16K,
    "L16-48k": lib.OT_L16_48K,
    "opus-8k": lib.OT_OPUS_8K,
    "opus-16k": lib.OT_OPUS_16K,
    "opus-48k": lib.OT_OPUS_48K,
}
AMPLITUDE = 8000
PACKET_OCTETS_MAX = 1472
VOICE, CONCEALED = lib.OT_GET_VOICE, lib.OT_GET_CONCEALED


class Line:
    """A sender of a steady tone and the buffer that hears it."""

    def __init__(self, codec: int, ptime_ms: int = 20, *, fec: bool = False) -> None:
        traits = lib.ot_codec_find(codec)
        if not traits:
            pytest.skip(f"codec {codec} is not built in")
        self.codec = codec
        self.rate_hz = traits.rate_hz
        self.units = traits.clock_hz * ptime_ms // 1000
        self.samples = traits.rate_hz * ptime_ms // 1000
        self.ticks = ptime_ms // 10
        self.tick_samples = traits.rate_hz // 100
        options = ffi.new("ot_encoder_options *")
        options.fec = fec
        options.loss_percent = 10 * fec
        encoder = ffi.new("ot_encoder **")
        assert lib.ot_encoder_create(encoder, codec, ptime_ms, options) == 0
        self._encoder = ffi.gc(encoder[0], lib.ot_encoder_destroy)
        out = ffi.new("ot_jitter **")
        assert lib.ot_jitter_create(out, codec, 60, 300) == 0
        self.buffer = ffi.gc(out[0], lib.ot_jitter_destroy)
        self.sent = 0
        self.speaks = False
        self.kinds: list[int] = []

    def tone(self, start: int, samples: int) -> Pcm:
        time = np.arange(start, start + samples) / self.rate_hz
        return (AMPLITUDE * np.sin(2 * np.pi * 200 * time)).astype(np.int16)

    def voice(self, start: int, samples: int) -> Pcm:
        """Something with a pitch that moves, harmonics and syllables."""
        time = np.arange(start, start + samples) / self.rate_hz
        turns = 120 * time - 30 * np.cos(2 * np.pi * 0.7 * time) / (2 * np.pi * 0.7)
        wave = np.sum([np.sin(2 * np.pi * k * turns) / k for k in range(1, 20)], axis=0)
        return np.asarray(5000 * (0.55 + 0.45 * np.sin(2 * np.pi * 3 * time)) * wave, np.int16)

    def next_payload(self) -> bytes:
        sound = self.voice if self.speaks else self.tone
        pcm = sound(self.sent * self.samples, self.samples)
        code = ffi.new("uint8_t[]", PACKET_OCTETS_MAX)
        octets = lib.ot_encoder_run(
            self.codec,
            self._encoder,
            code,
            PACKET_OCTETS_MAX,
            ffi.from_buffer("int16_t[]", pcm.data),
            self.samples,
        )
        assert octets > 0
        return bytes(ffi.buffer(code))[:octets]

    def send(self, *, lose: bool = False) -> None:
        payload = self.next_payload()
        packet = ffi.new("ot_rtp *")
        packet.ssrc = 3
        packet.sequence = self.sent & 0xFFFF
        packet.timestamp = (self.sent * self.units) & 0xFFFFFFFF
        packet.payload_octets = len(payload)
        self.sent += 1
        if not lose:
            lib.ot_jitter_put(self.buffer, packet, payload, 0)

    def hear(self) -> Pcm:
        frames = np.zeros((self.ticks, self.tick_samples), np.int16)
        for frame in frames:
            where = ffi.from_buffer("int16_t[]", frame.data)
            self.kinds.append(lib.ot_jitter_get(self.buffer, where))
        return frames.reshape(-1)

    def play(self, packets: int, lost: frozenset[int] = frozenset()) -> Pcm:
        heard = []
        for _ in range(packets):
            self.send(lose=self.sent in lost)
            heard.append(self.hear())
        return np.concatenate(heard)


def level(pcm: Pcm) -> float:
    return float(np.sqrt(np.mean(pcm.astype(float) ** 2)))


def ptimes(codec: str) -> list[int]:
    return [10] if codec == "L16-48k" else [10, 20] if "opus" in codec else [10, 20, 30]


@pytest.mark.parametrize(
    ("codec", "ptime_ms"), [(name, ptime) for name in CODECS for ptime in ptimes(name)]
)
def test_a_steady_stream_is_heard_whole(codec: str, ptime_ms: int) -> None:
    line = Line(CODECS[codec], ptime_ms)
    heard = line.play(2000 // ptime_ms)
    settled = heard[len(heard) // 2 :]
    assert line.kinds[20:].count(VOICE) == len(line.kinds) - 20
    assert level(settled) == pytest.approx(AMPLITUDE / np.sqrt(2), rel=0.15)
    for frame in settled.reshape(-1, line.tick_samples):
        assert level(frame) > 0.6 * AMPLITUDE / np.sqrt(2)


@pytest.mark.parametrize("codec", CODECS)
def test_what_waits_is_told_in_samples(codec: str) -> None:
    line = Line(CODECS[codec], 10)
    for _ in range(4):
        line.send()
    assert lib.ot_jitter_buffered(line.buffer) == 4 * line.samples


@pytest.mark.parametrize("codec", CODECS)
def test_a_lost_packet_leaves_no_hole(codec: str) -> None:
    ptime_ms = 10 if codec == "L16-48k" else 20
    line = Line(CODECS[codec], ptime_ms)
    lost = frozenset(range(40, 90, 10))
    heard = line.play(100, lost)
    assert line.kinds.count(CONCEALED) == len(lost) * line.ticks
    least = 0.05 if "opus" in codec else 0.4  # Opus conceals by itself, and fades tones at once
    for frame in heard[30 * line.samples :].reshape(-1, line.tick_samples):
        assert level(frame) > least * AMPLITUDE / np.sqrt(2)
    steps = np.abs(np.diff(heard[30 * line.samples :].astype(int)))
    assert steps.max() < 0.35 * AMPLITUDE * 8000 / line.rate_hz


@pytest.mark.parametrize("codec", CODECS)
def test_an_outage_fades_and_the_stream_returns(codec: str) -> None:
    line = Line(CODECS[codec], 10)
    line.play(50)
    quiet = np.concatenate([line.hear() for _ in range(40)])
    assert level(quiet[-10 * line.tick_samples :]) < 10
    for _ in range(40):
        line.send(lose=True)
    line.play(50)
    assert line.kinds[-20:] == [VOICE] * 20


@pytest.mark.parametrize("codec", ["opus-8k", "opus-16k", "opus-48k"])
def test_the_redundancy_of_opus_is_used(codec: str) -> None:
    lost = frozenset(range(35, 190, 10))

    def likeness(*, fec: bool) -> float:
        """How the packets that were lost correlate with what they would have been."""
        line, reference = (Line(CODECS[codec], fec=fec) for _ in range(2))
        line.speaks = reference.speaks = True
        heard, whole = line.play(200, lost), reference.play(200)
        # What is sent in one turn is heard two turns later: 60 ms are wanted before playing starts.
        gaps = [slice((n + 2) * line.samples, (n + 3) * line.samples) for n in sorted(lost)]
        a = np.concatenate([heard[gap] for gap in gaps]).astype(float)
        b = np.concatenate([whole[gap] for gap in gaps]).astype(float)
        return float(a @ b / np.sqrt((a @ a) * (b @ b)))

    assert likeness(fec=True) > 0.9
    assert likeness(fec=True) > likeness(fec=False) + 0.02


@settings(max_examples=60)
@given(
    codec=st.sampled_from(sorted(CODECS)),
    packets=st.lists(
        st.tuples(
            st.integers(0, 20), st.integers(0, 12000), st.binary(max_size=200), st.integers(0, 7)
        ),
        max_size=60,
    ),
)
def test_no_payload_upsets_it(codec: str, packets: list[tuple[int, int, bytes, int]]) -> None:
    if not lib.ot_codec_find(CODECS[codec]):
        return
    line = Line(CODECS[codec], 10)
    packet = ffi.new("ot_rtp *")
    for sequence, timestamp, payload, flags in packets:
        packet.sequence = sequence
        packet.timestamp = timestamp
        packet.payload_octets = len(payload)
        lib.ot_jitter_put(line.buffer, packet, payload, flags)
        line.hear()
    for _ in range(50):
        line.hear()
