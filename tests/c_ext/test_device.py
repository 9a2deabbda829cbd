"""A device in the tick: gates, side-tone, ducking, meters and the echo canceller in their order."""

import errno
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

from openturret.c_ext._engine import ffi, lib

if TYPE_CHECKING:
    from openturret.c_ext._engine import CData

Pcm = npt.NDArray[np.int16]
RATES_HZ = (8000, 16000, 48000)
LEVEL = 8000


class Device:
    """A device that stands alone; the test is its hardware and its engine."""

    def __init__(self, rate_hz: int = 8000) -> None:
        out = ffi.new("ot_device **")
        assert lib.ot_device_create(out, rate_hz, 60, 60) == 0
        self.handle = ffi.gc(out[0], lib.ot_device_destroy)
        self.tick = rate_hz // 100
        for _ in range(2):
            self.speak(np.zeros(self.tick, np.int16))

    def speak(self, pcm: Pcm) -> None:
        lib.ot_device_write(self.handle, ffi.from_buffer("int16_t[]", pcm.data), len(pcm))

    def listen(self) -> Pcm:
        pcm = np.zeros(self.tick, np.int16)
        lib.ot_device_read(self.handle, ffi.from_buffer("int16_t[]", pcm.data), self.tick)
        return pcm

    def frame(self, pcm: "CData") -> Pcm | None:
        """Copies a tick the device gave, None for silence."""
        if pcm == ffi.NULL:
            return None
        return np.frombuffer(bytes(ffi.buffer(pcm, 2 * self.tick)), np.int16)

    def capture(self, mic: Pcm, reference: Pcm | None = None) -> Pcm | None:
        self.speak(mic)
        given = ffi.NULL if reference is None else ffi.from_buffer("int16_t[]", reference.data)
        return self.frame(lib.ot_device_capture(self.handle, given))

    def play(self, pcm: Pcm | None, duck: tuple[float, float] = (1.0, 1.0)) -> Pcm:
        given = ffi.NULL if pcm is None else ffi.from_buffer("int16_t[]", pcm.data)
        lib.ot_device_play(self.handle, given, *duck)
        return self.listen()

    def constant(self, level: int = LEVEL) -> Pcm:
        return np.full(self.tick, level, np.int16)


def captured(device: Device, ticks: int) -> list[Pcm | None]:
    """What it says while its microphone hears a constant."""
    return [device.capture(device.constant()) for _ in range(ticks)]


def played(device: Device, ticks: int, duck: tuple[float, float] = (1.0, 1.0)) -> Pcm:
    return np.concatenate([device.play(device.constant(), duck) for _ in range(ticks)])


def joined(frames: list[Pcm | None], tick: int) -> Pcm:
    return np.concatenate([np.zeros(tick, np.int16) if each is None else each for each in frames])


