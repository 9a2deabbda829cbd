"""Rules that hold between keys, each a sentence when it is broken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ...hal.xma import PortFilter, PortFilterError
from . import ports
from .ports import Settings

_TRAFFIC_IN: Final = "application.xma.trafficin."


def conflicts(settings: Settings) -> Iterator[str]:
    """Every contradiction in a configuration, with its remedy."""
    yield from _ranges(settings)
    if settings["application.xma.enable"]:
        yield from _xma(settings)
    yield from _collisions(settings)
    yield from _broadcasting(settings)


def _number(settings: Settings, name: str) -> int:
    value = settings[name]
    return value if isinstance(value, int) else 0


def _ranges(settings: Settings) -> Iterator[str]:
    for prefix in ("application.mm.", "application.mm.vie."):
        lower, upper = prefix + "rtplowerport", prefix + "rtpupperport"
        if _number(settings, lower) % 2:
            yield f"{lower} is {settings[lower]}, but RTP takes even ports: use the next even one"
        if _number(settings, upper) <= _number(settings, lower):
            yield f"{upper} is {settings[upper]}: it must be above {lower} ({settings[lower]})"


def _xma(settings: Settings) -> Iterator[str]:
    first, mask = (_number(settings, _TRAFFIC_IN + name) for name in ("portef", "netmask"))
    try:
        wanted = PortFilter(first, mask)
    except PortFilterError as error:
        key = "portef" if error.field == "portref" else error.field
        yield f"{_TRAFFIC_IN}{key}: {error}"
    else:
        yield from _xma_range(settings, wanted)


def _xma_range(settings: Settings, wanted: PortFilter) -> Iterator[str]:
    bounds = {
        _TRAFFIC_IN + "portrange": wanted.ports,
        "application.mm.rtplowerport": wanted.rtp_lower_port,
        "application.mm.rtpupperport": wanted.rtp_upper_port,
    }
    for name, value in bounds.items():
        if settings[name] != value:
            yield f"{name} is {settings[name]}: portref and netmask of the XMA2 make it {value}"


def _collisions(settings: Settings) -> Iterator[str]:
    for one, other in ports.collisions(settings):
        yield (
            f"{one.port.use} ({one.port.protocol.value} {one.first}-{one.last}) and "
            f"{other.port.use} ({other.port.protocol.value} {other.first}-{other.last}) "
            "want the same port: move one of them"
        )


def _broadcasting(settings: Settings) -> Iterator[str]:
    enabled = settings["profile.setting.broadcasting.enabled"]
    if enabled and not settings["profile.setting.broadcasting.mcast"]:
        yield (
            "profile.setting.broadcasting.enabled is true, but "
            "profile.setting.broadcasting.mcast names no group: set it, such as 239.1.1.1"
        )
