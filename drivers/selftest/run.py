"""The order of a self-test: one device after another, so that a hand can follow."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ...hal.board import Capability, DeviceSpec, DeviceType
from ...hal.clock import Clock
from ...hal.errors import HalError
from ...hal.events import AttachedEvent
from ...hal.registry import Registry
from ..inventory import Place
from .hands import Hands
from .lights import check_lamps, check_ring
from .listening import check_sound
from .module import check_console, check_gains
from .subject import Subject
from .switches import check_switches
from .verdict import Outcome, Verdict

ATTACH_S: Final = 5.0
"""How long a device may take to answer; an XMA2 logs in first."""

ABSENT_S: Final = 0.5
"""The same for one that was not there a moment ago."""

_GAINS: Final = frozenset({Capability.GAIN, Capability.SIDETONE})


@dataclass(frozen=True, slots=True)
class Bench:
    """What every device is tested with.

    Attributes:
        registry: Knows the drivers.
        clock: Times what is measured.
        hands: Who works the devices.
        places: What the inventory says of each position, for the reason of an absence.
        attach_s: How long a device may take to answer.
    """

    registry: Registry
    clock: Clock
    hands: Hands
    places: Mapping[str, Place]
    attach_s: float = ATTACH_S


async def selftest(bench: Bench, specs: Sequence[DeviceSpec]) -> AsyncIterator[Verdict]:
    """Yields a verdict for each check of each device, as it ends."""
    for spec in specs:
        async for verdict in _tested(bench, spec):
            yield verdict


async def _tested(bench: Bench, spec: DeviceSpec) -> AsyncIterator[Verdict]:
    try:
        device = bench.registry.device(spec, bench.clock)
        audio = bench.registry.audio(spec) if spec.has_audio else None
    except HalError as error:
        yield Verdict(spec.position, "attached", Outcome.FAILED, str(error))
        return
    events = device.events()
    subject = Subject(spec, device, events, audio, bench.hands, bench.clock)
    try:
        async for verdict in _checked(bench, subject):
            yield verdict
    finally:
        await device.close()


async def _checked(bench: Bench, subject: Subject) -> AsyncIterator[Verdict]:
    attached = await _check_attached(bench, subject)
    yield attached
    if attached.outcome is not Outcome.PASSED:
        return
    async for verdict in _checks(subject):
        yield verdict


async def _checks(subject: Subject) -> AsyncIterator[Verdict]:
    capabilities = subject.spec.capabilities
    if Capability.LAMP in capabilities:
        yield await check_lamps(subject)
    if Capability.RING in capabilities:
        yield await check_ring(subject)
    async for verdict in check_switches(subject):
        yield verdict
    if capabilities & _GAINS:
        yield await check_gains(subject)
    if subject.audio is not None:
        async for verdict in check_sound(subject, subject.audio):
            yield verdict
    if subject.spec.type is DeviceType.XMA2:
        yield await check_console(subject)


async def _check_attached(bench: Bench, subject: Subject) -> Verdict:
    start = bench.clock.monotonic()
    try:
        await subject.device.open()
    except (HalError, OSError) as error:
        return subject.failed("attached", str(error), "")
    place = bench.places.get(subject.spec.position)
    patience_s = bench.attach_s if place is None or place.filled else ABSENT_S
    if await subject.event(lambda e: isinstance(e, AttachedEvent), patience_s) is None:
        return _absent(subject, place)
    took_ms = 1000 * (bench.clock.monotonic() - start)
    figures = {"latency_ms": round(took_ms, 1)}
    return subject.passed("attached", f"answered after {took_ms:.1f} ms", figures)


def _absent(subject: Subject, place: Place | None) -> Verdict:
    reason = (place and place.reason) or "it does not answer"
    remedy = (place and place.remedy) or "plug it in; stop what has it open"
    if subject.spec.optional:
        return subject.skipped("attached", f"optional, and not there: {reason}")
    return subject.failed("attached", reason, remedy)
