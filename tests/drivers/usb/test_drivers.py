"""The drivers of USB telephony devices on their twins, through pyusb."""

import asyncio
import tomllib
from collections.abc import Awaitable, Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from openturret.drivers.emulated.usb.gooseneck import GooseneckModel
from openturret.drivers.emulated.usb.handset import HandsetModel
from openturret.drivers.emulated.usb.panel import PanelModel
from openturret.drivers.emulated.usb.peripheral import Peripheral
from openturret.drivers.emulated.usb.speaker import SpeakerModel
from openturret.drivers.emulated.usb.speakerphone import SpeakerphoneModel
from openturret.drivers.emulated.usb.telephony import HookKind
from openturret.drivers.usb.bus import UsbBus
from openturret.drivers.usb.gooseneck import UsbGooseneck
from openturret.drivers.usb.handset import UsbHandset
from openturret.drivers.usb.panel import UsbPanel
from openturret.drivers.usb.speaker import UsbSpeaker
from openturret.drivers.usb.speakerphone import UsbSpeakerphone
from openturret.hal import (
    Adjustable,
    AttachedEvent,
    Colour,
    DetachedEvent,
    DeviceEvent,
    Gain,
    Gooseneck,
    Handset,
    HookEvent,
    HookState,
    KeyEvent,
    Lamp,
    LatchEvent,
    LightRing,
    MuteEvent,
    Overflow,
    Panel,
    PttEvent,
    RingLight,
    Speaker,
    Speakerphone,
    SystemClock,
    VolumeEvent,
    clock,
)
from openturret.hal.board import DeviceSpec, DeviceType
from openturret.hal.device import Device
from openturret.hal.errors import DeviceGoneError, GainError
from openturret.hal.registry import GROUP, Registry

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
UNIX_S = 1_700_000_000.0
D = TypeVar("D", bound=Device)
Make = Callable[[DeviceSpec, clock.Clock, UsbBus], D]
Until = Callable[[Callable[[], bool]], Awaitable[None]]
HANDSET, SPEAKERPHONE = DeviceType.HANDSET, DeviceType.SPEAKERPHONE
GOOSENECK, SPEAKER, PANEL = DeviceType.GOOSENECK, DeviceType.SPEAKER, DeviceType.PANEL


class Reader(Protocol):
    async def next(self) -> DeviceEvent | Overflow: ...
    async def rest(self) -> list[DeviceEvent | Overflow]: ...


class Desk(Protocol):
    def pause(self) -> None: ...
    async def breathe(self, model: Peripheral, reader: Reader) -> None: ...
    def connect(self, model: Peripheral) -> str: ...
    def spec(self, kind: DeviceType, **match: str | int) -> DeviceSpec: ...
    def driver(self, make: Make[D], kind: DeviceType, port: str) -> D: ...
    async def attach(
        self, make: Make[D], kind: DeviceType, model: Peripheral
    ) -> tuple[D, Reader]: ...


class Clock:
    """Of a twin, so that its patience can be tried."""

    now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def unix(self) -> float:
        return 0.0


async def is_hook(reader: Reader, state: HookState) -> None:
    event = await reader.next()
    assert isinstance(event, HookEvent)
    assert event.state is state


@pytest.mark.parametrize("kind", HookKind)
async def test_a_lift_is_reported_and_acknowledged(
    kind: HookKind, desk: Desk, until: Until
) -> None:
    model = HandsetModel(hook=kind)
    handset, reader = await desk.attach(UsbHandset, HANDSET, model)
    model.lift()
    await is_hook(reader, HookState.OFF_HOOK)
    assert handset.hook is HookState.OFF_HOOK
    await until(lambda: model.off_hook and model.acknowledged)
    await desk.breathe(model, reader)
    model.cradle()
    await is_hook(reader, HookState.ON_HOOK)
    await until(lambda: not model.off_hook and model.acknowledged)


async def test_events_say_where_and_when(desk: Desk) -> None:
    model = HandsetModel()
    _, reader = await desk.attach(UsbHandset, HANDSET, model)
    model.press("ptt")
    assert await reader.next() == PttEvent(UNIX_S, "handset-1", pressed=True)


async def test_a_mute_is_answered_before_the_device_takes_it_back(desk: Desk, until: Until) -> None:
    patience = Clock()
    model = HandsetModel(clock=patience)
    handset, reader = await desk.attach(UsbHandset, HANDSET, model)
    model.lift()
    await is_hook(reader, HookState.OFF_HOOK)
    await until(lambda: Lamp.OFF_HOOK in model.lamps)
    model.mute()
    event = await reader.next()
    assert isinstance(event, MuteEvent)
    assert event.muted
    assert handset.muted
    await until(lambda: Lamp.MUTE in model.lamps)
    patience.now_s += 3600
    assert model.muted


