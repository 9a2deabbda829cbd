"""Gives each known unit an address of its own, the same one every time.

dnsmasq derives an address from the MAC and does not remember what it has offered: units whose
MACs follow each other, powered on together, are offered the same few addresses and refused
when they ask for them. An address that is reserved is offered to nobody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address
from pathlib import Path

from ..tss.content import write_durably


def reserve(
    path: Path, macs: Iterable[str], first: IPv4Address, last: IPv4Address
) -> dict[str, IPv4Address]:
    """An address for every unit, as long as there are any.

    Args:
        path: remembers them; one line ``mac,address`` each.
        macs: the units.
        first: the first address that may be given.
        last: the last one.

    Raises:
        OSError: the file cannot be written.
    """
    wanted = dict.fromkeys(macs)
    kept = {mac: at for mac, at in _read(path) if mac in wanted and first <= at <= last}
    taken = set(kept.values())
    free = (at for at in _between(first, last) if at not in taken)
    missing = (mac for mac in wanted if mac not in kept)
    reserved = {**kept, **dict(zip(missing, free, strict=False))}
    write_durably(path, "".join(f"{mac},{at}\n" for mac, at in reserved.items()).encode())
    return reserved


def _between(first: IPv4Address, last: IPv4Address) -> Iterator[IPv4Address]:
    return (IPv4Address(number) for number in range(int(first), int(last) + 1))


def _read(path: Path) -> Iterator[tuple[str, IPv4Address]]:
    """What was reserved; a line that is damaged is as good as none."""
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    for line in lines:
        mac, _, address = line.partition(",")
        try:
            yield mac, IPv4Address(address)
        except ValueError:
            continue
