"""Codecs: G.722 against the ITU's vectors, Opus against libopus as a far end, L16 by hand."""

import ctypes
import ctypes.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openturret.c_ext._engine import ffi, lib
from openturret.c_ext.engine_build import LIBRARIES

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("OPENTURRET_DATA", ROOT.parent / "shared" / "data"))
ITU = DATA / "itu" / "g722"
LAWS = [lib.OT_PCMU, lib.OT_PCMA]
LINEAR = [lib.OT_L16_8K, lib.OT_L16_16K, lib.OT_L16_48K]
OPUS = [lib.OT_OPUS_8K, lib.OT_OPUS_16K, lib.OT_OPUS_48K]
ALL = [*LAWS, lib.OT_G722, *LINEAR, *OPUS]
NO_ENCODER, NO_DECODER = ffi.new("ot_encoder **")[0], ffi.new("ot_decoder **")[0]

Pcm = npt.NDArray[np.int16]


def rate_of(codec: int) -> int:
    traits = lib.ot_codec_find(codec)
    return traits.rate_hz if traits != ffi.NULL else 0


class Sender:
    """An encoder."""

    def __init__(self, codec: int, ptime_ms: int = 20, **options: int) -> None:
        out = ffi.new("ot_encoder **")
        wanted = ffi.new("ot_encoder_options *")
        for name, value in options.items():
            setattr(wanted, name, value)
        self.error = lib.ot_encoder_create(out, codec, ptime_ms, wanted)
        self.codec = codec
        self.packet = rate_of(codec) // 1000 * ptime_ms
        self._handle = ffi.gc(out[0], lib.ot_encoder_destroy)

    def encode(self, pcm: Pcm, room: int = 4096) -> bytes:
        code = ffi.new("uint8_t[]", room)
        data = ffi.from_buffer("int16_t[]", np.ascontiguousarray(pcm).data)
        octets = lib.ot_encoder_run(self.codec, self._handle, code, room, data, len(pcm))
        assert octets <= room
        return bytes(ffi.buffer(code))[:octets]

    def packets(self, pcm: Pcm) -> list[bytes]:
        whole = len(pcm) - len(pcm) % self.packet
        return [self.encode(pcm[i : i + self.packet]) for i in range(0, whole, self.packet)]


class Receiver:
    """A decoder with room for 120 ms and a guard behind it."""

    def __init__(self, codec: int) -> None:
        out = ffi.new("ot_decoder **")
        assert lib.ot_decoder_create(out, codec) == 0
        self.codec = codec
        self.room = rate_of(codec) * 120 // 1000
        self._handle = ffi.gc(out[0], lib.ot_decoder_destroy)

    def samples(self, code: bytes) -> int:
        return lib.ot_decoder_samples(self.codec, code, len(code))

    def decode(self, code: bytes, room: int | None = None) -> Pcm:
        room = self.room if room is None else room
        pcm = np.full(room + 8, 12345, np.int16)
        data = ffi.from_buffer("int16_t[]", pcm.data)
        made = lib.ot_decoder_run(self.codec, self._handle, data, room, code, len(code))
        assert (pcm[room:] == 12345).all(), "it wrote past its room"
        return pcm[:made]

    def conceal(self, samples: int, following: bytes = b"") -> Pcm | None:
        pcm = np.zeros(max(samples, 1), np.int16)
        data = ffi.from_buffer("int16_t[]", pcm.data)
        error = lib.ot_decoder_conceal(
            self.codec, self._handle, data, samples, following, len(following)
        )
        return None if error else pcm


def tone(rate_hz: int, frequency_hz: float = 440, seconds: float = 1.0) -> Pcm:
    time = np.arange(int(rate_hz * seconds)) / rate_hz
    return (8000 * np.sin(2 * np.pi * frequency_hz * time)).astype(np.int16)


