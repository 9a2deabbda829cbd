"""The hand of a test or a demonstration: lifts, presses, speaks and listens.

>>> import asyncio
>>> from pathlib import Path
>>> async def answer(sockets: Path) -> None:
...     async with await Hand.connect(sockets) as hand:
...         await hand.lift("handset-left")
...         await hand.listen("handset-left", sockets / "heard.wav")
"""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Final

from ...hal.errors import DeviceGoneError, WireError
from ...hal.wire.json_lines import JsonObject, JsonValue, LineSplitter, decode, encode
from ..errors import HandRefusedError
from .sockets import hand_socket

RETRY_S: Final = 0.02


class Hand:
    """One person at the emulated hardware; one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._splitter = LineSplitter()
        self._turn = asyncio.Lock()

    @classmethod
    async def connect(cls, sockets: Path, *, patience_s: float = 5.0) -> "Hand":
        """Returns a hand at the hardware that serves that folder.

        Args:
            sockets: The folder given to the hardware process.
            patience_s: How long to wait for a hardware process that is still starting.

        Raises:
            DeviceGoneError: Nobody serves the folder.
        """
        path = str(hand_socket(sockets))
        try:
            async with asyncio.timeout(patience_s):
                return cls(*await _connect(path))
        except TimeoutError as error:
            raise DeviceGoneError(f"no emulated hardware at {path}") from error

    async def close(self) -> None:
        """Lets go; the devices stay as they are."""
        self._writer.close()
        await self._writer.wait_closed()

    async def __aenter__(self) -> "Hand":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def devices(self) -> list[str]:
        """Returns the positions that there are."""
        found = await self._ask("devices")
        return [str(position) for position in found] if isinstance(found, list) else []

    async def lift(self, position: str) -> None:
        """Takes the handset off its cradle, or switches the speakerphone on."""
        await self._ask("hook", position=position, on=True)

    async def cradle(self, position: str) -> None:
        """Puts the handset back, or switches the speakerphone off."""
        await self._ask("hook", position=position, on=False)

    async def press(self, position: str, key: str) -> None:
        """Presses and holds a key; ``ptt`` is the push-to-talk bar."""
        await self._ask("key", position=position, key=key, on=True)

    async def release(self, position: str, key: str) -> None:
        """Lets go of a key."""
        await self._ask("key", position=position, key=key, on=False)

    async def mute(self, position: str, *, muted: bool = True) -> None:
        """Switches the device's own mute, which also silences its microphone."""
        await self._ask("mute", position=position, on=muted)

    async def speak(self, position: str, wav: Path, *, loop: bool = False) -> None:
        """Speaks a WAV file (8 kHz, mono, 16 bits) into the microphone from now on.

        Raises:
            HandRefusedError: The file has another format, or there is no microphone.
        """
        await self._ask("speak", position=position, wav=str(wav.absolute()), loop=loop)

    async def tone(self, position: str, frequency_hz: float, level_dbfs: float) -> None:
        """Plays a sine into the microphone until something else is spoken."""
        await self._ask("tone", position=position, frequency_hz=frequency_hz, level_dbfs=level_dbfs)

    async def silence(self, position: str) -> None:
        """Says nothing from now on."""
        await self._ask("silence", position=position)

    async def listen(self, position: str, wav: Path) -> None:
        """Keeps everything heard from now on in a WAV file, without a gap."""
        await self._ask("listen", position=position, wav=str(wav.absolute()))

    async def stop_listening(self, position: str) -> float:
        """Ends the WAV file and returns its length in seconds."""
        seconds = await self._ask("stop_listening", position=position)
        return seconds if isinstance(seconds, float) else 0.0

    async def lamps(self, position: str) -> dict[str, bool]:
        """Returns the lamps that are lit."""
        return {name: bool(lit) for name, lit in (await self._table("lamps", position)).items()}

    async def counters(self, position: str) -> dict[str, int]:
        """Returns what the device counted: frames sent, played, silent, dropped, late."""
        table = await self._table("counters", position)
        return {name: value for name, value in table.items() if isinstance(value, int)}

    async def unplug(self, position: str) -> None:
        """Pulls the device's cable."""
        await self._ask("unplug", position=position)

    async def plug(self, position: str) -> None:
        """Puts the device's cable back."""
        await self._ask("plug", position=position)

    async def _table(self, method: str, position: str) -> JsonObject:
        table = await self._ask(method, position=position)
        return table if isinstance(table, dict) else {}

    async def _ask(self, method: str, **params: object) -> JsonValue:
        async with self._turn:
            self._writer.write(encode({"id": 1, "method": method, "params": params}))
            reply = await self._reply()
        if "error" in reply:
            raise HandRefusedError(str(reply["error"]))
        return reply.get("result")

    async def _reply(self) -> JsonObject:
        try:
            while data := await self._reader.read(4096):
                for line in self._splitter.feed(data):
                    return decode(line)
        except (OSError, WireError) as error:
            raise DeviceGoneError(f"emulated hardware: {error}") from error
        raise DeviceGoneError("the emulated hardware went away")


async def _connect(path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    while True:
        try:
            return await asyncio.open_unix_connection(path)
        except OSError:
            await asyncio.sleep(RETRY_S)