async def test_a_mute_on_hook_is_none(desk: Desk) -> None:
    model = HandsetModel()
    handset, reader = await desk.attach(UsbHandset, HANDSET, model)
    model.press("mute")
    model.press("ptt")
    assert isinstance(await reader.next(), PttEvent)
    assert not handset.muted
    assert model.lamps == frozenset()


async def test_push_to_talk_latch_and_volume_of_a_handset(desk: Desk) -> None:
    model = HandsetModel()
    handset, reader = await desk.attach(UsbHandset, HANDSET, model)
    model.press("ptt")
    event = await reader.next()
    assert isinstance(event, PttEvent)
    assert (event.pressed, handset.talking) == (True, True)
    model.press("latch")
    event = await reader.next()
    assert isinstance(event, LatchEvent)
    assert event.latched
    model.turn(-2)
    for _ in range(2):
        event = await reader.next()
        assert isinstance(event, VolumeEvent)
        assert (event.channel, event.steps) == (0, -1)


@pytest.mark.parametrize("lamp", Lamp)
async def test_every_lamp_is_lit_and_darkened(lamp: Lamp, desk: Desk, until: Until) -> None:
    model = HandsetModel()
    handset, _ = await desk.attach(UsbHandset, HANDSET, model)
    await handset.set_lamp(lamp, lit=True)
    await until(lambda: model.lamps == {lamp})
    await handset.set_lamp(lamp, lit=False)
    await until(lambda: model.lamps == frozenset())


async def test_a_lamp_that_the_device_does_not_have_does_no_harm(desk: Desk, until: Until) -> None:
    model = HandsetModel()
    handset, _ = await desk.attach(UsbHandset, HANDSET, model)
    await handset.set_lamp("channel-9", lit=True)
    await handset.set_lamp(Lamp.RING, lit=True)
    await until(lambda: model.lamps == {Lamp.RING})


async def test_a_speakerphone_is_switched_on_and_off_by_its_key(desk: Desk, until: Until) -> None:
    model = SpeakerphoneModel()
    speakerphone, reader = await desk.attach(UsbSpeakerphone, SPEAKERPHONE, model)
    model.lift()
    await is_hook(reader, HookState.OFF_HOOK)
    await until(lambda: model.off_hook)
    await speakerphone.set_lamp(Lamp.OFF_HOOK, lit=False)
    assert speakerphone.hook is HookState.ON_HOOK
    await until(lambda: not model.off_hook)
    await desk.breathe(model, reader)
    model.lift()
    await is_hook(reader, HookState.OFF_HOOK)


async def test_a_gooseneck_talks_latches_mutes_and_shows_its_ring(desk: Desk, until: Until) -> None:
    model = GooseneckModel()
    gooseneck, reader = await desk.attach(UsbGooseneck, GOOSENECK, model)
    model.press("ptt")
    assert isinstance(await reader.next(), PttEvent)
    model.press("latch")
    assert isinstance(await reader.next(), LatchEvent)
    model.mute()
    assert isinstance(await reader.next(), MuteEvent)
    assert (gooseneck.talking, gooseneck.latched, gooseneck.muted) == (True, True, True)
    await until(lambda: model.lamps == {Lamp.MUTE})
    for light in (
        RingLight(Colour.RED),
        RingLight(Colour.RED, blinking=True),
        RingLight(Colour.GREEN),
        RingLight(Colour.AMBER, blinking=True),
        RingLight(),
    ):
        await gooseneck.set_ring(light)
        await until(lambda light=light: model.ring == light)  # type: ignore[misc]


async def test_a_speaker_has_a_knob_a_key_and_a_lamp_for_each_channel(
    desk: Desk, until: Until
) -> None:
    model = SpeakerModel(channels=3)
    speaker, reader = await desk.attach(UsbSpeaker, SPEAKER, model)
    assert speaker.channels == 3
    model.turn(1, channel=2)
    event = await reader.next()
    assert isinstance(event, VolumeEvent)
    assert (event.channel, event.steps) == (2, 1)
    model.press("channel-3")
    event = await reader.next()
    assert isinstance(event, KeyEvent)
    assert (event.key, event.pressed) == ("channel-3", True)
    await speaker.set_lamp("channel-1", lit=True)
    await speaker.set_lamp("channel-3", lit=True)
    await until(lambda: model.lamps == {"channel-1", "channel-3"})


