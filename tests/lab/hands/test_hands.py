"""One suite over the hand at twins, in this process and beyond a wire."""

import asyncio
import json
import math
import os
import tty
from array import array
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openturret.drivers.emulated.usb.gooseneck import GooseneckModel
from openturret.drivers.emulated.usb.handset import HandsetModel
from openturret.drivers.emulated.usb.model import Setup
from openturret.drivers.emulated.usb.peripheral import Peripheral
from openturret.drivers.emulated.usb.speaker import SpeakerModel
from openturret.hal.errors import DeviceError, DeviceGoneError
from openturret.lab.hands.hand import Ability, Hand, Sound
from openturret.lab.hands.server import MAX_SOUND_BYTES, PIECE_BYTES, Desk, serve
from openturret.lab.hands.twins import TwinHand
from openturret.lab.hands.wire import WireHand

KEYS = 0x83
EARPIECE = 0x01
MICROPHONE = 0x82


class Twins:
    def __init__(self) -> None:
        self.handset = HandsetModel()
        self.speaker = SpeakerModel(channels=2)
        self.gooseneck = GooseneckModel()
        self.by_position: dict[str, Peripheral] = {
            "handset-left": self.handset,
            "speaker-1": self.speaker,
            "gooseneck": self.gooseneck,
        }


@pytest.fixture
def twins() -> Twins:
    return Twins()


@pytest.fixture(params=["here", "wire", "port"])
async def hand(request: pytest.FixtureRequest, twins: Twins, tmp_path: Path) -> AsyncIterator[Hand]:
    near = TwinHand(twins.by_position)
    async with AsyncExitStack() as stack:
        match request.param:
            case "here":
                yield near
            case "wire":
                yield await over_socket(near, tmp_path, stack)
            case "port":
                yield await over_port(near, stack)


async def over_socket(near: Hand, folder: Path, stack: AsyncExitStack) -> WireHand:
    path = folder / "hand"
    server = await asyncio.start_unix_server(lambda r, w: serve(near, r, w), str(path))
    stack.callback(server.close)
    hand = await WireHand.connect(path)
    stack.push_async_callback(hand.close)
    return hand


async def over_port(near: Hand, stack: AsyncExitStack) -> WireHand:
    """A pseudo-terminal is a character device too, as a virtio port is."""
    ours, theirs = os.openpty()
    for end in (ours, theirs):
        tty.setraw(end)
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    incoming, _ = await loop.connect_read_pipe(
        lambda: protocol, os.fdopen(os.dup(ours), "rb", buffering=0)
    )
    outgoing, _ = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()),
        os.fdopen(ours, "wb", buffering=0),
    )
    writer = asyncio.StreamWriter(outgoing, protocol, None, loop)
    serving = asyncio.create_task(serve(near, reader, writer))
    hand = await WireHand.connect(Path(os.ttyname(theirs)))
    stack.callback(os.close, theirs)
    stack.callback(serving.cancel)
    stack.callback(incoming.close)
    stack.push_async_callback(hand.close)
    return hand


def configure(twin: Peripheral) -> None:
    twin.control(Setup(0x00, 9, 1, 0, 0), b"")


async def test_it_says_what_it_can_do(hand: Hand) -> None:
    assert hand.abilities == {Ability.CABLE, Ability.TURN, Ability.SPEAK, Ability.HEAR}


async def test_it_lifts_and_cradles(hand: Hand, twins: Twins) -> None:
    await hand.lift("handset-left")
    assert twins.handset.off_hook
    await hand.cradle("handset-left")
    assert not twins.handset.off_hook


async def test_it_presses_releases_and_turns(hand: Hand, twins: Twins) -> None:
    configure(twins.handset)
    configure(twins.speaker)
    await hand.press("handset-left", "ptt")
    pressed = twins.handset.interrupt_in(KEYS)
    await hand.release("handset-left", "ptt")
    assert pressed
    assert twins.handset.interrupt_in(KEYS) not in (None, pressed)
    await hand.turn("speaker-1", -2, channel=2)
    assert twins.speaker.interrupt_in(KEYS)


async def test_it_sees_lamps(hand: Hand, twins: Twins) -> None:
    configure(twins.handset)
    assert await hand.lamps("handset-left") == {}
    twins.handset.control(Setup(0x21, 9, 0x0202, 3, 2), bytes([2, 0xFF]))
    assert "ring" in await hand.lamps("handset-left")


async def test_it_pulls_cables(hand: Hand, twins: Twins) -> None:
    await hand.unplug("gooseneck")
    assert not twins.gooseneck.attached
    await hand.plug("gooseneck")
    assert twins.gooseneck.attached


def streaming(twin: Peripheral, interface: int) -> None:
    configure(twin)
    twin.control(Setup(0x01, 11, 1, interface, 0), b"")


