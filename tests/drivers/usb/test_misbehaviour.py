"""What twins do wrong on command: what the drivers show stays right, and they survive it."""

import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openturret.drivers.emulated.usb.backend import EmulatedBackend
from openturret.drivers.emulated.usb.bus import EmulatedBus
from openturret.drivers.emulated.usb.descriptors import DescriptorType
from openturret.drivers.emulated.usb.gooseneck import GooseneckModel
from openturret.drivers.emulated.usb.handset import HandsetModel
from openturret.drivers.emulated.usb.misbehaviour import (
    Distortion,
    cut_after,
    overwritten,
    replaced,
)
from openturret.drivers.emulated.usb.peripheral import Peripheral
from openturret.drivers.emulated.usb.telephony import HookKind
from openturret.drivers.usb.bus import UsbBus
from openturret.drivers.usb.gooseneck import UsbGooseneck
from openturret.drivers.usb.handset import UsbHandset
from openturret.drivers.usb.vocabulary import Vocabulary
from openturret.hal import (
    AttachedEvent,
    Colour,
    DetachedEvent,
    DeviceEvent,
    Gain,
    HookEvent,
    HookState,
    Lamp,
    MuteEvent,
    Overflow,
    PttEvent,
    RingLight,
    VolumeEvent,
    clock,
)
from openturret.hal.board import DEFAULTS, DeviceSpec, DeviceType
from openturret.hal.device import Device
from openturret.hal.errors import HalError

pytestmark = pytest.mark.slow

D = TypeVar("D", bound=Device)
E = TypeVar("E", bound=DeviceEvent)
Make = Callable[[DeviceSpec, clock.Clock, UsbBus], D]
Until = Callable[[Callable[[], bool]], Awaitable[None]]
HANDSET, GOOSENECK = DeviceType.HANDSET, DeviceType.GOOSENECK
LOCK = "call_lock"


class Reader(Protocol):
    async def next(self) -> DeviceEvent | Overflow: ...


class Desk(Protocol):
    bus: EmulatedBus
    usb: UsbBus

    @property
    def clock(self) -> clock.Clock: ...

    def pause(self) -> None: ...
    async def breathe(self, model: Peripheral, reader: Reader) -> None: ...
    def connect(self, model: Peripheral) -> str: ...
    def spec(self, kind: DeviceType, **match: str | int) -> DeviceSpec: ...
    def driver(self, make: Make[D], kind: DeviceType, port: str) -> D: ...
    async def attach(
        self, make: Make[D], kind: DeviceType, model: Peripheral
    ) -> tuple[D, Reader]: ...


async def told(reader: Reader, event: type[E]) -> E:
    found = await reader.next()
    assert isinstance(found, event)
    return found


def bad(model: HandsetModel, *, doubled: bool, bounces: int) -> None:
    model.misbehaviour.doubled = doubled
    model.misbehaviour.bounces = bounces


def replugged(model: HandsetModel) -> None:
    model.unplug()
    model.plug()


def repowered(model: HandsetModel) -> None:
    model.cut_power()
    model.restore_power()


@pytest.mark.parametrize("kind", HookKind)
@pytest.mark.parametrize(("doubled", "bounces"), [(True, 0), (False, 3), (True, 2)])
async def test_doubled_and_bouncing_contacts_are_one_event_each(
    kind: HookKind, doubled: bool, bounces: int, desk: Desk, until: Until
) -> None:
    model = HandsetModel(hook=kind)
    handset, reader = await desk.attach(UsbHandset, HANDSET, model)
    bad(model, doubled=doubled, bounces=bounces)
    for _ in range(2):
        model.lift()
        assert (await told(reader, HookEvent)).state is HookState.OFF_HOOK
        await until(lambda: model.off_hook and model.acknowledged)
        await desk.breathe(model, reader)
        model.press("mute")
        assert (await told(reader, MuteEvent)).muted
        await until(lambda: Lamp.MUTE in model.lamps)
        await desk.breathe(model, reader)
        model.press("ptt")
        assert (await told(reader, PttEvent)).pressed
        await desk.breathe(model, reader)
        model.release("ptt")
        assert not (await told(reader, PttEvent)).pressed
        await desk.breathe(model, reader)
        model.cradle()
        assert (await told(reader, HookEvent)).state is HookState.ON_HOOK
        assert not (await told(reader, MuteEvent)).muted
        await until(lambda: not model.off_hook and model.lamps == frozenset())
        await desk.breathe(model, reader)
    assert not handset.talking


