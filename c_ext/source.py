"""Sources: tones and clips, which speak without a far end or a microphone."""

from dataclasses import dataclass
from errno import EINVAL
from typing import TYPE_CHECKING

from ._engine import ffi, lib
from .errors import SettingError
from .part import Part, check, within

if TYPE_CHECKING:
    from . import _engine as c
    from .engine import Engine


@dataclass(frozen=True, slots=True)
class Tone:
    """A tone in its cadence.

    Attributes:
        parts: (frequency in Hz, level in dBFS) of each sine in it, up to four.
        steps: (milliseconds on, milliseconds off), up to four; none is without a break.
        repeats: Of all steps; 0 is endless.
    """

    parts: tuple[tuple[int, float], ...]
    steps: tuple[tuple[int, int], ...] = ()
    repeats: int = 0

    @classmethod
    def named(cls, name: str, zone: str = "fr") -> "Tone":
        """Returns a tone of the field.

        >>> Tone.named("busy").steps
        ((500, 500),)

        Args:
            name: ``dial``, ``ringback``, ``busy``, ``congestion``, ``call-waiting``,
                ``recording-beep``, ``blocking``, ``dtmf-5`` and so on.
            zone: ``fr``, ``gb`` or ``us``.

        Raises:
            SettingError: There is none of that name.
        """
        spec = lib.ot_tone_find(zone.encode(), name.encode())
        if spec == ffi.NULL:
            raise SettingError(EINVAL, f"there is no tone {name!r} in zone {zone!r}")
        return cls(
            tuple((p.frequency_hz, p.level_dbfs) for p in spec.parts if p.frequency_hz),
            tuple((s.on_ms, s.off_ms) for s in spec.steps if s.on_ms),
            spec.repeats,
        )


class Source(Part["c.SourceHandle"]):
    """Says a tone or a clip, on every bus that it has joined."""

    def __init__(self, engine: "Engine", handle: "c.SourceHandle", rate_hz: int) -> None:
        super().__init__(engine, handle)
        self.id: int = lib.ot_source_port(handle)
        self.rate_hz = rate_hz

    def play_tone(self, tone: Tone) -> None:
        """Says a tone, in place of what it said before.

        Raises:
            SettingError: A frequency, level or time is out of bounds, or there are too many.
            ClosedError: The source was closed.
        """
        if not 1 <= len(tone.parts) <= lib.OT_TONE_PARTS or len(tone.steps) > lib.OT_TONE_STEPS:
            raise SettingError(EINVAL, "a tone has one to four parts and at most four steps")
        spec = ffi.new("ot_tone_spec *")
        for i, (frequency_hz, level_dbfs) in enumerate(tone.parts):
            spec.parts[i].frequency_hz = within(frequency_hz, 16, "frequency in Hz")
            spec.parts[i].level_dbfs = level_dbfs
        for i, (on_ms, off_ms) in enumerate(tone.steps):
            spec.steps[i].on_ms = within(on_ms, 16, "time in ms")
            spec.steps[i].off_ms = within(off_ms, 16, "time in ms")
        spec.repeats = within(tone.repeats, 32, "repeats")
        check(lib.ot_source_tone(self.handle, spec), "cannot make the tone")

    def play_clip(self, pcm: bytes, *, times: int = 1) -> None:
        """Says recorded sound, in place of what it said before.

        Args:
            pcm: Signed 16-bit native-endian mono at the source's rate, at most 10 minutes.
            times: How often; 0 is for ever.

        Raises:
            SettingError: It is empty or too long.
            ClosedError: The source was closed.
        """
        code = lib.ot_source_clip(
            self.handle,
            ffi.from_buffer("int16_t[]", pcm),
            len(pcm) // 2,
            within(times, 32, "times"),
        )
        check(code, "cannot play the clip")

    def stop(self) -> None:
        """Falls silent, without a click.

        Raises:
            ClosedError: The source was closed.
        """
        check(lib.ot_source_stop(self.handle), "cannot stop the source")

    def close(self) -> None:
        """Leaves every bus; closing twice does nothing."""
        self._close(lib.ot_source_close)
