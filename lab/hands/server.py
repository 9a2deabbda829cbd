r"""Lends a hand to somebody beyond a wire: one JSON object per line, each with an answer.

``{"id": 7, "method": "lift", "params": {"position": "handset-left"}}`` is answered with
``{"id": 7, "result": null}`` or ``{"id": 7, "error": "…"}``.  Methods are those of
:class:`.hand.Hand`.  Sounds go in pieces: ``load`` collects what ``speak`` then says,
``stop_listening`` tells how long the recording is, and ``fetch`` returns it.
"""

import asyncio
import base64
import binascii
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from ...hal.audio import SAMPLE_BYTES
from ...hal.errors import DeviceError, FieldError
from ...hal.line_service import answered, serve_lines
from ...hal.wire.json_lines import (
    JsonObject,
    JsonValue,
    field,
    optional,
)
from .hand import MAX_SOUND_S, Hand, Sound

logger = logging.getLogger(__name__)

PIECE_BYTES: Final = 30_000
MAX_RATE_HZ: Final = 48_000
MAX_SOUND_BYTES: Final = MAX_SOUND_S * MAX_RATE_HZ * SAMPLE_BYTES


async def serve(hand: Hand, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Does what comes in until the peer goes away or loses its framing."""
    await serve_lines(reader, writer, Desk(hand).answer, peer="hand")


class Desk:
    """One peer's requests, and the sound that it sends or fetches."""

    def __init__(self, hand: Hand) -> None:
        self._hand = hand
        self._said = bytearray()
        self._heard = b""
        self._methods: dict[str, Callable[[JsonObject], Awaitable[JsonValue]]] = {
            "abilities": self._abilities,
            "tidy": self._tidy,
            "lift": self._at(hand.lift),
            "cradle": self._at(hand.cradle),
            "silence": self._at(hand.silence),
            "listen": self._at(hand.listen),
            "unplug": self._at(hand.unplug),
            "plug": self._at(hand.plug),
            "press": self._key(hand.press),
            "release": self._key(hand.release),
            "mute": self._mute,
            "turn": self._turn,
            "tone": self._tone,
            "load": self._load,
            "speak": self._speak,
            "stop_listening": self._stop_listening,
            "fetch": self._fetch,
            "lamps": self._lamps,
            "counters": self._counters,
        }

    async def answer(self, line: bytes) -> dict[str, object]:
        """Returns the answer to one line."""
        return await answered(line, self._do, DeviceError)

    async def _do(self, method: str, params: JsonObject) -> JsonValue:
        if method not in self._methods:
            known = ", ".join(self._methods)
            raise FieldError(f"method {method[:40]!r} is not known; known are {known}")
        return await self._methods[method](params)

    @staticmethod
    def _at(act: Callable[[str], Awaitable[None]]) -> Callable[[JsonObject], Awaitable[JsonValue]]:
        async def answer(params: JsonObject) -> JsonValue:
            await act(field(params, "position", str))
            return None

        return answer

    @staticmethod
    def _key(
        act: Callable[[str, str], Awaitable[None]],
    ) -> Callable[[JsonObject], Awaitable[JsonValue]]:
        async def answer(params: JsonObject) -> JsonValue:
            await act(field(params, "position", str), field(params, "key", str))
            return None

        return answer

    async def _abilities(self, _params: JsonObject) -> JsonValue:
        return [*sorted(self._hand.abilities)]

    async def _tidy(self, _params: JsonObject) -> JsonValue:
        await self._hand.tidy()
        return None

    async def _mute(self, params: JsonObject) -> JsonValue:
        await self._hand.mute(field(params, "position", str), muted=field(params, "muted", bool))
        return None

    async def _turn(self, params: JsonObject) -> JsonValue:
        steps, channel = field(params, "steps", int), field(params, "channel", int)
        await self._hand.turn(field(params, "position", str), steps, channel=channel)
        return None

    async def _tone(self, params: JsonObject) -> JsonValue:
        frequency_hz, level = (
            field(params, "frequency_hz", float),
            field(params, "level_dbfs", float),
        )
        await self._hand.tone(field(params, "position", str), frequency_hz, level)
        return None

    async def _load(self, params: JsonObject) -> JsonValue:
        piece = _octets(field(params, "pcm", str))
        if field(params, "first", bool):
            self._said.clear()
        if len(self._said) + len(piece) > MAX_SOUND_BYTES:
            raise FieldError(f"a sound of more than {MAX_SOUND_BYTES} octets")
        self._said += piece
        return None

    async def _speak(self, params: JsonObject) -> JsonValue:
        rate_hz = field(params, "rate_hz", int)
        if not 0 < rate_hz <= MAX_RATE_HZ:
            raise FieldError(f"rate_hz {rate_hz} is not between 1 and {MAX_RATE_HZ}")
        sound = Sound(bytes(self._said), rate_hz)
        loop = bool(optional(params, "loop", bool))
        await self._hand.speak(field(params, "position", str), sound, loop=loop)
        return None

    async def _stop_listening(self, params: JsonObject) -> JsonValue:
        sound = await self._hand.stop_listening(field(params, "position", str))
        self._heard = sound.pcm[:MAX_SOUND_BYTES]
        return {"rate_hz": sound.rate_hz, "octets": len(self._heard)}

    async def _fetch(self, params: JsonObject) -> JsonValue:
        first = field(params, "first", int)
        if first < 0:
            raise FieldError(f"first {first} is negative")
        return base64.b64encode(self._heard[first : first + PIECE_BYTES]).decode()

    async def _lamps(self, params: JsonObject) -> JsonValue:
        return {**await self._hand.lamps(field(params, "position", str))}

    async def _counters(self, params: JsonObject) -> JsonValue:
        return {**await self._hand.counters(field(params, "position", str))}


def _octets(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FieldError(f"field 'pcm' is not base64: {error}") from error
