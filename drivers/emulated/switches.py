"""The control half of an emulated device: its switches, keys and lamps behind one socket.

Emulated: absolute state on every connection, changes as they happen, lamps that the
host orders, the cable pulled and put back (lamps go dark, switches stay).

Not emulated: HID reports and their descriptors, the acknowledgement that a real hook
switch or mute waits for, contact bounce, and several hosts: the newest one wins.
"""

import asyncio
import logging
from pathlib import Path
from typing import Final

from ...hal.board import Capability, DeviceSpec
from ...hal.errors import WireError
from ...hal.wire.json_lines import LineSplitter, decode, encode
from ..errors import EmulationError
from .wire import Change, ControlState, LampOrder

logger = logging.getLogger(__name__)

_NEEDS: Final = {
    "hook": Capability.HOOK,
    "ptt": Capability.PTT,
    "mute": Capability.MUTE,
    "key": Capability.KEYS,
}
MAX_UNSENT_BYTES: Final = 65_536


class ControlTwin:
    """Serves one ``<position>.control`` socket."""

    def __init__(self, path: Path, spec: DeviceSpec) -> None:
        self._path = path
        self._spec = spec
        self._server: asyncio.Server | None = None
        self._host: asyncio.StreamWriter | None = None
        self._conversations: set[asyncio.Task[None]] = set()
        self.state = ControlState()

    async def plug(self) -> None:
        """Makes the device available to a host."""
        if self._server is None:
            self._path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._serve, str(self._path))

    async def unplug(self) -> None:
        """Pulls the cable."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        self._drop_host()
        await asyncio.gather(*self._conversations, return_exceptions=True)
        await server.wait_closed()
        self._path.unlink(missing_ok=True)

    def change(self, change: Change) -> None:
        """Lets the hand do something; doing it twice is reported twice.

        Raises:
            EmulationError: The device has nothing of the kind.
        """
        if _NEEDS[change.event] not in self._spec.capabilities:
            raise EmulationError(f"{self._spec.position} has no {change.event}")
        self.state = self.state.after(change)
        self._tell(encode(change.message()))

    def _tell(self, line: bytes) -> None:
        if self._host is None:
            return
        self._host.write(line)
        if self._host.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            logger.warning("%s: the host does not read; dropped", self._spec.position)
            self._drop_host()

    def _drop_host(self) -> None:
        if self._host is not None:
            self._host.transport.abort()
            self._host = None
        self.state = ControlState(
            self.state.off_hook, self.state.ptt, self.state.mute, self.state.keys
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._drop_host()
        self._host = writer
        self._remember(asyncio.current_task())
        self._tell(encode(self.state.message()))
        try:
            await self._obey(reader)
        except (WireError, OSError) as error:
            logger.warning("%s: %s", self._spec.position, error)
        finally:
            if self._host is writer:
                self._drop_host()
            writer.close()

    def _remember(self, conversation: asyncio.Task[None] | None) -> None:
        if conversation is not None:
            self._conversations.add(conversation)
            conversation.add_done_callback(self._conversations.discard)

    async def _obey(self, reader: asyncio.StreamReader) -> None:
        splitter = LineSplitter()
        while data := await reader.read(4096):
            for line in splitter.feed(data):
                self.state = self.state.with_lamp(LampOrder.parse(decode(line)))