async def test_a_doubled_knob_turns_once(desk: Desk) -> None:
    model = HandsetModel()
    _, reader = await desk.attach(UsbHandset, HANDSET, model)
    bad(model, doubled=True, bounces=0)
    model.turn(2)
    model.press("ptt")
    assert [(await told(reader, VolumeEvent)).steps for _ in range(2)] == [1, 1]
    await told(reader, PttEvent)


@pytest.mark.parametrize("kind", HookKind)
async def test_a_deaf_device_is_followed_and_obeys_again_when_it_hears(
    kind: HookKind, desk: Desk, until: Until
) -> None:
    model = HandsetModel(hook=kind)
    handset, reader = await desk.attach(UsbHandset, HANDSET, model)
    model.misbehaviour.deaf = True
    model.lift()
    assert (await told(reader, HookEvent)).state is HookState.OFF_HOOK
    assert not model.acknowledged or not model.off_hook
    assert handset.hook is HookState.OFF_HOOK
    model.misbehaviour.deaf = False
    await handset.set_lamp(Lamp.HOLD, lit=True)
    await until(lambda: model.lamps == {Lamp.HOLD, Lamp.OFF_HOOK})
    assert model.off_hook


@pytest.mark.parametrize("stalls", [1, 2])
async def test_an_order_that_is_refused_is_given_again(
    stalls: int, desk: Desk, until: Until
) -> None:
    model = GooseneckModel()
    gooseneck, _ = await desk.attach(UsbGooseneck, GOOSENECK, model)
    model.misbehaviour.stalls = stalls
    await gooseneck.set_lamp(Lamp.TALK, lit=True)
    await until(lambda: model.lamps == {Lamp.TALK})
    assert gooseneck.attached


