"""The audio function: gains and rates as the class asks for them, sound both ways."""

import numpy
import pytest

from openturret.drivers.emulated.usb.audio import HEARD_MS
from openturret.drivers.emulated.usb.gooseneck import GooseneckModel
from openturret.drivers.emulated.usb.handset import HandsetModel
from openturret.drivers.emulated.usb.model import Setup, Stall
from openturret.drivers.emulated.usb.peripheral import Peripheral
from openturret.drivers.emulated.usb.voices import Heard, Tone, from_pcm, to_pcm
from openturret.hal.clock import Clock
from openturret.hal.gain import Gain

EAR_INTERFACE, MICROPHONE_INTERFACE, HID = 1, 2, 3
EAR, MICROPHONE = 0x01, 0x82
EAR_UNIT, MICROPHONE_UNIT, SIDETONE_UNIT = 2, 5, 7
SET_CUR, GET_CUR, GET_MIN, GET_MAX, GET_RES = 0x01, 0x81, 0x82, 0x83, 0x84
MUTE, VOLUME = 0x0100, 0x0200


@pytest.fixture
def handset(clock: Clock) -> HandsetModel:
    model = HandsetModel(clock=clock)
    model.control(Setup(0x00, 9, 1, 0, 0), b"")
    return model


def stream(model: Peripheral, interface: int, *, setting: int = 1) -> None:
    model.control(Setup(0x01, 11, setting, interface, 0), b"")


def put(model: Peripheral, unit: int, control: int, data: bytes) -> None:
    model.control(Setup(0x21, SET_CUR, control, unit << 8, len(data)), data)


def get(model: Peripheral, unit: int, request: int, control: int = VOLUME) -> bytes:
    return model.control(Setup(0xA1, request, control, unit << 8, 2), b"")


def db(gain_db: float) -> bytes:
    return round(256 * gain_db).to_bytes(2, "little", signed=True)


def set_rate(model: Peripheral, endpoint: int, rate_hz: int) -> None:
    model.control(Setup(0x22, SET_CUR, 0x0100, endpoint, 3), rate_hz.to_bytes(3, "little"))


def spoken(model: Peripheral, milliseconds: int) -> list[int]:
    return from_pcm(b"".join(model.isochronous_in(MICROPHONE) for _ in range(milliseconds)))


def loudest_hz(samples: list[int], rate_hz: int) -> float:
    spectrum = numpy.abs(numpy.fft.rfft(samples))
    return float(numpy.argmax(spectrum) * rate_hz / len(samples))


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
def test_the_microphone_streams_at_the_rate_the_host_chose(
    handset: HandsetModel, rate_hz: int
) -> None:
    set_rate(handset, MICROPHONE, rate_hz)
    answer = handset.control(Setup(0xA2, GET_CUR, 0x0100, MICROPHONE, 3), b"")
    assert int.from_bytes(answer, "little") == rate_hz
    handset.speak(Tone(440, -6))
    stream(handset, MICROPHONE_INTERFACE)
    samples = spoken(handset, 1000)
    assert len(samples) == rate_hz
    assert loudest_hz(samples, rate_hz) == 440
    assert max(samples) == pytest.approx(32767 / 2, rel=0.01)


def test_nothing_streams_in_setting_0(handset: HandsetModel) -> None:
    handset.speak(Tone(440, -6))
    handset.listen()
    assert handset.isochronous_in(MICROPHONE) == b""
    handset.isochronous_out(EAR, bytes(96))
    stream(handset, MICROPHONE_INTERFACE)
    stream(handset, EAR_INTERFACE)
    assert handset.audio is not None
    assert handset.audio.streaming
    stream(handset, MICROPHONE_INTERFACE, setting=0)
    assert handset.isochronous_in(MICROPHONE) == b""
    assert handset.stop_listening().pcm == b""


@pytest.mark.parametrize("endpoint", [0x81, 0x02, 0x83, 0x7F])
def test_another_endpoint_streams_nothing(handset: HandsetModel, endpoint: int) -> None:
    stream(handset, MICROPHONE_INTERFACE)
    stream(handset, EAR_INTERFACE)
    handset.listen()
    assert handset.isochronous_in(endpoint) == b""
    handset.isochronous_out(endpoint, bytes(96))
    assert handset.stop_listening().pcm == b""


def test_a_stream_goes_one_way(handset: HandsetModel) -> None:
    stream(handset, MICROPHONE_INTERFACE)
    stream(handset, EAR_INTERFACE)
    handset.listen()
    assert handset.isochronous_in(EAR) == b""
    handset.isochronous_out(MICROPHONE, bytes(96))
    assert handset.stop_listening().pcm == b""


