"""Sources: tones and sound files that speak on buses without a far end or a microphone."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from ...c_ext import Engine, SettingError
from ...c_ext import Source as EngineSource
from ...c_ext import Tone as EngineTone
from ...hal.matrix import Tone
from .errors import BadRequestError, ConflictError, UnknownThingError

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class OpenSource:
    """One source and what it says, in words."""

    name: str
    engine: EngineSource
    says: str = ""

    def describe(self) -> dict[str, object]:
        """Returns the source as OLDCB lists it."""
        return {"name": self.name, "rate_hz": self.engine.rate_hz, "says": self.says}


class Sources:
    """Every source by name."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sources: dict[str, OpenSource] = {}

    def __iter__(self) -> Iterator[OpenSource]:
        return iter(self._sources.values())

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, name: str) -> OpenSource:
        if name not in self._sources:
            raise UnknownThingError(f"there is no source {name[:40]!r}")
        return self._sources[name]

    def find(self, port: int) -> OpenSource | None:
        """Returns the source that the engine knows by that number, None when it is closed."""
        return next((source for source in self if source.engine.id == port), None)

    def open(self, name: str, rate_hz: int) -> OpenSource:
        """Makes a source that is silent.

        Raises:
            ConflictError: One of that name is open.
        """
        if name in self._sources:
            raise ConflictError(f"source {name[:40]!r} is open already")
        source = OpenSource(name, self._engine.open_source(rate_hz=rate_hz))
        self._sources[name] = source
        logger.info("source %s opened", name)
        return source

    def play_tone(self, name: str, tone: str | Tone, zone: str | None) -> None:
        """Says a tone in place of what it said before.

        Raises:
            BadRequestError: There is no such tone, or a frequency is too high for the source.
        """
        source = self[name]
        try:
            source.engine.play_tone(_engine_tone(tone, zone))
        except SettingError as error:
            raise BadRequestError(f"source {name[:40]!r}: {error.strerror}") from error
        source.says = f"tone {tone}" if isinstance(tone, str) else "tone"

    def play_clip(self, source: OpenSource, pcm: bytes, file: str, times: int) -> None:
        """Says a sound file in place of what it said before.

        Raises:
            UnknownThingError: The source was closed while the file was read.
        """
        if self._sources.get(source.name) is not source:
            raise UnknownThingError(f"source {source.name[:40]!r} was closed meanwhile")
        source.engine.play_clip(pcm, times=times)
        source.says = f"wav {file}"

    def stop(self, name: str) -> None:
        """Silences a source without a click."""
        source = self[name]
        source.engine.stop()
        source.says = ""

    def close(self, name: str) -> None:
        """Ends a source; it must be on no bus."""
        self[name].engine.close()
        del self._sources[name]
        logger.info("source %s closed", name)


def _engine_tone(tone: str | Tone, zone: str | None) -> EngineTone:
    if isinstance(tone, Tone):
        return EngineTone(tone.parts, tone.steps, tone.repeats)
    return EngineTone.named(tone) if zone is None else EngineTone.named(tone, zone)
