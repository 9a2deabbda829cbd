"""What must hold between the keys of a board: one device for one position, a way back from silence.

Each rule looks at what was read and where it stood, and refuses with the line and the remedy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from .board_keys import FLEXPRO, FLEXPRO_CHANNELS, MAX_CHANNELS
from .description import (
    CAPABILITIES,
    PLACES,
    USB_KEYS,
    XMA2_KEYS,
    Capability,
    DeviceSpec,
    DeviceType,
)
from .errors import BoardError

_OWN: Final = ("url", "socket", "matrix", "name")
"""Keys of a match of which two positions never have the same value."""

_SPEAKERS: Final = (DeviceType.SPEAKER, DeviceType.XMA2)
_AUDIO: Final = frozenset({Capability.CAPTURE, Capability.PLAYBACK})


@dataclass(frozen=True, slots=True)
class Entry:
    """A device with the lines that its keys stand in."""

    spec: DeviceSpec
    lines: Mapping[str, int]

    def refusal(self, key: str, message: str, remedy: str) -> BoardError:
        """Returns the error that points at a key, or at the device where the key is not there."""
        line = self.lines.get(key, self.lines["type"])
        return BoardError(f"{self.spec.position}: {message}", line=line, remedy=remedy)


def check_device(entry: Entry) -> None:
    """Refuses keys that do not go together.

    Raises:
        BoardError: They do not.
    """
    _check_capabilities(entry)
    _check_match(entry)
    spec = entry.spec
    if "channels" in entry.lines and spec.type not in _SPEAKERS:
        raise entry.refusal("channels", f"a {spec.type} has no channels", "remove the key")
    for key in ("rate_hz", "fallback"):
        if key in entry.lines and not spec.has_audio:
            raise entry.refusal(key, f"it has no audio, so no {key}", "remove the key")


def check_board(name: str, entries: Sequence[Entry], channels_limit: int | None) -> None:
    """Refuses devices that do not go together.

    Args:
        name: What the unit is.
        entries: Its devices.
        channels_limit: What the board says about its loudspeaker channels.

    Raises:
        BoardError: They do not.
    """
    for first, second in combinations(entries, 2):
        _check_pair(first, second)
    _check_mixers(entries)
    by_position = {entry.spec.position: entry for entry in entries}
    for entry in entries:
        _check_fallback(entry, by_position)
    _check_channels(name, entries, channels_limit)


def _check_capabilities(entry: Entry) -> None:
    spec = entry.spec
    strange = ", ".join(sorted(spec.capabilities - CAPABILITIES[spec.type]))
    if strange:
        message, remedy = f"a {spec.type} has no {strange}", "remove it or correct the type"
        raise entry.refusal("capabilities", message, remedy)


def _check_match(entry: Entry) -> None:
    match, spec = entry.spec.match, entry.spec
    if ("vid" in match) is not ("pid" in match):
        raise entry.refusal("match", "vid and pid stand together", "add the other one")
    places = [place for place in PLACES if place in match]
    strange = [key for key in USB_KEYS if key in match and (key, places) != ("serial", ["url"])]
    if places and (strange or len(places) > 1):
        clash = " and ".join((*places, *strange))
        raise entry.refusal("match", f"{clash} are different places", "keep one of them")
    strange = [key for key in XMA2_KEYS if key in match and spec.type is not DeviceType.XMA2]
    if strange:
        raise entry.refusal("match", f"a {spec.type} has no {strange[0]}", "remove it")


def _check_pair(first: Entry, second: Entry) -> None:
    for key in _OWN:
        if key in first.spec.match and first.spec.match[key] == second.spec.match.get(key):
            message = f"{first.spec.position} has the same {key}"
            raise second.refusal("match", message, "give each position its own")
    if _same_device(first.spec.usb, second.spec.usb):
        message = f"its match can take the same device as {first.spec.position}"
        remedy = 'give both a port, as in port: "1-1", or both a serial'
        raise second.refusal("match", message, remedy)


def _check_mixers(entries: Sequence[Entry]) -> None:
    mixers = [entry for entry in entries if "matrix" in entry.spec.match]
    if len(mixers) > 1:
        message = f"{mixers[0].spec.position} mixes already; a unit has one mixing matrix"
        raise mixers[1].refusal("match", message, "remove matrix from one of them")


def _same_device(one: Mapping[str, str | int], other: Mapping[str, str | int]) -> bool:
    """Whether a device could answer to both: nothing that both ask for differs."""
    return bool(one and other) and all(one[key] == other[key] for key in one.keys() & other.keys())


def _check_fallback(entry: Entry, by_position: Mapping[str, Entry]) -> None:
    spec = entry.spec
    if not spec.fallback:
        return
    if spec.fallback not in by_position:
        known = ", ".join(each for each in by_position if each != spec.position) or "none"
        message = f"its fallback {spec.fallback} is no position"
        raise entry.refusal("fallback", message, f"use one of {known}")
    other = by_position[spec.fallback].spec
    lacking = " and ".join(sorted((spec.capabilities & _AUDIO) - other.capabilities))
    if lacking:
        message = f"its fallback {spec.fallback} has no {lacking}"
        raise entry.refusal("fallback", message, "choose a device that hears and speaks as it does")
    _check_loop(entry, by_position)


def _check_loop(entry: Entry, by_position: Mapping[str, Entry]) -> None:
    way = [entry.spec.position]
    after: Entry | None = by_position.get(entry.spec.fallback)
    while after is not None:
        if after.spec.position in way:
            loop = " → ".join((*way, after.spec.position))
            raise entry.refusal("fallback", f"its fallbacks go round: {loop}", "remove one of them")
        way.append(after.spec.position)
        after = by_position.get(after.spec.fallback)


def _check_channels(name: str, entries: Sequence[Entry], limit: int | None) -> None:
    allowed = _usual_limit(name) if limit is None else limit
    channels = 0
    for entry in entries:
        channels += entry.spec.channels * (entry.spec.type is DeviceType.SPEAKER)
        if channels > allowed:
            message = f"with it there are {channels} speaker channels, {allowed} are allowed"
            raise entry.refusal("channels", message, _more(name, limit))


def _usual_limit(name: str) -> int:
    return FLEXPRO_CHANNELS if name == FLEXPRO else MAX_CHANNELS


def _more(name: str, limit: int | None) -> str:
    if limit is not None or name == FLEXPRO:
        return f"remove some, or set speaker_channels_limit (at most {MAX_CHANNELS})"
    return "remove some"