def test_the_earpiece_keeps_what_it_gave(handset: HandsetModel) -> None:
    tone = to_pcm([sample for n in range(20) for sample in Tone(1000, -3).samples(n, 48000)])
    stream(handset, EAR_INTERFACE)
    handset.listen()
    for start in range(0, len(tone), 96):
        handset.isochronous_out(EAR, tone[start : start + 96])
    assert handset.stop_listening() == Heard(48000, tone)
    assert handset.stop_listening().pcm == b""


def test_the_earpiece_keeps_a_minute_and_no_more(handset: HandsetModel) -> None:
    set_rate(handset, EAR, 8000)
    stream(handset, EAR_INTERFACE)
    handset.listen()
    for _ in range(HEARD_MS + 2):
        handset.isochronous_out(EAR, b"\x01\x00" * 8)
    assert len(handset.stop_listening().pcm) == HEARD_MS * 16


@pytest.mark.parametrize("octets", [b"", b"\x01", b"\x01\x02\x03", bytes(1023)])
def test_a_packet_of_any_length_is_survived(handset: HandsetModel, octets: bytes) -> None:
    stream(handset, EAR_INTERFACE)
    put(handset, SIDETONE_UNIT, VOLUME, db(0))
    handset.listen()
    handset.isochronous_out(EAR, octets)
    assert len(handset.stop_listening().pcm) == min(len(octets) // 2 * 2, 96)


def test_gains_say_what_they_can(handset: HandsetModel) -> None:
    asked = [get(handset, MICROPHONE_UNIT, each) for each in (GET_MIN, GET_MAX, GET_RES, GET_CUR)]
    assert asked == [db(-20), db(12), db(0.5), db(0)]


@pytest.mark.parametrize(
    ("wanted_db", "got_db"), [(-10, -10), (-10.4, -10), (-99, -40), (5, 0), (-0.5, 0)]
)
def test_a_gain_becomes_the_nearest_that_there_is(
    handset: HandsetModel, wanted_db: float, got_db: float
) -> None:
    put(handset, EAR_UNIT, VOLUME, db(wanted_db))
    assert get(handset, EAR_UNIT, GET_CUR) == db(got_db)
    assert handset.gains[Gain.EARPIECE] == got_db


def test_what_is_heard_follows_the_gain_and_the_mute(handset: HandsetModel) -> None:
    def heard() -> int:
        handset.listen()
        handset.isochronous_out(EAR, to_pcm([10000] * 48))
        return max(from_pcm(handset.stop_listening().pcm))

    stream(handset, EAR_INTERFACE)
    assert heard() == 10000
    put(handset, EAR_UNIT, VOLUME, db(-20))
    assert heard() == 1000
    put(handset, EAR_UNIT, VOLUME, b"\x00\x80")
    assert (heard(), handset.gains[Gain.EARPIECE]) == (0, float("-inf"))
    put(handset, EAR_UNIT, VOLUME, db(0))
    put(handset, EAR_UNIT, MUTE, b"\x01")
    assert (heard(), get(handset, EAR_UNIT, GET_CUR, MUTE)) == (0, b"\x01")
    put(handset, EAR_UNIT, MUTE, b"\x00")
    assert heard() == 10000


def test_the_microphone_follows_its_gain(handset: HandsetModel) -> None:
    stream(handset, MICROPHONE_INTERFACE)
    handset.speak(Tone(1000, -20))
    before = max(spoken(handset, 10))
    put(handset, MICROPHONE_UNIT, VOLUME, db(6))
    assert max(spoken(handset, 10)) == pytest.approx(before * 10 ** (6 / 20), rel=0.01)


def test_the_side_tone_is_silent_until_it_is_set(handset: HandsetModel) -> None:
    def heard_hz(milliseconds: int = 100) -> tuple[float, int]:
        handset.listen()
        for _ in range(milliseconds):
            handset.isochronous_out(EAR, bytes(96))
        samples = from_pcm(handset.stop_listening().pcm)
        return loudest_hz(samples, 48000), max(samples)

    stream(handset, EAR_INTERFACE)
    handset.speak(Tone(700, -6))
    assert heard_hz() == (0, 0)
    put(handset, SIDETONE_UNIT, VOLUME, db(-20))
    frequency_hz, peak = heard_hz()
    assert frequency_hz == 700
    assert peak == pytest.approx(32767 / 20, rel=0.01)


def test_the_side_tone_is_added_to_the_call(handset: HandsetModel) -> None:
    stream(handset, EAR_INTERFACE)
    put(handset, SIDETONE_UNIT, VOLUME, db(0))
    handset.speak(Heard(48000, to_pcm([300] * 480)))
    handset.listen()
    handset.isochronous_out(EAR, to_pcm([1000] * 48))
    assert from_pcm(handset.stop_listening().pcm) == [1300] * 48


def test_mute_silences_the_microphone_and_the_side_tone(handset: HandsetModel) -> None:
    stream(handset, EAR_INTERFACE)
    stream(handset, MICROPHONE_INTERFACE)
    put(handset, SIDETONE_UNIT, VOLUME, db(0))
    handset.interrupt_out(0x03, b"\x02\x01")
    handset.speak(Tone(700, -6))
    assert max(spoken(handset, 10)) > 0
    handset.mute()
    handset.listen()
    handset.isochronous_out(EAR, bytes(96))
    assert set(spoken(handset, 10)) == {0}
    assert set(from_pcm(handset.stop_listening().pcm)) == {0}


def test_speech_begins_when_somebody_speaks(handset: HandsetModel) -> None:
    stream(handset, MICROPHONE_INTERFACE)
    assert set(spoken(handset, 5)) == {0}
    handset.speak(Heard(48000, to_pcm(list(range(1, 97)))))
    assert spoken(handset, 3) == [*range(1, 97), *[0] * 48]


def test_a_bus_reset_ends_the_streams_and_their_rates(handset: HandsetModel) -> None:
    set_rate(handset, MICROPHONE, 8000)
    stream(handset, MICROPHONE_INTERFACE)
    handset.bus_reset()
    handset.control(Setup(0x00, 9, 1, 0, 0), b"")
    assert handset.isochronous_in(MICROPHONE) == b""
    stream(handset, MICROPHONE_INTERFACE)
    assert len(handset.isochronous_in(MICROPHONE)) == 96


@pytest.mark.parametrize(
    ("setup", "data"),
    [
        (Setup(0x21, SET_CUR, VOLUME, 0x0900, 2), b"\0\0"),
        (Setup(0x21, SET_CUR, VOLUME, 0x0201, 2), b"\0\0"),
        (Setup(0x21, SET_CUR, VOLUME | 1, 0x0200, 2), b"\0\0"),
        (Setup(0x21, SET_CUR, 0x0300, 0x0200, 2), b"\0\0"),
        (Setup(0x21, SET_CUR, VOLUME, 0x0200, 1), b"\0"),
        (Setup(0x21, SET_CUR, MUTE, 0x0200, 2), b"\0\0"),
        (Setup(0x21, 0x02, VOLUME, 0x0200, 2), b"\0\0"),
        (Setup(0xA1, GET_MIN, MUTE, 0x0200, 1), b""),
        (Setup(0xA1, 0x85, VOLUME, 0x0200, 2), b""),
        (Setup(0x22, SET_CUR, 0x0100, MICROPHONE, 3), (44100).to_bytes(3, "little")),
        (Setup(0x22, SET_CUR, 0x0100, MICROPHONE, 2), b"\x40\x1f"),
        (Setup(0x22, SET_CUR, 0x0200, MICROPHONE, 3), (8000).to_bytes(3, "little")),
        (Setup(0x22, SET_CUR, 0x0100, 0x84, 3), (8000).to_bytes(3, "little")),
        (Setup(0xA2, GET_MIN, 0x0100, MICROPHONE, 3), b""),
        (Setup(0x01, 11, 2, MICROPHONE_INTERFACE, 0), b""),
        (Setup(0x01, 11, 1, 0, 0), b""),
        (Setup(0x41, SET_CUR, VOLUME, 0x0200, 2), b"\0\0"),
    ],
)
def test_what_the_audio_function_cannot_do_stalls(
    handset: HandsetModel, setup: Setup, data: bytes
) -> None:
    with pytest.raises(Stall):
        handset.control(setup, data)
    assert handset.gains[Gain.EARPIECE] == 0


def test_a_microphone_alone_has_one_stream(clock: Clock) -> None:
    gooseneck = GooseneckModel(clock=clock)
    gooseneck.control(Setup(0x00, 9, 1, 0, 0), b"")
    stream(gooseneck, 1)
    gooseneck.speak(Tone(440, -6))
    assert max(spoken(gooseneck, 10)) > 0
    assert set(gooseneck.gains) == {Gain.MICROPHONE}