def voice(rate_hz: int, seconds: float = 2.0) -> Pcm:
    """Something with a pitch that moves, harmonics and syllables."""
    time = np.arange(int(rate_hz * seconds)) / rate_hz
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * time)) / rate_hz
    wave = sum(np.sin(k * phase) / k for k in range(1, 20))
    envelope = 0.55 + 0.45 * np.sin(2 * np.pi * 3 * time)
    return np.asarray(5000 * envelope * wave, np.int16)


def likeness(a: Pcm, b: Pcm, delay_max: int) -> float:
    """The best correlation of two signals over the delays that a codec may add."""
    scores = []
    for delay in range(delay_max + 1):
        x = a[: len(a) - delay].astype(float)
        y = b[delay : len(x) + delay].astype(float)
        scores.append(float(x[: len(y)] @ y / np.sqrt((x @ x) * (y @ y) + 1e-9)))
    return max(scores)


def level_db(pcm: Pcm) -> float:
    return float(10 * np.log10(np.mean(pcm.astype(float) ** 2) + 1e-9))


# -- what all have in common -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("codec", "name", "rate_hz", "clock_hz", "frame_octets"),
    [
        (lib.OT_PCMU, b"PCMU", 8000, 8000, 80),
        (lib.OT_PCMA, b"PCMA", 8000, 8000, 80),
        (lib.OT_G722, b"G722", 16000, 8000, 80),
        (lib.OT_L16_8K, b"L16", 8000, 8000, 160),
        (lib.OT_L16_16K, b"L16", 16000, 16000, 320),
        (lib.OT_L16_48K, b"L16", 48000, 48000, 960),
        (lib.OT_OPUS_8K, b"opus", 8000, 48000, 0),
        (lib.OT_OPUS_16K, b"opus", 16000, 48000, 0),
        (lib.OT_OPUS_48K, b"opus", 48000, 48000, 0),
    ],
)
def test_a_codec_says_what_an_rtpmap_needs(
    codec: int, name: bytes, rate_hz: int, clock_hz: int, frame_octets: int
) -> None:
    traits = lib.ot_codec_find(codec)
    assert (ffi.string(traits.name), traits.rate_hz, traits.clock_hz, traits.frame_octets) == (
        name,
        rate_hz,
        clock_hz,
        frame_octets,
    )


@pytest.mark.parametrize("codec", [-1, 1, 7, 10, 127, 134, 1000])
def test_an_unknown_codec_does_nothing(codec: int) -> None:
    assert lib.ot_codec_find(codec) == ffi.NULL
    assert Sender(codec).error != 0
    assert lib.ot_decoder_create(ffi.new("ot_decoder **"), codec) != 0
    pcm, code = ffi.new("int16_t[]", 160), ffi.new("uint8_t[]", 320)
    assert lib.ot_encoder_run(codec, NO_ENCODER, code, 320, pcm, 160) == 0
    assert lib.ot_decoder_run(codec, NO_DECODER, pcm, 160, bytes(160), 160) == 0
    assert lib.ot_decoder_samples(codec, bytes(160), 160) == 0


@pytest.mark.parametrize("codec", [lib.OT_G722, *OPUS])
def test_a_codec_that_remembers_does_nothing_without_its_memory(codec: int) -> None:
    pcm, code = ffi.new("int16_t[]", 960), ffi.new("uint8_t[]", 960)
    assert lib.ot_encoder_run(codec, NO_ENCODER, code, 960, pcm, 960) == 0
    assert lib.ot_decoder_run(codec, NO_DECODER, pcm, 960, b"\x08" * 20, 20) == 0
    assert lib.ot_decoder_conceal(codec, NO_DECODER, pcm, 160, b"", 0) != 0


