"""Gains of a USB audio device that the kernel plays through: its ALSA mixer.

snd-usb-audio names an element after its feature unit's string or its terminal; the playback
volume of a microphone is what the ear hears of it: the side-tone.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ...hal.errors import DeviceGoneError
from ...hal.gain import Gain, GainRange

try:
    import alsaaudio
except ImportError:
    alsaaudio = None

logger = logging.getLogger(__name__)

_HUNDREDTHS: Final = 100
"""ALSA counts dB in hundredths."""

_LEAST_DB: Final = -128.0
"""Where a card says minus infinity for its least, this stands; UAC 1.0 can say no less."""


@dataclass(frozen=True, slots=True)
class Element:
    """One direction of a mixer element."""

    name: str
    direction: int
    range: GainRange


def gain_of(name: str, *, capture: bool, listening: Gain) -> Gain:
    """Returns the gain that an element of that name is.

    >>> gain_of("Mic", capture=False, listening=Gain.EARPIECE)
    <Gain.SIDETONE: 'sidetone'>
    >>> gain_of("Headset", capture=False, listening=Gain.EARPIECE)
    <Gain.EARPIECE: 'earpiece'>
    """
    if capture:
        return Gain.MICROPHONE
    word = name.lower().replace("-", "").replace(" ", "")
    return Gain.SIDETONE if word.startswith("mic") or "sidetone" in word else listening


class AlsaMixer:
    """The mixer of a sound card.

    Args:
        card: Its number.
        listening: What its output is: ``EARPIECE`` or ``LOUDSPEAKER``.

    Raises:
        DeviceGoneError: There is no such card any more.
    """

    def __init__(self, card: int, listening: Gain) -> None:
        self._card = card
        self._elements: dict[Gain, Element] = {}
        try:
            for gain, element in _elements(card, listening):
                self._elements.setdefault(gain, element)
        except alsaaudio.ALSAAudioError as error:
            raise DeviceGoneError(f"sound card {card}: {error}") from error

    @property
    def ranges(self) -> Mapping[Gain, GainRange]:
        """What it can adjust."""
        return {gain: element.range for gain, element in self._elements.items()}

    def set(self, gain: Gain, gain_db: float) -> float:
        """Sets every channel of a gain and returns what the card took, in dB.

        Raises:
            DeviceGoneError: The card is gone.
        """
        element = self._elements[gain]
        hundredths = round(element.range.nearest(gain_db) * _HUNDREDTHS)
        decibels = alsaaudio.VOLUME_UNITS_DB
        try:
            mixer = alsaaudio.Mixer(element.name, cardindex=self._card)
            mixer.setvolume(hundredths, pcmtype=element.direction, units=decibels)
            taken: Sequence[int] = mixer.getvolume(element.direction, decibels)
        except alsaaudio.ALSAAudioError as error:
            raise DeviceGoneError(f"sound card {self._card}: {error}") from error
        return taken[0] / _HUNDREDTHS

    def close(self) -> None:
        """Holds nothing open."""


def open_mixer(card: int, listening: Gain) -> AlsaMixer | None:
    """Returns the mixer of a card, None where pyalsaaudio is not installed.

    Raises:
        DeviceGoneError: There is no such card any more.
    """
    if alsaaudio is None:
        logger.warning('sound card %d: its gains need pip install "openturret[rig]"', card)
        return None
    return AlsaMixer(card, listening)


def _elements(card: int, listening: Gain) -> Iterator[tuple[Gain, Element]]:
    for name in alsaaudio.mixers(cardindex=card):
        mixer = alsaaudio.Mixer(name, cardindex=card)
        for direction, word in (
            (alsaaudio.PCM_PLAYBACK, "Playback Volume"),
            (alsaaudio.PCM_CAPTURE, "Capture Volume"),
        ):
            if word in mixer.volumecap():
                capture = direction == alsaaudio.PCM_CAPTURE
                gain = gain_of(name, capture=capture, listening=listening)
                yield gain, Element(name, direction, _range(mixer, direction))


def _range(mixer: "alsaaudio.Mixer", direction: int) -> GainRange:
    least, most = mixer.getrange(direction, alsaaudio.VOLUME_UNITS_DB)
    first, last = mixer.getrange(direction, alsaaudio.VOLUME_UNITS_RAW)
    least_db, most_db = max(least / _HUNDREDTHS, _LEAST_DB), most / _HUNDREDTHS
    return GainRange(least_db, most_db, (most_db - least_db) / max(last - first, 1) or 1.0)
