"""A USB Audio Class 1.0 function: a microphone, an earpiece or loudspeaker, gains, a side-tone.

Emulated: terminals and units of section 4.3, mute and volume of each feature unit, a side-tone
path through a mixer, streams of mono 16-bit PCM at 8, 16 and 48 kHz with alternate setting 0
(no bandwidth) and 1, the sampling frequency control of each endpoint, one packet a millisecond.

Not emulated: a clock that drifts against the host's frames, rates that do not divide into
milliseconds, stereo, and acoustics: an earpiece is never heard by a microphone.

::

    host ─ IT1 ─ FU2 gain ──────────┬ (MU8) ─ OT3 ─ earpiece
                        FU7 sidetone ┘
    microphone ─ IT4 ─┬─ (FU7)
                      └─ FU5 gain ─ OT6 ─ host
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from ....hal.gain import Gain
from . import audio_descriptors as uac
from . import descriptors
from .audio_descriptors import Terminal
from .gains import GET_CUR, SET_CUR, FeatureUnit
from .model import Setup, Stall
from .voices import Heard, Quiet, Voice, from_pcm, louder, mixed, to_pcm

RATES_HZ: Final = (8000, 16000, 48000)
PACKET_OCTETS: Final = 96
HEARD_MS: Final = 60_000
"""How much an earpiece keeps for whoever listens; what comes later is lost."""

_FROM_HOST, _OUTPUT_GAIN, _OUTPUT = 1, 2, 3
_MICROPHONE, _MICROPHONE_GAIN, _TO_HOST = 4, 5, 6
_SIDETONE, _MIXER = 7, 8
_SAMPLING_FREQUENCY: Final = 0x0100


@dataclass(frozen=True, slots=True)
class AudioShape:
    """What an audio function has.

    Attributes:
        output: Terminal that gives sound, None without one.
        microphone: Terminal that picks sound up, None without one.
        output_gain: What its gain is called.
        sidetone: Whether the microphone can be heard in the output.
        output_endpoint: Number of the endpoint of the output.
        microphone_endpoint: Number of the endpoint of the microphone.
        rates_hz: What its streams can do; the last one is what they start at.
    """

    output: Terminal | None = None
    microphone: Terminal | None = None
    output_gain: Gain = Gain.EARPIECE
    sidetone: bool = False
    output_endpoint: int = 1
    microphone_endpoint: int = 2
    rates_hz: tuple[int, ...] = RATES_HZ


@dataclass(slots=True)
class _Stream:
    endpoint: int
    terminal: int
    rate_hz: int
    running: bool = False


@dataclass(slots=True)
class _Listening:
    rate_hz: int
    pcm: bytearray = field(default_factory=bytearray)


class AudioFunction:
    """The audio of one device; its owner holds the device's lock around every call.

    Args:
        shape: What it has.
        muted: Asked in every millisecond whether the device mutes its microphone.
    """

    def __init__(self, shape: AudioShape, *, muted: Callable[[], bool]) -> None:
        self._shape = shape
        self._muted = muted
        self._first = 0
        self._streams = _streams(shape)
        self._units = _units(shape)
        self._voice: Voice = Quiet()
        self._spoken_ms = self._sidetone_ms = 0
        self._listening: _Listening | None = None

    @property
    def interfaces(self) -> int:
        """The audio control interface and one for each stream."""
        return 1 + len(self._streams)

    @property
    def gains(self) -> dict[Gain, float]:
        """What its gains are set to, in dB, minus infinity when silent."""
        return {unit.gain: unit.gain_db for unit in self._units.values()}

    @property
    def streaming(self) -> bool:
        """Whether the host has opened a stream."""
        return any(stream.running for stream in self._streams)

    def speak(self, voice: Voice) -> None:
        """Lets somebody speak from the next millisecond on, in place of who spoke before."""
        self._voice = voice
        self._spoken_ms = self._sidetone_ms = 0

    def listen(self) -> None:
        """Starts to keep what is heard."""
        self._listening = _Listening(0)

    def stop_listening(self) -> Heard:
        """Returns what was heard, at the rate of the stream; nothing without :meth:`listen`."""
        heard, self._listening = self._listening, None
        return Heard(RATES_HZ[0], b"") if heard is None else Heard(heard.rate_hz, bytes(heard.pcm))

    def descriptors(self, first_interface: int, string: Callable[[str], int]) -> bytes:
        """Returns the control interface with its units, then each stream with its settings."""
        self._first = first_interface
        numbers = range(first_interface + 1, first_interface + self.interfaces)
        control = descriptors.interface(first_interface, uac.CONTROL_CLASS)
        head = control + uac.header(self._topology(string), numbers)
        streams = zip(numbers, self._streams, strict=True)
        return head + b"".join(self._stream(number, stream) for number, stream in streams)

    def control(self, setup: Setup, data: bytes) -> bytes:
        """Answers a request of section 5.2.

        Raises:
            Stall: There is no such unit or control.
        """
        if setup.kind == 1 and setup.recipient == 2:
            return self._sampling_frequency(setup, data)
        unit = self._units.get(setup.index >> 8)
        if setup.kind != 1 or unit is None or setup.index & 0xFF != self._first:
            raise Stall
        return unit.control(setup, data)

    def select(self, interface: int, setting: int) -> None:
        """Starts a stream (setting 1) or ends it (0).

        Raises:
            Stall: There is no such setting.
        """
        number = interface - self._first - 1
        if number < 0:
            if setting:
                raise Stall
            return
        self._streams[number].running = setting == 1

    def interrupt_in(self, _endpoint: int) -> bytes | None:
        """It has no interrupt endpoint.

        Raises:
            Stall: Always.
        """
        raise Stall

    def interrupt_out(self, _endpoint: int, _data: bytes) -> None:
        """It has no interrupt endpoint.

        Raises:
            Stall: Always.
        """
        raise Stall

    def isochronous_in(self, endpoint: int) -> bytes:
        """Returns a millisecond of the microphone; empty while its stream is not open."""
        stream = self._running(endpoint)
        if stream is None or not endpoint & 0x80:
            return b""
        said = self._picked_up(self._spoken_ms, stream.rate_hz)
        self._spoken_ms += 1
        return to_pcm(louder(said, self._units[_MICROPHONE_GAIN].factor))

    def isochronous_out(self, endpoint: int, data: bytes) -> None:
        """Gives a millisecond to the earpiece."""
        stream = self._running(endpoint)
        if stream is None or endpoint & 0x80:
            return
        heard = louder(from_pcm(data[:PACKET_OCTETS]), self._units[_OUTPUT_GAIN].factor)
        self._keep(stream.rate_hz, self._with_sidetone(heard, stream.rate_hz))

    def power_on(self) -> None:
        """Gains start afresh."""
        for unit in self._units.values():
            unit.power_on()

    def bus_reset(self) -> None:
        """Ends the streams; gains stay."""
        for stream in self._streams:
            stream.running = False
            stream.rate_hz = self._shape.rates_hz[-1]

    def _running(self, endpoint: int) -> _Stream | None:
        for stream in self._streams:
            if stream.endpoint == endpoint and stream.running:
                return stream
        return None

    def _picked_up(self, millisecond: int, rate_hz: int) -> list[int]:
        voice = Quiet() if self._muted() else self._voice
        return voice.samples(millisecond, rate_hz)

    def _with_sidetone(self, heard: list[int], rate_hz: int) -> list[int]:
        unit = self._units.get(_SIDETONE)
        if unit is None or not unit.factor:
            return heard
        own = self._picked_up(self._sidetone_ms, rate_hz)[: len(heard)]
        self._sidetone_ms += 1
        return mixed(heard[: len(own)], louder(own, unit.factor))

    def _keep(self, rate_hz: int, samples: list[int]) -> None:
        listening = self._listening
        if listening is None:
            return
        if not listening.pcm:
            listening.rate_hz = rate_hz
        if len(listening.pcm) < HEARD_MS * rate_hz // 500:
            listening.pcm += to_pcm(samples)

    def _sampling_frequency(self, setup: Setup, data: bytes) -> bytes:
        stream = next((one for one in self._streams if one.endpoint == setup.index), None)
        if stream is None or setup.value != _SAMPLING_FREQUENCY:
            raise Stall
        if setup.request == GET_CUR:
            return stream.rate_hz.to_bytes(3, "little")
        rate_hz = int.from_bytes(data, "little")
        if setup.request != SET_CUR or len(data) != 3 or rate_hz not in self._shape.rates_hz:
            raise Stall
        stream.rate_hz = rate_hz
        return b""

    def _topology(self, string: Callable[[str], int]) -> bytes:
        names = {unit.gain: string(str(unit.gain)) for unit in self._units.values()}
        return _output_path(self._shape, names) + _microphone_path(self._shape, names)

    def _stream(self, number: int, stream: _Stream) -> bytes:
        return (
            descriptors.interface(number, uac.STREAMING_CLASS)
            + descriptors.interface(number, uac.STREAMING_CLASS, setting=1, endpoints=1)
            + uac.streaming(stream.terminal)
            + uac.pcm_format(self._shape.rates_hz)
            + descriptors.audio_endpoint(stream.endpoint, PACKET_OCTETS)
            + uac.stream_endpoint()
        )


def _streams(shape: AudioShape) -> list[_Stream]:
    streams = []
    if shape.output is not None:
        streams.append(_Stream(shape.output_endpoint, _FROM_HOST, shape.rates_hz[-1]))
    if shape.microphone is not None:
        to_host = 0x80 | shape.microphone_endpoint
        streams.append(_Stream(to_host, _TO_HOST, shape.rates_hz[-1]))
    return streams


def _units(shape: AudioShape) -> dict[int, FeatureUnit]:
    units = {}
    if shape.output is not None:
        units[_OUTPUT_GAIN] = FeatureUnit(shape.output_gain)
    if shape.microphone is not None:
        units[_MICROPHONE_GAIN] = FeatureUnit(Gain.MICROPHONE)
    if shape.sidetone:
        units[_SIDETONE] = FeatureUnit(Gain.SIDETONE)
    return units


def _output_path(shape: AudioShape, names: Mapping[Gain, int]) -> bytes:
    if shape.output is None:
        return b""
    units = uac.input_terminal(_FROM_HOST, Terminal.USB_STREAMING)
    units += _feature(_OUTPUT_GAIN, _FROM_HOST, names[shape.output_gain])
    source = _OUTPUT_GAIN
    if shape.sidetone:
        units += _feature(_SIDETONE, _MICROPHONE, names[Gain.SIDETONE])
        units += uac.mixer_unit(_MIXER, (_OUTPUT_GAIN, _SIDETONE))
        source = _MIXER
    pair = 0 if shape.microphone is None else _MICROPHONE
    return units + uac.output_terminal(_OUTPUT, shape.output, source, pair)


def _microphone_path(shape: AudioShape, names: Mapping[Gain, int]) -> bytes:
    if shape.microphone is None:
        return b""
    pair = 0 if shape.output is None else _OUTPUT
    return (
        uac.input_terminal(_MICROPHONE, shape.microphone, pair)
        + _feature(_MICROPHONE_GAIN, _MICROPHONE, names[Gain.MICROPHONE])
        + uac.output_terminal(_TO_HOST, Terminal.USB_STREAMING, _MICROPHONE_GAIN)
    )


def _feature(number: int, source: int, name: int) -> bytes:
    return uac.feature_unit(number, source, FeatureUnit.CONTROLS, name)
