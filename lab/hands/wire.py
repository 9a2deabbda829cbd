"""A hand beyond a wire: what :mod:`.server` lends, over a Unix socket or a character device.

In a QEMU guest the wire is a virtio port, ``/dev/virtio-ports/openturret.hand``, where a
caller that was killed may have left half a line: answers to nobody are passed over.
"""

import asyncio
import base64
import random
from pathlib import Path
from typing import Final, Self

from ...drivers.errors import HandRefusedError
from ...hal.errors import DeviceGoneError, FieldError, HalError, NotJsonError, WireError
from ...hal.wire.json_lines import (
    JsonObject,
    JsonValue,
    LineSplitter,
    decode,
    encode,
    field,
)
from .hand import Ability, Sound
from .port import Wire, open_wire
from .server import MAX_SOUND_BYTES, PIECE_BYTES

ANSWER_S: Final = 10.0


class WireHand:
    """One person at devices beyond a wire; one request at a time."""

    def __init__(self, wire: Wire, *, first_id: int) -> None:
        self._wire = wire
        self._id = first_id
        self._turn = asyncio.Lock()
        self._lines = LineSplitter()
        self._waiting: list[bytes] = []
        self._abilities: frozenset[Ability] = frozenset()

    @classmethod
    async def connect(cls, path: Path) -> Self:
        """Returns the hand that is lent at a Unix socket or a character device.

        Raises:
            DeviceGoneError: Nobody is there, or nobody answers.
        """
        try:
            wire = await open_wire(path)
        except OSError as error:
            raise DeviceGoneError(f"no hand at {path}: {error.strerror}") from error
        hand = cls(wire, first_id=random.randrange(1 << 32))
        wire.writer.write(b"\n")
        try:
            await hand._greet()
        except HalError:
            await hand.close()
            raise
        return hand

    @property
    def abilities(self) -> frozenset[Ability]:
        """What the hand at the other end can do."""
        return self._abilities

    async def lift(self, position: str) -> None:
        """Takes it off its cradle."""
        await self._ask("lift", position=position)

    async def cradle(self, position: str) -> None:
        """Puts it back."""
        await self._ask("cradle", position=position)

    async def press(self, position: str, key: str) -> None:
        """Presses and holds a key."""
        await self._ask("press", position=position, key=key)

    async def release(self, position: str, key: str) -> None:
        """Lets go of a key."""
        await self._ask("release", position=position, key=key)

    async def mute(self, position: str, *, muted: bool = True) -> None:
        """Switches the device's own mute."""
        await self._ask("mute", position=position, muted=muted)

    async def turn(self, position: str, steps: int, *, channel: int = 0) -> None:
        """Turns a knob."""
        await self._ask("turn", position=position, steps=steps, channel=channel)

    async def tone(self, position: str, frequency_hz: float, level_dbfs: float) -> None:
        """Makes a sine at the microphone."""
        await self._ask("tone", position=position, frequency_hz=frequency_hz, level_dbfs=level_dbfs)

    async def speak(self, position: str, sound: Sound, *, loop: bool = False) -> None:
        """Says something into the microphone."""
        pieces = range(0, max(len(sound.pcm), 1), PIECE_BYTES)
        for start in pieces:
            piece = base64.b64encode(sound.pcm[start : start + PIECE_BYTES]).decode()
            await self._ask("load", pcm=piece, first=start == 0)
        await self._ask("speak", position=position, rate_hz=sound.rate_hz, loop=loop)

    async def silence(self, position: str) -> None:
        """Says nothing from now on."""
        await self._ask("silence", position=position)

    async def listen(self, position: str) -> None:
        """Puts an ear to the earpiece."""
        await self._ask("listen", position=position)

    async def stop_listening(self, position: str) -> Sound:
        """Takes it away and returns what it heard."""
        told = _table(await self._ask("stop_listening", position=position))
        rate_hz, octets = field(told, "rate_hz", int), field(told, "octets", int)
        if rate_hz <= 0 or not 0 <= octets <= MAX_SOUND_BYTES:
            raise FieldError(f"a sound of {octets} octets at {rate_hz} Hz")
        pcm = bytearray()
        while len(pcm) < octets:
            piece = base64.b64decode(str(await self._ask("fetch", first=len(pcm))))
            if not piece:
                raise DeviceGoneError(f"the hand kept {octets - len(pcm)} octets of a sound")
            pcm += piece
        return Sound(bytes(pcm), rate_hz)

    async def lamps(self, position: str) -> dict[str, bool]:
        """Returns the lamps that are lit."""
        lit = _table(await self._ask("lamps", position=position))
        return {name: bool(value) for name, value in lit.items()}

    async def counters(self, position: str) -> dict[str, int]:
        """Returns what the device counted."""
        table = _table(await self._ask("counters", position=position))
        return {name: value for name, value in table.items() if isinstance(value, int)}

    async def unplug(self, position: str) -> None:
        """Pulls the cable."""
        await self._ask("unplug", position=position)

    async def plug(self, position: str) -> None:
        """Puts the cable back."""
        await self._ask("plug", position=position)

    async def tidy(self) -> None:
        """Puts everything back."""
        await self._ask("tidy")

    async def close(self) -> None:
        """Goes away."""
        await self._wire.close()

    async def _greet(self) -> None:
        found = await self._ask("abilities")
        known = {str(ability) for ability in Ability}
        words = found if isinstance(found, list) else []
        self._abilities = frozenset(Ability(str(word)) for word in words if word in known)

    async def _ask(self, method: str, **params: object) -> JsonValue:
        async with self._turn:
            self._id += 1
            self._wire.writer.write(encode({"id": self._id, "method": method, "params": params}))
            answer = await self._answer(method)
        if "error" in answer:
            raise HandRefusedError(str(answer["error"]))
        return answer.get("result")

    async def _answer(self, method: str) -> JsonObject:
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._ours()
        except TimeoutError as error:
            raise DeviceGoneError(f"the hand does not answer to {method}") from error
        except (OSError, WireError) as error:
            raise DeviceGoneError(f"the hand is gone: {error}") from error

    async def _ours(self) -> JsonObject:
        while True:
            for line in self._take():
                answer = _readable(line)
                if answer.get("id") == self._id:
                    return answer
            data = await self._wire.reader.read(65_536)
            if not data:
                raise DeviceGoneError("the hand went away")
            self._waiting += self._lines.feed(data)

    def _take(self) -> list[bytes]:
        lines, self._waiting = self._waiting, []
        return lines


def _readable(line: bytes) -> JsonObject:
    """The answer in a line; nothing in what a dead caller left half read."""
    try:
        return decode(line)
    except NotJsonError:
        return {}


def _table(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}