def largest_step(pcm: Pcm) -> int:
    return int(np.abs(np.diff(pcm.astype(int))).max())


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_what_is_said_and_heard_passes_at_its_rate(rate_hz: int) -> None:
    device = Device(rate_hz)
    noise = np.random.default_rng(1).integers(-32768, 32768, rate_hz // 2, dtype=np.int16)
    said, heard = [], []
    for part in noise.reshape(-1, device.tick):
        said.append(device.capture(part))
        heard.append(device.play(part))
    half = bytes(noise[: len(noise) // 2].data)
    assert half in bytes(joined(said, device.tick).data)
    assert half in bytes(np.concatenate(heard).data)


def test_silence_is_null_both_ways() -> None:
    device = Device()
    assert lib.ot_device_capture(device.handle, ffi.NULL) == ffi.NULL
    assert not device.play(None).any()
    assert lib.ot_device_played(device.handle) == ffi.NULL


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_the_microphone_gate_closes_and_opens_without_a_click(rate_hz: int) -> None:
    device = Device(rate_hz)
    frames = captured(device, 10)
    lib.ot_device_set_microphone(device.handle, 0)
    frames += captured(device, 5)
    assert frames[11] is not None
    assert frames[12:] == [None] * 3
    lib.ot_device_set_microphone(device.handle, 1)
    frames += captured(device, 4)
    pcm = joined(frames[5:], device.tick)
    assert largest_step(pcm) <= LEVEL / (2 * device.tick) + 1
    assert pcm[-1] == LEVEL


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_the_earpiece_gate_closes_and_opens_without_a_click(rate_hz: int) -> None:
    device = Device(rate_hz)
    parts = [played(device, 10)]
    lib.ot_device_set_earpiece(device.handle, 0)
    parts.append(played(device, 8))
    assert lib.ot_device_played(device.handle) == ffi.NULL
    assert not parts[-1][-device.tick :].any()
    lib.ot_device_set_earpiece(device.handle, 1)
    parts.append(played(device, 8))
    pcm = np.concatenate(parts)[5 * device.tick :]
    assert largest_step(pcm) <= LEVEL / (2 * device.tick) + 1
    assert pcm[-1] == LEVEL


def test_a_gate_that_turns_back_halfway_does_not_click() -> None:
    device = Device()
    frames = captured(device, 10)
    for is_open in (0, 1, 0, 1):
        lib.ot_device_set_microphone(device.handle, is_open)
        frames += captured(device, 1)
    frames += captured(device, 3)
    pcm = joined(frames[5:], device.tick)
    assert largest_step(pcm) <= LEVEL / 80
    assert pcm[-1] == LEVEL


def exchange(device: Device, ticks: int, pcm: Pcm | None) -> Pcm:
    """Microphone and earpiece in turn, as the tick does it."""
    heard = []
    for _ in range(ticks):
        device.capture(device.constant())
        heard.append(device.play(pcm))
    return np.concatenate(heard)


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_side_tone_is_added_and_moves_without_a_click(rate_hz: int) -> None:
    device = Device(rate_hz)
    other = device.constant(1000)
    before = exchange(device, 10, other)
    lib.ot_device_set_sidetone(device.handle, 0.25)
    during = exchange(device, 10, other)
    lib.ot_device_set_sidetone(device.handle, 0.0)
    after = exchange(device, 10, other)
    assert [part[-1] for part in (before, during, after)] == [1000, 1000 + LEVEL // 4, 1000]
    pcm = np.concatenate([before[5 * device.tick :], during, after])
    assert largest_step(pcm) <= LEVEL / 4 / (2 * device.tick) + 1


def test_side_tone_alone_is_heard_and_follows_the_microphone_mute() -> None:
    device = Device()
    lib.ot_device_set_sidetone(device.handle, 0.5)
    assert exchange(device, 10, None)[-1] == LEVEL // 2
    lib.ot_device_set_microphone(device.handle, 0)
    assert not exchange(device, 10, None)[-80:].any()


def test_side_tone_and_voice_are_limited_once() -> None:
    device = Device()
    lib.ot_device_set_sidetone(device.handle, 1.0)
    assert exchange(device, 10, device.constant(30000))[-1] == 32767
    assert exchange(device, 10, device.constant(-20000))[-1] == LEVEL - 20000


@pytest.mark.usefixtures("cpu")
def test_ducking_lowers_what_is_heard_but_not_the_side_tone() -> None:
    device = Device()
    lib.ot_device_set_sidetone(device.handle, 0.5)
    exchange(device, 10, device.constant())
    device.capture(device.constant())
    device.play(device.constant(), (1.0, 0.1))
    for _ in range(8):
        device.capture(device.constant())
        heard = device.play(device.constant(), (0.1, 0.1))
    assert heard[-1] == LEVEL // 10 + LEVEL // 2


def test_a_ducking_ramp_is_a_straight_line() -> None:
    device = Device()
    played(device, 10)
    heard = [device.play(device.constant(), (1.0, 0.5))]
    heard += [played(device, 8, (0.5, 0.5))]
    ramp = np.concatenate(heard)
    moving = ramp[(ramp < LEVEL) & (ramp > LEVEL // 2)]
    assert len(moving) == 79
    assert set(np.diff(moving).tolist()) == {-50}


def test_what_was_played_is_the_echo_reference() -> None:
    device = Device()
    device.play(device.constant(1234))
    reference = device.frame(lib.ot_device_played(device.handle))
    assert reference is not None
    assert np.array_equal(reference, device.constant(1234))
    lib.ot_device_play(device.handle, ffi.NULL, 1.0, 1.0)
    assert lib.ot_device_played(device.handle) == ffi.NULL


def echo_db(device: Device, with_canceller: bool) -> float:
    """A loudspeaker's noise comes back into the microphone; returns what is left of it."""
    rng = np.random.default_rng(4)
    if with_canceller:
        options = ffi.new("ot_echo_options *")
        options.cancel_echo = 1
        made = ffi.new("ot_echo **")
        assert lib.ot_echo_create(made, device.tick * 100, 100, options) == 0
        assert lib.ot_device_set_echo(device.handle, made[0]) == ffi.NULL
    sound = np.zeros(device.tick, np.int16)
    said: list[Pcm | None] = []
    for _ in range(600):
        reference = device.frame(lib.ot_device_played(device.handle))
        said.append(device.capture(sound // 2, reference))
        sound = device.play(rng.integers(-8000, 8000, device.tick, dtype=np.int16))
    last = joined(said[-200:], device.tick).astype(np.float64)
    return float(10 * np.log10(np.mean(last**2) / 32768**2))


@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_an_echo_through_both_rings_is_cancelled(rate_hz: int) -> None:
    with_echo = echo_db(Device(rate_hz), with_canceller=False)
    assert with_echo - echo_db(Device(rate_hz), with_canceller=True) > 25


def test_the_canceller_that_was_there_is_given_back() -> None:
    device = Device()
    options = ffi.new("ot_echo_options *")
    made = [ffi.new("ot_echo **") for _ in range(2)]
    for out in made:
        assert lib.ot_echo_create(out, 8000, 100, options) == 0
    assert lib.ot_device_set_echo(device.handle, made[0][0]) == ffi.NULL
    before = lib.ot_device_set_echo(device.handle, made[1][0])
    assert before == made[0][0]
    lib.ot_echo_destroy(before)


def test_the_devices_clock_is_measured_on_both_sides() -> None:
    """One sample more in every 62 ticks is 202 ppm."""
    device = Device()
    longer = np.zeros(81, np.int16)
    for tick in range(36_000):
        device.speak(longer if tick % 62 == 0 else longer[:80])
        lib.ot_device_capture(device.handle, ffi.NULL)
        lib.ot_device_play(device.handle, ffi.NULL, 1.0, 1.0)
        taken = ffi.from_buffer("int16_t[]", longer.data)
        lib.ot_device_read(device.handle, taken, 81 if tick % 62 == 0 else 80)
    out = ffi.new("ot_device_meters *")
    lib.ot_device_meter(device.handle, out)
    assert out.capture_ppb == pytest.approx(202_000, abs=15_000)
    assert out.playback_ppb == pytest.approx(202_000, abs=15_000)


def meters(device: Device) -> tuple[float, int, float, int]:
    out = ffi.new("ot_device_meters *")
    lib.ot_device_meter(device.handle, out)
    samples = device.tick
    return (
        lib.ot_level_dbfs(out.capture_energy, samples),
        out.capture_peak,
        lib.ot_level_dbfs(out.playback_energy, samples),
        out.playback_peak,
    )


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_meters_show_level_and_peak_of_what_passed_the_gates(rate_hz: int) -> None:
    device = Device(rate_hz)
    exchange(device, 40, device.constant(-16384))
    capture_dbfs, capture_peak, playback_dbfs, playback_peak = meters(device)
    assert capture_dbfs == pytest.approx(20 * np.log10(LEVEL / 32768), abs=0.05)
    assert capture_peak == LEVEL
    assert playback_dbfs == pytest.approx(-6.02, abs=0.05)
    assert playback_peak == 16384
    lib.ot_device_set_microphone(device.handle, 0)
    lib.ot_device_set_earpiece(device.handle, 0)
    exchange(device, 146, device.constant(-16384))
    capture_dbfs, capture_peak, playback_dbfs, playback_peak = meters(device)
    assert capture_dbfs < -80
    assert playback_dbfs < -80
    assert capture_peak == pytest.approx(LEVEL / 10, rel=0.1), "20 dB in a second and a half"
    assert playback_peak == pytest.approx(1638, rel=0.1)


@pytest.mark.parametrize(
    ("rate_hz", "capture_ms", "playback_ms"), [(44100, 60, 60), (8000, 19, 60), (8000, 60, 513)]
)
def test_devices_of_no_sensible_kind_are_refused(
    rate_hz: int, capture_ms: int, playback_ms: int
) -> None:
    out = ffi.new("ot_device **")
    assert lib.ot_device_create(out, rate_hz, capture_ms, playback_ms) == errno.EINVAL
