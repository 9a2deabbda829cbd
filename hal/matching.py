"""Which thing that is plugged in takes which position of the board.

A device answers to a position when everything that the match says about USB agrees: ``vid``,
``pid``, ``serial``, ``port``.  Its place in a list and the name of its product never decide.  Where
two devices answer to one position, or one device to two, nothing is taken: no sound is better than
a call on the wrong handset.
"""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from .board import Board, DeviceSpec
from .errors import MatchError
from .hardware import UsbDevice, port_order

MAX_NAMED: Final = 3
"""Devices that a reason names before it stops."""


class Finding(enum.StrEnum):
    """What came of a position."""

    TAKEN = "taken"
    MISSING = "missing"
    AMBIGUOUS = "ambiguous"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one position of the board took.

    Attributes:
        spec: The position.
        finding: ``ELSEWHERE`` is a position that the board does not look for on USB.
        device: What it took; None unless ``TAKEN``.
        reason: Why it took nothing.
        remedy: What to change at the cable or in the board description.
    """

    spec: DeviceSpec
    finding: Finding
    device: UsbDevice | None = None
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Spare:
    """A device that no position took, and why."""

    device: UsbDevice
    reason: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """What every position took, in the order of the board, and what was left, by port."""

    verdicts: tuple[Verdict, ...]
    spares: tuple[Spare, ...]


def find(spec: DeviceSpec, present: Iterable[UsbDevice]) -> UsbDevice:
    """Returns the one device that answers to a position.

    Raises:
        MatchError: None does, several do, or the board does not look for it on USB.
    """
    verdict = _judged(spec, _in_order(present))
    if verdict.device is None:
        raise MatchError(f"{spec.position}: {verdict.reason}", remedy=verdict.remedy)
    return verdict.device


def assign(board: Board, present: Iterable[UsbDevice]) -> Assignment:
    """Returns which device takes which position, and why the others do not."""
    devices = _in_order(present)
    judged = [_judged(spec, devices) for spec in board.devices.values()]
    verdicts = tuple(_uncontested(verdict, judged) for verdict in judged)
    taken = [verdict.device for verdict in verdicts]
    spares = (Spare(each, _why_not(each, judged)) for each in devices if each not in taken)
    return Assignment(verdicts, tuple(spares))


def _in_order(present: Iterable[UsbDevice]) -> tuple[UsbDevice, ...]:
    return tuple(sorted(present, key=lambda device: port_order(device.port)))


def _judged(spec: DeviceSpec, devices: Sequence[UsbDevice]) -> Verdict:
    if not spec.usb:
        reason = "the board does not look for it on USB"
        return Verdict(spec, Finding.ELSEWHERE, reason=reason, remedy="give its match vid and pid")
    answering = [device for device in devices if not _differences(spec, device)]
    if len(answering) > 1:
        return _ambiguous(spec, answering)
    if not answering:
        return _missing(spec, devices)
    return Verdict(spec, Finding.TAKEN, answering[0])


def _differences(spec: DeviceSpec, device: UsbDevice) -> tuple[str, ...]:
    wanted = spec.usb
    return tuple(key for key in wanted if getattr(device, key) != wanted[key])


def _ambiguous(spec: DeviceSpec, answering: Sequence[UsbDevice]) -> Verdict:
    reason = f"{len(answering)} devices answer: {_named(answering)}"
    remedy = f'add its port to the match, as in port: "{answering[0].port}", or its serial'
    return Verdict(spec, Finding.AMBIGUOUS, reason=reason, remedy=remedy)


def _missing(spec: DeviceSpec, devices: Sequence[UsbDevice]) -> Verdict:
    nearest = _nearest(spec, devices)
    if not nearest:
        wanted = _said(spec.usb)
        reason, remedy = f"nothing that is plugged in has {wanted}", "plug it in"
    else:
        reason = ". ".join(_contrast(spec, device) for device in nearest[:MAX_NAMED])
        remedy = _remedy(_differences(spec, nearest[0]))
    return Verdict(spec, Finding.MISSING, reason=reason, remedy=remedy)


def _nearest(spec: DeviceSpec, devices: Sequence[UsbDevice]) -> list[UsbDevice]:
    """The devices that differ least, among those that agree in kind, unit or place."""
    near = [(len(_differences(spec, each)), each) for each in devices if _akin(spec, each)]
    least = min((differing for differing, _ in near), default=0)
    return [device for differing, device in near if differing == least]


def _akin(spec: DeviceSpec, device: UsbDevice) -> bool:
    wanted = spec.usb
    agreeing = wanted.keys() - set(_differences(spec, device))
    return bool(agreeing & {"serial", "port"}) or {"vid", "pid"} <= agreeing


def _contrast(spec: DeviceSpec, device: UsbDevice) -> str:
    wanted = spec.usb
    differing = _differences(spec, device)
    has = _said({key: getattr(device, key) for key in differing})
    return (
        f"{device}: it has {has}, the board says {_said({key: wanted[key] for key in differing})}"
    )


def _remedy(differing: Sequence[str]) -> str:
    if differing == ("port",):
        return "plug it into the port of the board, or correct the board's port"
    if differing == ("serial",):
        return "plug in the unit of that serial, or correct the board's serial"
    return f"plug in the device of the board, or correct {' and '.join(differing)} there"


def _said(keys: Mapping[str, str | int]) -> str:
    return " ".join(f"{key} {_value(value)}" for key, value in keys.items())


def _value(value: str | int) -> str:
    return (value or "none") if isinstance(value, str) else f"{value:#06x}"


def _named(devices: Sequence[UsbDevice]) -> str:
    rest = len(devices) - MAX_NAMED
    return ", ".join(map(str, devices[:MAX_NAMED])) + (f" and {rest} more" if rest > 0 else "")


def _uncontested(verdict: Verdict, judged: Sequence[Verdict]) -> Verdict:
    others = [
        other.spec.position
        for other in judged
        if other is not verdict and other.device is not None and other.device == verdict.device
    ]
    if not others:
        return verdict
    reason = f"{verdict.device} answers to {', '.join(others)} too"
    remedy = "give each position a port or serial of its own"
    return replace(verdict, finding=Finding.AMBIGUOUS, device=None, reason=reason, remedy=remedy)


def _why_not(device: UsbDevice, judged: Sequence[Verdict]) -> str:
    answered = [each.spec.position for each in judged if _answers(each.spec, device)]
    if answered:
        return f"ambiguous: it is not the only one for {', '.join(answered)}"
    near = [each.spec for each in judged if each.device is None and _akin(each.spec, device)]
    return ". ".join(f"{spec.position}: {_short(spec, device)}" for spec in near[:MAX_NAMED]) or (
        "no position of the board asks for it"
    )


def _answers(spec: DeviceSpec, device: UsbDevice) -> bool:
    return bool(spec.usb) and not _differences(spec, device)


def _short(spec: DeviceSpec, device: UsbDevice) -> str:
    wanted = spec.usb
    return f"the board says {_said({key: wanted[key] for key in _differences(spec, device)})}"