async def test_the_knob_of_an_only_channel_is_channel_1(desk: Desk) -> None:
    model = SpeakerModel(channels=1)
    _, reader = await desk.attach(UsbSpeaker, SPEAKER, model)
    model.turn(-1, channel=1)
    event = await reader.next()
    assert isinstance(event, VolumeEvent)
    assert (event.channel, event.steps) == (1, -1)


async def test_a_panel_has_keys_and_their_lamps(desk: Desk, until: Until) -> None:
    model = PanelModel(keys=40)
    panel, reader = await desk.attach(UsbPanel, PANEL, model)
    model.press("key-1")
    await reader.next()
    model.press("key-40")
    event = await reader.next()
    assert isinstance(event, KeyEvent)
    assert panel.pressed == {"key-1", "key-40"}
    desk.pause()
    model.release("key-1")
    await reader.next()
    assert panel.pressed == {"key-40"}
    await panel.set_lamp("key-40", lit=True)
    await until(lambda: model.lamps == {"key-40"})


@pytest.mark.parametrize("kind", HookKind)
async def test_a_pulled_cable_loses_nothing_that_matters(
    kind: HookKind, desk: Desk, until: Until
) -> None:
    model = HandsetModel(hook=kind)
    handset, reader = await desk.attach(UsbHandset, HANDSET, model)
    await handset.set_lamp(Lamp.HOLD, lit=True)
    model.lift()
    await is_hook(reader, HookState.OFF_HOOK)
    await until(lambda: model.lamps == {Lamp.HOLD, Lamp.OFF_HOOK})
    model.unplug()
    assert isinstance(await reader.next(), DetachedEvent)
    assert not handset.attached
    assert handset.hook is HookState.OFF_HOOK
    await handset.set_lamp(Lamp.HOLD, lit=False)
    await handset.set_lamp(Lamp.RING, lit=True)
    assert model.lamps == frozenset()
    model.plug()
    assert isinstance(await reader.next(), AttachedEvent)
    assert handset.attached
    await until(lambda: model.lamps == {Lamp.RING, Lamp.OFF_HOOK})
    assert model.off_hook


async def test_what_a_hand_did_at_a_pulled_cable_is_told_at_the_next(desk: Desk) -> None:
    model = HandsetModel()
    handset, reader = await desk.attach(UsbHandset, HANDSET, model)
    model.press("ptt")
    assert isinstance(await reader.next(), PttEvent)
    model.unplug()
    assert isinstance(await reader.next(), DetachedEvent)
    model.release("ptt")
    model.lift()
    model.plug()
    assert isinstance(await reader.next(), AttachedEvent)
    await is_hook(reader, HookState.OFF_HOOK)
    event = await reader.next()
    assert isinstance(event, PttEvent)
    assert not event.pressed
    assert not handset.talking


async def test_after_a_power_cut_lamps_ring_and_gains_are_set_again(
    desk: Desk, until: Until
) -> None:
    model = GooseneckModel()
    gooseneck, reader = await desk.attach(UsbGooseneck, GOOSENECK, model)
    await gooseneck.set_ring(RingLight(Colour.RED))
    await gooseneck.set_lamp(Lamp.TALK, lit=True)
    assert await gooseneck.set_gain(Gain.MICROPHONE, 6.2) == 6.0
    model.cut_power()
    assert isinstance(await reader.next(), DetachedEvent)
    model.restore_power()
    assert isinstance(await reader.next(), AttachedEvent)
    assert model.gains[Gain.MICROPHONE] == 6.0
    await until(lambda: model.lamps == {Lamp.TALK} and model.ring == RingLight(Colour.RED))


async def test_a_device_that_moved_to_another_address_is_found_by_its_port(desk: Desk) -> None:
    left, right = HandsetModel("HS-LEFT"), HandsetModel("HS-RIGHT")
    _, of_left = await desk.attach(UsbHandset, HANDSET, left)
    handset, of_right = await desk.attach(UsbHandset, HANDSET, right)
    for model, reader in ((left, of_left), (right, of_right)):
        model.unplug()
        assert isinstance(await reader.next(), DetachedEvent)
    right.plug()
    assert isinstance(await of_right.next(), AttachedEvent)
    left.plug()
    assert isinstance(await of_left.next(), AttachedEvent)
    right.lift()
    await is_hook(of_right, HookState.OFF_HOOK)
    assert handset.hook is HookState.OFF_HOOK


async def test_a_device_that_comes_late_attaches(desk: Desk) -> None:
    model = HandsetModel()
    model.unplug()
    handset = desk.driver(UsbHandset, HANDSET, desk.connect(model))
    events = handset.events()
    await handset.open()
    await handset.open()
    assert not handset.attached
    model.plug()
    assert isinstance(await anext(events), AttachedEvent)


