"""Devices: the engine's end of microphones, earpieces and loudspeakers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._engine import ffi, lib
from .part import Numbered, Part, check, gain_db, level_dbfs, within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from . import _engine as c
    from .engine import Engine


@dataclass(frozen=True, slots=True)
class DeviceStats:
    """The rings between a device and the engine; fill in milliseconds, levels in dBFS.

    `capture_active` says that somebody speaks into it, `drift_ppm` by how much its clock is faster
    than ours.
    """

    capture_fill_ms: float
    playback_fill_ms: float
    capture_underruns: int
    capture_overruns: int
    playback_underruns: int
    playback_overruns: int
    capture_level_dbfs: float
    playback_level_dbfs: float
    capture_active: bool
    drift_ppm: float


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What is done to the sound of a microphone.

    Attributes:
        echo: Take out what the unit's own loudspeakers play.
        gain_control: Bring speech to an even level.
        noise_db: How much steady noise is taken out, 0 to 40 dB.
        tail_ms: The longest echo that is taken out, 20 to 500 ms.
    """

    echo: bool = True
    gain_control: bool = False
    noise_db: int = 12
    tail_ms: int = 200


class Device(Part["c.DeviceHandle"]):
    """The engine's end of a microphone and an earpiece or loudspeaker.

    One thread may write, one may read; neither ever waits for the engine.
    """

    def __init__(self, engine: "Engine", handle: "c.DeviceHandle", rate_hz: int) -> None:
        super().__init__(engine, handle)
        self.id: int = lib.ot_device_port(handle)
        self.rate_hz = rate_hz

    def write_capture(self, pcm: bytes) -> int:
        """Hands samples of the microphone to the engine.

        Args:
            pcm: Signed 16-bit native-endian mono at the device's rate.

        Returns:
            The samples taken; fewer than given when the ring is full (an overrun).

        Raises:
            ClosedError: The device was closed.
        """
        samples = len(pcm) // 2
        return lib.ot_device_write(self.handle, ffi.from_buffer("int16_t[]", pcm), samples)

    def read_playback(self, samples: int) -> bytes:
        """Takes samples for the ear; silence fills what the engine has not mixed yet.

        Returns:
            Exactly `samples` signed 16-bit native-endian samples.

        Raises:
            ClosedError: The device was closed.
        """
        pcm = bytearray(2 * samples)
        lib.ot_device_read(self.handle, ffi.from_buffer("int16_t[]", pcm), samples)
        return bytes(pcm)

    def mute(self, *, capture: bool, playback: bool) -> None:
        """Closes or opens the microphone and the earpiece, without a click.

        Raises:
            ClosedError: The device was closed.
        """
        check(lib.ot_device_mute(self.handle, capture, playback), "cannot mute the device")

    def sidetone(self, gain: float | None) -> None:
        """Lets the speaker hear himself.

        Args:
            gain: In dB, at most 0; None is no side-tone.

        Raises:
            SettingError: The gain is out of bounds.
            ClosedError: The device was closed.
        """
        check(lib.ot_device_sidetone(self.handle, gain_db(gain)), "cannot set the side-tone")

    def duck(
        self,
        ports: "Sequence[Numbered]",
        *,
        depth_db: float = 12.0,
        hold_ms: int = 300,
        release_ms: int = 500,
    ) -> None:
        """Lowers what the device plays while somebody speaks at one of the ports.

        Args:
            ports: Who takes precedence; none ends it.
            depth_db: By how much, 0 to 60.
            hold_ms: How long it stays low after the last word.
            release_ms: How long it takes to come back.

        Raises:
            SettingError: A setting is out of bounds.
            ClosedError: The device or a port was closed.
        """
        numbers = _numbers(ports)
        code = lib.ot_device_duck(
            self.handle,
            numbers,
            len(ports),
            depth_db,
            within(hold_ms, 16, "hold in ms"),
            within(release_ms, 16, "release in ms"),
        )
        check(code, "cannot duck the device")

    def clean(self, cleaning: Cleaning | None, echo_of: "Sequence[Device]" = ()) -> None:
        """Cleans what the microphone hears; what comes out is 10 ms later.

        Args:
            cleaning: What is done; None ends it.
            echo_of: The devices whose sound it hears back, at the same rate: itself for a
                speakerphone, the loudspeakers around it for a gooseneck.

        Raises:
            SettingError: A setting is out of bounds.
            ClosedError: A device was closed.
        """
        options = ffi.NULL
        if cleaning is not None:
            made = ffi.new("ot_voice_options *")
            made.echo = cleaning.echo
            made.gain_control = cleaning.gain_control
            made.noise_db = within(cleaning.noise_db, 8, "noise suppression in dB")
            made.tail_ms = within(cleaning.tail_ms, 16, "tail in ms")
            options = made
        code = lib.ot_device_clean(self.handle, options, _numbers(echo_of), len(echo_of))
        check(code, "cannot clean the device")

    def stats(self) -> DeviceStats:
        """Returns fill, underruns, overruns and levels.

        Raises:
            ClosedError: The device was closed.
        """
        raw = ffi.new("ot_device_stats *")
        check(lib.ot_device_stats_read(self.handle, raw), "cannot read the device")
        return DeviceStats(
            capture_fill_ms=raw.capture_fill * 1e3 / self.rate_hz,
            playback_fill_ms=raw.playback_fill * 1e3 / self.rate_hz,
            capture_underruns=raw.capture_underruns,
            capture_overruns=raw.capture_overruns,
            playback_underruns=raw.playback_underruns,
            playback_overruns=raw.playback_overruns,
            capture_level_dbfs=level_dbfs(raw.capture_energy),
            playback_level_dbfs=level_dbfs(raw.playback_energy),
            capture_active=bool(raw.capture_active),
            drift_ppm=raw.drift_ppb / 1e3,
        )

    def close(self) -> None:
        """Fades out and leaves every bus; closing twice does nothing."""
        self._close(lib.ot_device_close)


def _numbers(ports: "Sequence[Numbered]") -> "c.Numbers":
    for port in ports:
        port.handle  # noqa: B018
    return ffi.new("uint32_t[]", [port.id for port in ports])