@pytest.mark.parametrize("codec", ALL)
@pytest.mark.parametrize("ptime_ms", [10, 20, 30])
def test_a_tone_comes_through_at_its_level(codec: int, ptime_ms: int) -> None:
    sender, receiver = Sender(codec, ptime_ms), Receiver(codec)
    if codec in OPUS and ptime_ms == 30:
        assert sender.error != 0
        return
    sent = tone(rate_of(codec))
    codes = sender.packets(sent)
    assert [receiver.samples(code) for code in codes] == [sender.packet] * len(codes)
    heard = np.concatenate([receiver.decode(code) for code in codes])
    half = slice(len(heard) // 2, None)
    assert likeness(sent[: len(heard)][half], heard[half], rate_of(codec) // 50) > 0.98
    assert level_db(heard[half]) == pytest.approx(level_db(sent[half]), abs=1)


@pytest.mark.parametrize("codec", ALL)
def test_what_does_not_fit_is_neither_encoded_nor_decoded(codec: int) -> None:
    sender, receiver = Sender(codec), Receiver(codec)
    sent = tone(rate_of(codec))[: sender.packet]
    code = sender.encode(sent)
    assert len(code) > 3
    assert len(receiver.decode(code, room=sender.packet - 1)) == 0
    assert len(receiver.decode(code, room=0)) == 0
    assert len(receiver.decode(code, room=sender.packet)) == sender.packet
    smaller = sender.encode(sent, room=len(code) - 1)
    assert smaller == b"" or codec in OPUS
    assert sender.encode(sent, room=0) == b""


@pytest.mark.parametrize("codec", [*LAWS, lib.OT_G722, *LINEAR])
def test_only_opus_conceals_by_itself(codec: int) -> None:
    assert Receiver(codec).conceal(160) is None


# -- L16 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", LINEAR)
def test_linear_samples_travel_in_network_order(codec: int) -> None:
    pcm = np.array([0, 1, -1, 32767, -32768, 0x1234], np.int16)
    assert Sender(codec).encode(pcm) == pcm.astype(">i2").tobytes()
    assert np.array_equal(Receiver(codec).decode(pcm.astype(">i2").tobytes()), pcm)


@pytest.mark.parametrize("codec", LINEAR)
def test_half_a_linear_sample_is_malformed(codec: int) -> None:
    receiver = Receiver(codec)
    assert receiver.samples(b"abc") == 0
    assert len(receiver.decode(b"abc")) == 0


# -- G.722 -----------------------------------------------------------------------------------


def itu(name: str, kind: str) -> npt.NDArray[np.int16]:
    if not (ITU / name).exists():
        pytest.skip(f"the ITU-T G.191 vectors are not at {ITU}: set OPENTURRET_DATA")
    return np.fromfile(ITU / name, dtype=kind).astype(np.int16)


def test_g722_encodes_the_vector_of_the_itu_to_the_bit() -> None:
    source = itu("inpsp.bin", "<i2")
    packed = itu("codsp.cod", "<i2")  # two octets in a word, the earlier one above
    sender = Sender(lib.OT_G722)
    parts = [sender.encode(source[i : i + 320]) for i in range(0, len(source), 320)]
    assert b"".join(parts) == packed.astype(">i2").tobytes()


def test_g722_decodes_the_vector_of_the_itu_to_the_bit() -> None:
    code = itu("codspw.cod", "<i2").astype(np.uint8).tobytes()  # an octet in a word
    receiver = Receiver(lib.OT_G722)
    heard = np.concatenate([receiver.decode(code[i : i + 160]) for i in range(0, len(code), 160)])
    assert np.array_equal(heard, itu("outsp1.bin", "<i2"))


def test_g722_does_not_depend_on_how_it_is_cut_into_packets() -> None:
    sent = voice(16000)
    whole = b"".join(Sender(lib.OT_G722, 20).packets(sent))
    assert b"".join(Sender(lib.OT_G722, 10).packets(sent)) == whole
    one, many = Receiver(lib.OT_G722), Receiver(lib.OT_G722)
    parts = [one.decode(whole[i : i + 80]) for i in range(0, len(whole), 80)]
    others = [many.decode(whole[i : i + 240]) for i in range(0, len(whole), 240)]
    assert np.array_equal(np.concatenate(parts), np.concatenate(others))


def test_g722_takes_samples_in_pairs() -> None:
    assert Sender(lib.OT_G722).encode(tone(16000)[:161]) == b""


@given(st.binary(max_size=960))
def test_any_octets_are_g722(code: bytes) -> None:
    receiver = Receiver(lib.OT_G722)
    assert len(receiver.decode(code)) == receiver.samples(code) == 2 * len(code)


@pytest.mark.parametrize("extreme", [32767, -32768])
def test_g722_holds_out_at_full_scale(extreme: int) -> None:
    square = np.where(np.arange(16000) // 20 % 2, extreme, -1 - extreme).astype(np.int16)
    sender, receiver = Sender(lib.OT_G722), Receiver(lib.OT_G722)
    heard = np.concatenate([receiver.decode(code) for code in sender.packets(square)])
    assert level_db(heard) == pytest.approx(level_db(square), abs=2)


# -- Opus ------------------------------------------------------------------------------------


class Libopus:
    """libopus itself, as a far end that uses what our encoder does not: stereo, long packets."""

    APPLICATION_VOIP, APPLICATION_AUDIO = 2048, 2049
    SET_BITRATE = 4002

    def __init__(self, rate_hz: int, channels: int, application: int, bitrate_bps: int) -> None:
        name = ctypes.util.find_library("opus")
        if name is None:
            pytest.skip("libopus is not found: apt-get install libopus0")
        self._lib = ctypes.CDLL(name)
        size = self._lib.opus_encoder_get_size(channels)
        self._state = ctypes.create_string_buffer(size)
        assert self._lib.opus_encoder_init(self._state, rate_hz, channels, application) == 0
        assert self._lib.opus_encoder_ctl(self._state, self.SET_BITRATE, bitrate_bps) == 0
        self.channels = channels

    def encode(self, pcm: Pcm) -> bytes:
        """Encodes one packet; a column for each channel."""
        code = ctypes.create_string_buffer(4000)
        octets = self._lib.opus_encode(
            self._state, np.ascontiguousarray(pcm).tobytes(), len(pcm), code, 4000
        )
        assert octets > 0
        return code.raw[:octets]


@dataclass(frozen=True, slots=True)
class Spoken:
    """Packets and what they were made of."""

    pcm: Pcm
    codes: list[bytes]
    packet: int


def speak(codec: int, seconds: float = 2.0, ptime_ms: int = 20, **options: int) -> Spoken:
    sender = Sender(codec, ptime_ms, **options)
    assert sender.error == 0
    pcm = voice(rate_of(codec), seconds)
    return Spoken(pcm, sender.packets(pcm), sender.packet)


@pytest.mark.parametrize("codec", OPUS)
@pytest.mark.parametrize(
    ("ptime_ms", "options"),
    [
        (30, {}),
        (0, {}),
        (15, {}),
        (40, {}),
        (20, {"bitrate_bps": 5999}),
        (20, {"bitrate_bps": 510001}),
        (20, {"bitrate_bps": 0xFFFFFFFF}),
        (20, {"loss_percent": 101}),
    ],
)
def test_what_opus_cannot_do_is_refused(codec: int, ptime_ms: int, options: dict[str, int]) -> None:
    assert Sender(codec, ptime_ms, **options).error != 0


@pytest.mark.parametrize("codec", OPUS)
def test_opus_encodes_exactly_a_packet(codec: int) -> None:
    sender = Sender(codec, 20)
    pcm = tone(rate_of(codec))
    assert sender.encode(pcm[: sender.packet // 2]) == b""
    assert sender.encode(pcm[: sender.packet * 2]) == b""
    assert sender.encode(pcm[: sender.packet]) != b""


@pytest.mark.parametrize("codec", OPUS)
def test_the_bit_rate_is_a_bound(codec: int) -> None:
    low, high = (
        sum(len(code) for code in speak(codec, bitrate_bps=rate).codes) * 8 / 2
        for rate in (8000, 32000)
    )
    assert low < 8800
    assert 2 * low < high < 35200


@pytest.mark.parametrize("codec", OPUS)
@pytest.mark.parametrize("ptime_ms", [10, 20])
@pytest.mark.parametrize("loss_percent", [0, 10, 20])
def test_redundancy_brings_a_lost_packet_back(codec: int, ptime_ms: int, loss_percent: int) -> None:
    spoken = speak(codec, ptime_ms=ptime_ms, fec=1, loss_percent=loss_percent)
    whole, repaired, concealed = Receiver(codec), Receiver(codec), Receiver(codec)
    truth, by_next, by_guess = [], [], []
    for number, code in enumerate(spoken.codes[:-1]):
        good = whole.decode(code)
        if number % 10 != 5:
            repaired.decode(code)
            concealed.decode(code)
            continue
        truth.append(good)
        again = repaired.conceal(spoken.packet, spoken.codes[number + 1])
        guess = concealed.conceal(spoken.packet)
        assert again is not None
        assert guess is not None
        by_next.append(again)
        by_guess.append(guess)
    expected = np.concatenate(truth)
    near = likeness(expected, np.concatenate(by_next), 0)
    far = likeness(expected, np.concatenate(by_guess), 0)
    assert near > 0.9
    assert near > far + 0.02


def test_redundancy_is_sent_only_when_wanted() -> None:
    plain, redundant = (
        sum(map(len, speak(lib.OT_OPUS_16K, fec=fec, bitrate_bps=64000).codes)) for fec in (0, 1)
    )
    assert plain != redundant


@pytest.mark.parametrize("codec", OPUS)
def test_a_loss_without_redundancy_fades(codec: int) -> None:
    spoken = speak(codec)
    receiver = Receiver(codec)
    for code in spoken.codes[:30]:
        before = receiver.decode(code)
    lost = [receiver.conceal(spoken.packet) for _ in range(25)]
    assert all(each is not None for each in lost)
    first, last = lost[0], lost[-1]
    assert first is not None
    assert last is not None
    assert level_db(first) > level_db(before) - 12
    assert level_db(last) < level_db(before) - 3


@pytest.mark.parametrize("codec", OPUS)
def test_a_gap_of_impossible_length_is_refused(codec: int) -> None:
    receiver = Receiver(codec)
    rate = rate_of(codec)
    receiver.decode(speak(codec, 0.1).codes[0])
    for samples in (0, 1, rate // 400 + 1, rate * 120 // 1000 + rate // 400):
        assert receiver.conceal(samples) is None
    assert receiver.conceal(rate // 400) is not None
    assert receiver.conceal(rate * 120 // 1000) is not None


@pytest.mark.parametrize("codec", OPUS)
def test_silence_goes_mostly_unsent_with_dtx(codec: int) -> None:
    packet = rate_of(codec) // 50
    sender, steady = Sender(codec, dtx=1), Sender(codec)
    noise = np.random.default_rng(1).integers(-2, 3, 200 * packet).astype(np.int16)
    speech = [code for code in sender.packets(voice(rate_of(codec))) if code]
    assert len(speech) > 90
    sent = [code for code in sender.packets(noise)[50:] if code]
    assert 1 <= len(sent) <= 30
    assert all(steady.packets(noise))


@pytest.mark.parametrize("codec", OPUS)
@pytest.mark.parametrize("application", [Libopus.APPLICATION_VOIP, Libopus.APPLICATION_AUDIO])
@pytest.mark.parametrize("packet_ms", [10, 20, 40, 60])
def test_stereo_and_long_packets_are_heard_in_mono(
    codec: int, application: int, packet_ms: int
) -> None:
    far = Libopus(48000, 2, application, 64000)
    receiver = Receiver(codec)
    sent = tone(48000, 500)
    columns = np.stack([sent, sent], axis=1)
    step = 48 * packet_ms
    codes = [far.encode(columns[i : i + step]) for i in range(0, len(sent) - step + 1, step)]
    expected = rate_of(codec) * packet_ms // 1000
    assert [receiver.samples(code) for code in codes] == [expected] * len(codes)
    heard = np.concatenate([receiver.decode(code) for code in codes])
    half = heard[len(heard) // 2 :]
    assert level_db(half) == pytest.approx(level_db(sent), abs=1.5)
    spectrum = np.abs(np.fft.rfft(half * np.hanning(len(half))))
    peak_hz = float(np.argmax(spectrum)) * rate_of(codec) / len(half)
    assert peak_hz == pytest.approx(500, abs=5)


@pytest.mark.parametrize(
    ("lie", "code"),
    [
        ("nothing", b""),
        ("two frames of unequal length", b"\x09\x00"),
        ("two frames, the first longer than the packet", b"\x0a\xfb\xff"),
        ("a count of frames without the count", b"\x0b"),
        ("no frames at all", b"\x0b\x00"),
        ("63 frames", b"\x0b\x3f" + bytes(63)),
        ("180 ms", b"\x1b\x03" + bytes(3)),
        ("140 ms", b"\x0b\x07" + bytes(6) + bytes(1)),
        ("padding without end", b"\x0b\x41" + b"\xff" * 20),
        ("a frame longer than any", b"\x08" + bytes(1276)),
    ],
)
@pytest.mark.parametrize("codec", OPUS)
def test_a_lie_of_an_opus_packet_is_refused(codec: int, lie: str, code: bytes) -> None:
    receiver = Receiver(codec)
    assert receiver.samples(code) == 0, lie
    assert len(receiver.decode(code)) == 0, lie
    assert receiver.conceal(rate_of(codec) // 50, code) is not None, lie


@pytest.mark.parametrize("codec", OPUS)
def test_an_opus_packet_cut_at_any_length_stays_within_its_time(codec: int) -> None:
    receiver = Receiver(codec)
    spoken = speak(codec, 0.4, fec=1)
    whole = spoken.codes[10]
    for length in range(len(whole)):
        assert len(receiver.decode(whole[:length])) in {0, spoken.packet}
        receiver.conceal(spoken.packet, whole[:length])
    assert len(receiver.decode(whole)) == spoken.packet


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(OPUS), st.lists(st.binary(max_size=400), max_size=6))
def test_no_octets_upset_opus(codec: int, codes: list[bytes]) -> None:
    receiver = Receiver(codec)
    for code in codes:
        samples = receiver.samples(code)
        assert samples <= receiver.room
        assert len(receiver.decode(code)) in {0, samples}
        receiver.conceal(rate_of(codec) // 50, code)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=200))
def test_every_header_of_opus_is_bounded(first: int, second: int, rest: bytes) -> None:
    receiver = Receiver(lib.OT_OPUS_48K)
    code = bytes([first, second]) + rest
    assert len(receiver.decode(code)) in {0, receiver.samples(code)}
    assert receiver.samples(code) <= receiver.room


# -- the tick --------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_the_tick_runs_allocates_nothing(tmp_path: Path) -> None:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: apt-get install gcc libc6-dev")
    program = tmp_path / "allocations"
    sources = [ROOT / "tests" / "c_ext" / "allocations.c", *(ROOT / "c_ext").glob("[!_]*.c")]
    flags = ["-D_GNU_SOURCE", "-std=gnu11", "-ffp-contract=off", "-Wall", "-Wextra"]
    libraries = [f"-l{name}" for name in LIBRARIES]
    built = subprocess.run(
        [compiler, *flags, f"-I{ROOT / 'c_ext'}", "-o", program, *sources, *libraries, "-lpthread"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    done = subprocess.run(  # no sanitizer of ours in front of what counts
        [program], capture_output=True, text=True, timeout=60, check=False, env={}
    )
    assert done.returncode == 0, done.stdout + done.stderr