async def test_closing_ends_the_events_and_gives_the_device_back(desk: Desk) -> None:
    model = HandsetModel()
    handset, reader = await desk.attach(UsbHandset, HANDSET, model)
    await handset.close()
    assert [type(event) for event in await reader.rest()] == [DetachedEvent]
    again = desk.driver(UsbHandset, HANDSET, "1-1")
    events = again.events()
    await again.open()
    assert isinstance(await anext(events), AttachedEvent)


@pytest.mark.parametrize("kind", HookKind)
async def test_what_was_pressed_while_nobody_listened_is_not_asked_for_later(
    kind: HookKind, desk: Desk
) -> None:
    model = HandsetModel(hook=kind)
    handset, _ = await desk.attach(UsbHandset, HANDSET, model)
    await handset.close()
    model.lift()
    model.press("mute")
    model.press("ptt")
    again = desk.driver(UsbHandset, HANDSET, "1-1")
    events = again.events()
    await again.open()
    assert isinstance(await anext(events), AttachedEvent)
    model.turn(1)
    async with asyncio.timeout(10):
        while not isinstance(await anext(events), VolumeEvent):
            pass
    lifted = kind is HookKind.ABSOLUTE
    assert again.hook is (HookState.OFF_HOOK if lifted else HookState.ON_HOOK)
    assert (again.talking, again.muted) == (True, False)


async def test_closing_while_nothing_is_there(desk: Desk) -> None:
    handset = desk.driver(UsbHandset, HANDSET, "1-9")
    events = handset.events()
    await handset.close()
    await handset.open()
    await handset.close()
    assert [event async for event in events] == []


# ------------------------------------------------------------ gains


async def test_gains_are_read_from_the_feature_units_and_set(desk: Desk) -> None:
    model = HandsetModel()
    handset, _ = await desk.attach(UsbHandset, HANDSET, model)
    ranges = handset.gains()
    assert set(ranges) == {Gain.EARPIECE, Gain.MICROPHONE, Gain.SIDETONE}
    for gain, asked in ((Gain.EARPIECE, -7.4), (Gain.MICROPHONE, 99.0), (Gain.SIDETONE, -99.0)):
        taken = await handset.set_gain(gain, asked)
        assert taken == ranges[gain].nearest(asked) == model.gains[gain]


async def test_a_loudspeakers_gain_is_one_of_a_loudspeaker(desk: Desk) -> None:
    speaker, _ = await desk.attach(UsbSpeaker, SPEAKER, SpeakerModel())
    assert set(speaker.gains()) == {Gain.LOUDSPEAKER}
    with pytest.raises(GainError, match="speaker-1 has no gain sidetone; it has loudspeaker"):
        await speaker.set_gain(Gain.SIDETONE, -10)


async def test_a_gain_that_is_set_while_the_device_is_away_is_set_when_it_is_back(
    desk: Desk,
) -> None:
    model = HandsetModel()
    model.unplug()
    handset = desk.driver(UsbHandset, HANDSET, desk.connect(model))
    events = handset.events()
    assert handset.gains() == {}
    with pytest.raises(DeviceGoneError, match="earpiece is set when it does"):
        await handset.set_gain(Gain.EARPIECE, -12)
    await handset.open()
    with pytest.raises(DeviceGoneError):
        await handset.set_gain(Gain.SIDETONE, -20)
    model.plug()
    assert isinstance(await anext(events), AttachedEvent)
    assert (model.gains[Gain.EARPIECE], model.gains[Gain.SIDETONE]) == (-12, -20)


# ------------------------------------------------------------ the registry


def declared() -> list[EntryPoint]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    points = project["entry-points"][GROUP].items()
    return [EntryPoint(name=name, value=value, group=GROUP) for name, value in points]


@pytest.mark.parametrize(
    ("kind", "protocol", "ring", "gains"),
    [
        (HANDSET, Handset, False, True),
        (SPEAKERPHONE, Speakerphone, False, True),
        (GOOSENECK, Gooseneck, True, True),
        (SPEAKER, Speaker, False, True),
        (PANEL, Panel, False, False),
    ],
)
def test_the_registry_makes_every_device(
    kind: DeviceType, protocol: type, ring: bool, gains: bool, desk: Desk
) -> None:
    device = Registry(declared).device(desk.spec(kind, pid=0x7701), SystemClock())
    assert isinstance(device, protocol)
    assert isinstance(device, LightRing) is ring
    assert isinstance(device, Adjustable) is gains
