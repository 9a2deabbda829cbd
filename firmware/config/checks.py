"""Rules that hold between keys, each a sentence when it is broken."""

from __future__ import annotations

from collections.abc import Iterator

from . import ports
from .ports import Settings


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
    prefix = "application.xma.trafficin."
    mask = _number(settings, prefix + "netmask")
    first = _number(settings, prefix + "portef")
    host_bits = ~mask & 0xFFFF
    if host_bits & (host_bits + 1):
        yield f"{prefix}netmask is {mask:#06x}: its ones must be contiguous, as in 0xf800"
        return
    if first & host_bits:
        block = f"with mask {mask:#06x} it must be a multiple of {host_bits + 1}"
        yield f"{prefix}portef is {first:#06x}: {block}"
        return
    yield from _xma_range(settings, first, host_bits)


def _xma_range(settings: Settings, first: int, host_bits: int) -> Iterator[str]:
    wanted = {
        "application.xma.trafficin.portrange": host_bits + 1,
        "application.mm.rtplowerport": first,
        "application.mm.rtpupperport": first | (host_bits & 0xFFFE),
    }
    for name, value in wanted.items():
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