async def test_it_makes_tones_and_says_what_it_is_told(hand: Hand, twins: Twins) -> None:
    streaming(twins.handset, 2)
    await hand.tone("handset-left", 1000, -6)
    tone = array("h", b"".join(twins.handset.isochronous_in(MICROPHONE) for _ in range(20)))
    assert max(tone) == pytest.approx(32767 * 10 ** (-6 / 20), abs=2)
    words = array("h", (round(5000 * math.sin(n / 3)) for n in range(20_000))).tobytes()
    await hand.speak("handset-left", Sound(words, 8000))
    said = b"".join(twins.handset.isochronous_in(MICROPHONE) for _ in range(2500))
    assert array("h", said)[::6].tobytes() == words
    await hand.silence("handset-left")
    assert not any(twins.handset.isochronous_in(MICROPHONE))


async def test_it_hears_what_is_played_however_long(hand: Hand, twins: Twins) -> None:
    streaming(twins.handset, 1)
    frames = [bytes([number % 100, 0]) * 48 for number in range(1500)]
    await hand.listen("handset-left")
    for frame in frames:
        twins.handset.isochronous_out(EARPIECE, frame)
    heard = await hand.stop_listening("handset-left")
    assert (heard.pcm, heard.rate_hz, heard.seconds) == (b"".join(frames), 48_000, 1.5)
    assert len(heard.pcm) > 2 * PIECE_BYTES


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda hand: hand.lift("gooseneck"), "gooseneck has no hook"),
        (lambda hand: hand.lift("nowhere"), "there are handset-left"),
        (lambda hand: hand.press("gooseneck", "line-1"), "no control 'line-1'"),
        (lambda hand: hand.counters("gooseneck"), "counts nothing"),
        (lambda hand: hand.tone("gooseneck", 9000, -10), "not between 0 and 4000"),
        (lambda hand: hand.speak("gooseneck", Sound(b"", 44_100)), "44100 Hz"),
    ],
)
async def test_what_it_cannot_do_is_said(hand: Hand, act: object, said: str) -> None:
    assert callable(act)
    with pytest.raises(DeviceError, match=said):
        await act(hand)


async def test_it_puts_everything_back(hand: Hand, twins: Twins) -> None:
    streaming(twins.handset, 2)
    await hand.lift("handset-left")
    await hand.press("gooseneck", "ptt")
    await hand.tone("handset-left", 500, -3)
    await hand.unplug("speaker-1")
    await hand.tidy()
    assert not twins.handset.off_hook
    assert twins.speaker.attached
    assert not any(twins.handset.isochronous_in(MICROPHONE))
    assert not twins.gooseneck.controls.function.values.get("ptt")


async def test_nobody_at_the_other_end(tmp_path: Path) -> None:
    with pytest.raises(DeviceGoneError, match="no hand at"):
        await WireHand.connect(tmp_path / "nothing")


async def test_a_hand_that_goes_away_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "hand"

    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        await reader.readline()
        writer.close()

    async with await asyncio.start_unix_server(leave, str(path)):
        with pytest.raises(DeviceGoneError, match="went away"):
            await WireHand.connect(path)


async def test_answers_to_somebody_else_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "hand"

    async def confuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        asked = json.loads(await reader.readline())
        mine = json.dumps({"id": asked["id"], "result": ["hear", "levitate"]})
        writer.write(b'ult": ["speak"]}\n{"id": -1, "result": ["turn"]}\n' + mine.encode() + b"\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_unix_server(confuse, str(path)):
        hand = await WireHand.connect(path)
        assert hand.abilities == {Ability.HEAR}
        await hand.close()


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9)
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)
METHODS = sorted(Desk(TwinHand({}))._methods)
PARAMS = ("position", "key", "muted", "steps", "channel", "frequency_hz", "level_dbfs", "pcm",
          "first", "rate_hz", "loop")  # fmt: skip


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(METHODS) | st.text(max_size=9),
    params=st.dictionaries(st.sampled_from(PARAMS), json_values | st.just("gooseneck"), max_size=8),
)
def test_whatever_is_asked_is_answered(method: str, params: dict[str, object]) -> None:
    desk = Desk(TwinHand({"gooseneck": GooseneckModel()}))
    asked = json.dumps({"id": 5, "method": method, "params": params}).encode()
    answer = asyncio.run(desk.answer(asked))
    assert answer["id"] == 5
    assert ("result" in answer) is not ("error" in answer)


async def test_a_sound_is_bounded() -> None:
    desk = Desk(TwinHand({}))
    piece = json.dumps({"id": 1, "method": "load", "params": {"pcm": "A" * 60_000, "first": False}})
    for _ in range(MAX_SOUND_BYTES // 45_000):
        assert "result" in await desk.answer(piece.encode())
    assert "more than" in str((await desk.answer(piece.encode()))["error"])
