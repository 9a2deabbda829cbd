"""An inventory in lines for people and in JSON for machines."""

import dataclasses
from collections.abc import Iterator
from typing import Final

from ..hal.hardware import UsbDevice, port_order
from ..hal.matching import Spare
from .inventory import Inventory, Place, described

WIDTH: Final = 15
"""Characters that a position is given."""


def report(found: Inventory) -> Iterator[str]:
    """Yields lines for people: every position, then what is on none."""
    for place in found.places:
        yield from _place_lines(place)
    if found.spares:
        yield "\non no position:\n" if found.places else ""
        yield from map(_spare_line, found.spares)
    yield "\n" + _summary(found)


def changed(before: Inventory, after: Inventory) -> Iterator[str]:
    """Yields lines for people: what is different now."""
    for place in after.places:
        if place not in before.places:
            yield from _place_lines(place)
    gone = {spare.device.port for spare in before.spares} - set(_ports(after))
    yield from (f"gone from {port}\n" for port in sorted(gone, key=port_order))
    yield from (_spare_line(spare) for spare in after.spares if spare not in before.spares)
    yield _summary(after)


def _ports(found: Inventory) -> Iterator[str]:
    yield from (spare.device.port for spare in found.spares)
    yield from (place.device.port for place in found.places if place.device is not None)


def _place_lines(place: Place) -> Iterator[str]:
    note = " (optional)" if place.spec.optional and not place.filled else ""
    text = ": ".join(filter(None, (place.what, place.reason)))
    yield f"{place.spec.position:<{WIDTH}} {place.state:<10} {text}{note}\n"
    if place.remedy:
        yield f"{'':<{WIDTH}} {'':<10} → {place.remedy}\n"


def _spare_line(spare: Spare) -> str:
    product = f" {spare.device.product}" if spare.device.product else ""
    return f"  {described(spare.device)}{product}: {spare.reason}\n"


def _summary(found: Inventory) -> str:
    if not found.board:
        return f"{len(found.spares)} USB devices; --board FILE says what they are for\n"
    filled = sum(place.filled for place in found.places)
    lacking = [p.spec.position for p in found.places if not p.filled and not p.spec.optional]
    missing = f"; not filled: {', '.join(lacking)}" if lacking else ""
    return f"{found.board}: {filled} of {len(found.places)} positions are filled{missing}\n"


def as_json(found: Inventory) -> dict[str, object]:
    """Returns the inventory as ``--json`` prints it."""
    return {
        "board": found.board or None,
        "complete": found.complete,
        "positions": [_place_json(place) for place in found.places],
        "spares": [{"device": device_json(s.device), "reason": s.reason} for s in found.spares],
    }


def _place_json(place: Place) -> dict[str, object]:
    return {
        "position": place.spec.position,
        "type": place.spec.type,
        "driver": place.spec.driver,
        "optional": place.spec.optional,
        "state": place.state,
        "filled": place.filled,
        "what": place.what,
        "reason": place.reason,
        "remedy": place.remedy,
        "device": None if place.device is None else device_json(place.device),
    }


def device_json(device: UsbDevice) -> dict[str, object]:
    """Returns a USB device as ``--json`` prints it; numbers of the bus as boards write them."""
    plain = dataclasses.asdict(device)
    numbers = {"vid": device.vid, "pid": device.pid, "bcd_device": device.bcd_device}
    return plain | {name: f"0x{value:04x}" for name, value in numbers.items()}
