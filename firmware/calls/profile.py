"""Who is logged in and what their desk looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..config.store import Configuration
from .registration import Identity


@dataclass(frozen=True, slots=True)
class SpeakerChannel:
    """An always-open line on the loudspeaker; ``number`` is 1 to 32."""

    number: int
    label: str
    uri: str


@dataclass(frozen=True, slots=True)
class SpeedDial:
    """A number behind a key."""

    label: str
    number: str


@dataclass(frozen=True, slots=True)
class Profile:
    """A dealer's desk."""

    name: str
    identity: Identity
    channels: tuple[SpeakerChannel, ...] = ()
    speed_dials: tuple[SpeedDial, ...] = ()


def _label(labels: Mapping[int, object], number: int, fallback: str) -> str:
    return str(labels.get(number) or fallback)


def profile_of(configuration: Configuration) -> Profile:
    """Reads the profile keys.

    Raises:
        ConfigError: A key has the wrong type.
    """
    labels = configuration.indexed("profile.speaker.<n>.label")
    uris = configuration.indexed("profile.speaker.<n>.uri")
    dial_labels = configuration.indexed("profile.speeddial.<n>.label")
    numbers = configuration.indexed("profile.speeddial.<n>.number")
    return Profile(
        configuration.text("profile.user.name"),
        Identity(
            configuration.text("profile.sip.username"),
            configuration.text("profile.sip.password"),
            configuration.text("profile.sip.domain"),
        ),
        tuple(
            SpeakerChannel(n, _label(labels, n, f"Channel {n}"), str(uri))
            for n, uri in sorted(uris.items())
            if uri
        ),
        tuple(
            SpeedDial(_label(dial_labels, n, str(number)), str(number))
            for n, number in sorted(numbers.items())
            if number
        ),
    )