async def test_an_order_that_is_refused_for_good_comes_with_the_next(
    desk: Desk, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    model = GooseneckModel()
    gooseneck, reader = await desk.attach(UsbGooseneck, GOOSENECK, model)
    with model.lock:
        model.misbehaviour.stalls = 1_000_000
    await gooseneck.set_lamp(Lamp.TALK, lit=True)
    await until(lambda: "lamps: USB device 1209:7703 refused" in caplog.text)
    model.press("ptt")
    await told(reader, PttEvent)
    model.misbehaviour.stalls = 0
    await gooseneck.set_ring(RingLight(Colour.GREEN))
    await until(lambda: model.ring == RingLight(Colour.GREEN) and model.lamps == {Lamp.TALK})


async def test_a_gain_that_is_refused_is_an_error_and_no_more(desk: Desk) -> None:
    model = HandsetModel()
    handset, _ = await desk.attach(UsbHandset, HANDSET, model)
    model.misbehaviour.stalls = 1
    with pytest.raises(HalError, match="feature unit 2 refused"):
        await handset.set_gain(Gain.EARPIECE, -10)
    assert await handset.set_gain(Gain.EARPIECE, -10) == -10


async def test_a_halted_endpoint_is_started_again(desk: Desk) -> None:
    model = HandsetModel()
    _, reader = await desk.attach(UsbHandset, HANDSET, model)
    model.halt(0x83)
    model.lift()
    assert (await told(reader, HookEvent)).state is HookState.OFF_HOOK


async def test_an_endpoint_that_halts_again_and_again_is_attached_afresh(
    desk: Desk, until: Until
) -> None:
    model = HandsetModel()
    handset, reader = await desk.attach(UsbHandset, HANDSET, model)

    def detached() -> bool:
        model.halt(0x83)
        return not handset.attached

    await until(detached)
    await told(reader, DetachedEvent)
    await told(reader, AttachedEvent)


async def test_a_device_that_hangs_is_detached_at_the_next_order_and_comes_back(
    desk: Desk, until: Until
) -> None:
    model = HandsetModel()
    handset, reader = await desk.attach(UsbHandset, HANDSET, model)
    model.misbehaviour.hung = True
    await handset.set_lamp(Lamp.RING, lit=True)
    await told(reader, DetachedEvent)
    assert not handset.attached
    model.misbehaviour.hung = False
    await told(reader, AttachedEvent)
    await until(lambda: model.lamps == {Lamp.RING})


async def test_a_device_that_refuses_to_say_how_it_is_attaches_all_the_same(desk: Desk) -> None:
    model = HandsetModel()
    model.misbehaviour.wrong[DescriptorType.REPORT] = replaced(
        bytes.fromhex("050b0901a101 8509 15002501 7501 9501 0920 8102 7507 8103 c0")
    )
    handset, _ = await desk.attach(UsbHandset, HANDSET, model)
    assert handset.hook is HookState.ON_HOOK


WRONG = {
    "cut in an item": (DescriptorType.REPORT, cut_after(2)),
    "cut before its end": (DescriptorType.REPORT, cut_after(40)),
    "nothing at all": (DescriptorType.REPORT, cut_after(0)),
    "no telephony in it": (DescriptorType.REPORT, replaced(bytes.fromhex("0501 0902 a101 c0"))),
    "collections without end": (DescriptorType.REPORT, replaced(b"\xa1\x01" * 60)),
    "an absurd count": (DescriptorType.REPORT, overwritten(4, bytes.fromhex("97ffffffff"))),
    "configuration of length 0": (DescriptorType.CONFIGURATION, overwritten(9, b"\0")),
    "configuration overrun": (DescriptorType.CONFIGURATION, overwritten(9, b"\xff")),
    "configuration cut": (DescriptorType.CONFIGURATION, cut_after(60)),
    "device cut": (DescriptorType.DEVICE, cut_after(7)),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_device_with_a_wrong_descriptor_waits_until_it_is_right(
    wrong: str, desk: Desk, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    kind, distortion = WRONG[wrong]
    model = HandsetModel()
    model.misbehaviour.wrong[kind] = distortion
    handset = desk.driver(UsbHandset, HANDSET, desk.connect(model))
    events = handset.events()
    await handset.open()
    await until(lambda: "handset-1 is not attached: " in caplog.text)
    assert not handset.attached
    model.misbehaviour.wrong.clear()
    model.unplug()
    model.plug()
    assert isinstance(await anext(events), AttachedEvent)


async def test_wrong_audio_descriptors_cost_the_gains_and_nothing_else(desk: Desk) -> None:
    model = HandsetModel()
    whole = model.configuration_descriptor()
    feature_unit = whole.index(bytes.fromhex("2406")) - 1
    model.misbehaviour.wrong[DescriptorType.CONFIGURATION] = overwritten(feature_unit + 5, b"\0")
    handset, _ = await desk.attach(UsbHandset, HANDSET, model)
    assert handset.gains() == {}


async def test_the_same_complaint_is_made_once(
    desk: Desk, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    handset = desk.driver(UsbHandset, HANDSET, "1-7")
    caplog.set_level(logging.DEBUG)
    await handset.open()
    await until(lambda: caplog.text.count("handset-1 is not attached") >= 3)
    levels = [record.levelno for record in caplog.records if "telephone" in record.name]
    assert levels[0] == logging.WARNING
    assert set(levels[1:]) == {logging.DEBUG}


async def test_two_that_answer_to_one_position_are_both_refused(
    desk: Desk, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    desk.connect(HandsetModel("HS-1"))
    desk.connect(HandsetModel("HS-2"))
    handset = UsbHandset(desk.spec(HANDSET, pid=0x7701), desk.clock, desk.usb)
    await handset.open()
    await until(lambda: "2 devices answer" in caplog.text)
    assert not handset.attached
    await handset.close()


async def test_another_programs_call_lock_is_respected(
    desk: Desk, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    model = HandsetModel()
    handset = desk.driver(UsbHandset, HANDSET, desk.connect(model))
    desk.bus.devices()
    with model.lock:
        model.controls.function.values[LOCK] = 7
    events = handset.events()
    await handset.open()
    await until(lambda: "another program has the call lock" in caplog.text)
    assert not handset.attached
    with model.lock:
        model.controls.function.values[LOCK] = 0
    assert isinstance(await anext(events), AttachedEvent)
    assert model.controls.function.values[LOCK]
    await handset.close()
    assert not model.controls.function.values[LOCK]


@given(
    st.sampled_from([DescriptorType.REPORT, DescriptorType.CONFIGURATION, DescriptorType.DEVICE]),
    st.one_of(
        st.binary(max_size=80).map(replaced),
        st.integers(0, 200).map(cut_after),
        st.tuples(st.integers(0, 250), st.binary(min_size=1, max_size=4)).map(
            lambda place: overwritten(*place)
        ),
    ),
)
@example(DescriptorType.CONFIGURATION, overwritten(11, b"\x20"))  # interface 32
def test_no_descriptor_makes_anything_but_our_errors(
    kind: DescriptorType, distortion: Distortion
) -> None:
    model = HandsetModel()
    model.misbehaviour.wrong[kind] = distortion
    bus = EmulatedBus(kernel_drivers=False)
    bus.connect(model, "1-1")
    usb = UsbBus(EmulatedBackend(bus))
    spec = DeviceSpec("handset-1", HANDSET, "usb", {"port": "1-1"}, DEFAULTS[HANDSET])
    with contextlib.suppress(HalError):
        device = usb.find(spec)
        gains = usb.gains(device, Gain.EARPIECE)
        if gains is not None:
            gains.close()
        link = usb.open(device, Vocabulary("key-{}"))
        link.state()
        link.close()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", HookKind)
async def test_whatever_happens_in_the_end_it_shows_what_is(
    kind: HookKind, seed: int, desk: Desk, until: Until
) -> None:
    rng = random.Random(seed)
    model = HandsetModel(hook=kind)
    handset, _ = await desk.attach(UsbHandset, HANDSET, model)
    deeds: dict[str, Callable[[], object]] = {
        "lift": model.lift,
        "cradle": model.cradle,
        "talk": lambda: model.press("ptt"),
        "let go": lambda: model.release("ptt"),
        "mute": lambda: model.press("mute"),
        "pull": lambda: replugged(model),
        "cut": lambda: repowered(model),
        "halt": lambda: model.halt(0x83),
        "bad": lambda: bad(model, doubled=rng.random() < 0.5, bounces=rng.randrange(3)),
    }
    for _ in range(40):
        deeds[rng.choice(sorted(deeds))]()
        await handset.set_lamp(Lamp.RING, lit=rng.random() < 0.5)
        desk.pause()
    bad(model, doubled=False, bounces=0)
    await handset.set_lamp(Lamp.RING, lit=True)
    await until(lambda: handset.attached and Lamp.RING in model.lamps)
    desk.pause()
    await until(lambda: handset.talking == model.controls.function.values.get("ptt", 0))
    await until(lambda: (handset.hook is HookState.OFF_HOOK) == model.off_hook)
    await until(lambda: model.acknowledged)
    await until(lambda: handset.muted == (Lamp.MUTE in model.lamps))
