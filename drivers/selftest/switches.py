"""Hook, talk key, mute, latch, keys and volume: what a hand does must arrive as its event."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from ...hal.board import Capability
from ...hal.events import (
    DeviceEvent,
    HookEvent,
    HookState,
    KeyEvent,
    LatchEvent,
    MuteEvent,
    PttEvent,
    VolumeEvent,
)
from ...hal.handset import Handset
from ...hal.speakerphone import Speakerphone
from ..errors import UnattendedError
from .hands import Action
from .subject import Subject
from .verdict import Verdict

BREATH_S: Final = 0.1
"""Between two actions of a hand that acts at once: sooner, a contact is taken for bouncing."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that is done, and the event that it must bring."""

    action: Action
    brings: Callable[[DeviceEvent], bool]


def _hook(state: HookState) -> Callable[[DeviceEvent], bool]:
    return lambda event: isinstance(event, HookEvent) and event.state is state


_LIFT: Final = Step(Action.LIFT, _hook(HookState.OFF_HOOK))
_CRADLE: Final = Step(Action.CRADLE, _hook(HookState.ON_HOOK))

_STEPS: Final[Mapping[Capability, tuple[Step, ...]]] = MappingProxyType(
    {
        Capability.PTT: (
            Step(Action.TALK, lambda e: isinstance(e, PttEvent) and e.pressed),
            Step(Action.RELEASE_TALK, lambda e: isinstance(e, PttEvent) and not e.pressed),
        ),
        Capability.MUTE: (
            Step(Action.MUTE, lambda e: isinstance(e, MuteEvent) and e.muted),
            Step(Action.UNMUTE, lambda e: isinstance(e, MuteEvent) and not e.muted),
        ),
        Capability.LATCH: (
            Step(Action.LATCH, lambda e: isinstance(e, LatchEvent) and e.latched),
            Step(Action.UNLATCH, lambda e: isinstance(e, LatchEvent) and not e.latched),
        ),
        Capability.KEYS: (
            Step(Action.PRESS, lambda e: isinstance(e, KeyEvent) and e.pressed),
            Step(Action.RELEASE, lambda e: isinstance(e, KeyEvent) and not e.pressed),
        ),
        Capability.VOLUME: (
            Step(Action.LOUDER, lambda e: isinstance(e, VolumeEvent) and e.steps > 0),
        ),
    }
)


async def check_switches(subject: Subject) -> AsyncIterator[Verdict]:
    """Yields a verdict for each switch that the board says is there.

    The rest is tried off hook: a mute may work only then (HID Usage Tables, phone mute 0x2F).
    """
    has_hook = Capability.HOOK in subject.spec.capabilities
    if has_hook:
        await _put_down(subject)
        yield await _check(subject, "lift", (_LIFT,))
    for capability, steps in _STEPS.items():
        if capability in subject.spec.capabilities:
            yield await _check(subject, capability, steps)
    if has_hook:
        yield await _check(subject, "cradle", (_CRADLE,))


async def _put_down(subject: Subject) -> None:
    device = subject.device
    if isinstance(device, Handset | Speakerphone) and device.hook is HookState.OFF_HOOK:
        await _check(subject, "cradle", (_CRADLE,))


async def _check(subject: Subject, check: str, steps: tuple[Step, ...]) -> Verdict:
    worst_ms = 0.0
    for step in steps:
        start = subject.clock.monotonic()
        try:
            await subject.hands.act(subject.spec, step.action)
        except UnattendedError as error:
            return subject.skipped(check, str(error))
        if await subject.event(step.brings, subject.hands.patience_s) is None:
            text = f"no event came within {subject.hands.patience_s:g} s of: {step.action}"
            return subject.failed(
                check, text, "press firmly; then look at its cable and its driver"
            )
        worst_ms = max(worst_ms, 1000 * (subject.clock.monotonic() - start))
        if subject.hands.prompt:
            await asyncio.sleep(BREATH_S)
    return _reported(subject, check, worst_ms)


def _reported(subject: Subject, check: str, worst_ms: float) -> Verdict:
    if not subject.hands.prompt:
        return subject.passed(check, "reported")
    figures = {"latency_ms": round(worst_ms, 1)}
    return subject.passed(check, f"reported within {worst_ms:.1f} ms", figures)
