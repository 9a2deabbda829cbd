"""Every emulated device of a board in one process, and the hand that works them.

The process is hardware: it outlives kills of boot, matrix and runtime.  ``hand.sock``
takes one JSON object per line, ``{"id": 1, "method": "lift", "params": {"position":
"handset-left"}}``, and answers ``{"id": 1, "result": ...}`` or ``{"id": 1, "error":
"..."}``.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from ...hal.board import Board, Capability, DeviceSpec
from ...hal.errors import DeviceError, FieldError
from ...hal.line_service import answered, serve_lines
from ...hal.wire.json_lines import JsonObject, decode, encode, field, optional
from ..errors import EmulationError
from .microphone import AudioTwin
from .sockets import DeviceSockets, check_length, hand_socket
from .sound import Silence, Source, Speech, Tone, read_wav
from .switches import ControlTwin
from .wire import Change

logger = logging.getLogger(__name__)


class Acoustics(Protocol):
    """The audio half of a device, by whichever wire the unit reaches it."""

    muted: bool
    counters: dict[str, int]

    @property
    def rate_hz(self) -> int:
        """Samples in a second."""
        ...

    @property
    def streaming(self) -> bool:
        """Whether a host has the stream open."""
        ...

    def plug(self) -> None:
        """Makes the device available to a host."""
        ...

    def unplug(self) -> None:
        """Pulls the cable; the hand's listening goes on and hears silence."""
        ...

    def close(self) -> None:
        """Ends the device and the file of whoever listens."""
        ...

    def speak(self, source: Source) -> None:
        """Lets the source speak from the next frame on, in place of what spoke before."""
        ...

    def listen(self, path: Path) -> None:
        """Starts to keep what is heard from the next frame on."""
        ...

    def stop_listening(self) -> float:
        """Ends the file and returns how many seconds it holds."""
        ...


MakeAcoustics: TypeAlias = Callable[[DeviceSpec, DeviceSockets], Acoustics]


def behind_sockets(spec: DeviceSpec, sockets: DeviceSockets) -> AudioTwin:
    """Returns audio that a unit reaches by a Unix socket: the driver ``emulated.audio``."""
    return AudioTwin(sockets.audio, spec.frame_ms)


class DeviceTwin:
    """One device of the board: switches and lamps, and audio where it has any."""

    def __init__(self, spec: DeviceSpec, sockets: DeviceSockets, audio: MakeAcoustics) -> None:
        self.spec = spec
        self.control = ControlTwin(sockets.control, spec)
        self._audio = audio(spec, sockets) if spec.has_audio else None

    async def plug(self) -> None:
        """Puts the cable in."""
        await self.control.plug()
        if self._audio is not None:
            self._audio.plug()

    async def unplug(self) -> None:
        """Pulls the cable."""
        await self.control.unplug()
        if self._audio is not None:
            self._audio.unplug()

    async def close(self) -> None:
        """Pulls the cable and ends the file of whoever listens."""
        await self.control.unplug()
        if self._audio is not None:
            self._audio.close()

    def change(self, change: Change) -> None:
        """Lets the hand do something; a mute also silences the microphone."""
        self.control.change(change)
        if change.event == "mute" and self._audio is not None:
            self._audio.muted = change.on

    def audio(self, need: Capability) -> Acoustics:
        """Returns the audio half.

        Raises:
            EmulationError: The device has no microphone, or no earpiece, as needed.
        """
        if self._audio is None or need not in self.spec.capabilities:
            raise EmulationError(f"{self.spec.position} has no {need}")
        return self._audio

    def counters(self) -> dict[str, object]:
        """Returns what the device counted, empty without audio."""
        if self._audio is None:
            return {}
        return {**self._audio.counters, "streaming": self._audio.streaming}


class Hardware:
    """All devices of a board, served under one folder until closed.

    Args:
        board: Which devices.
        folder: Where their sockets and the hand's are made.
        audio: Makes the audio half of each device.
    """

    def __init__(self, board: Board, folder: Path, audio: MakeAcoustics = behind_sockets) -> None:
        check_length(hand_socket(folder))
        self._folder = folder
        self._server: asyncio.Server | None = None
        self._hands: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self.devices = {
            position: DeviceTwin(spec, DeviceSockets.at(folder / position), audio)
            for position, spec in board.devices.items()
        }

    async def open(self) -> None:
        """Plugs every device in; the hand's socket comes last and says that all are there."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for device in self.devices.values():
            await device.plug()
        path = hand_socket(self._folder)
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, str(path))

    async def close(self) -> None:
        """Ends every device and removes the sockets."""
        if self._server is not None:
            self._server.close()
            for hand in self._hands.values():
                hand.transport.abort()
            await asyncio.gather(*self._hands, return_exceptions=True)
            await self._server.wait_closed()
            hand_socket(self._folder).unlink(missing_ok=True)
        for device in self.devices.values():
            await device.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._hands[task] = writer
            task.add_done_callback(self._hands.pop)
        await serve_lines(reader, writer, self._answer, peer="hand")

    async def _answer(self, line: bytes) -> dict[str, object]:
        return await answered(line, self._do, DeviceError)

    async def _do(self, method: str, params: JsonObject) -> object:
        if method == "devices":
            return list(self.devices)
        device = self._device(field(params, "position", str))
        if method in _CABLE:
            await _CABLE[method](device)
            return None
        if method not in _METHODS:
            raise FieldError(f"method {method[:40]!r} is not known")
        return _METHODS[method](device, params)

    def _device(self, position: str) -> DeviceTwin:
        if position not in self.devices:
            raise EmulationError(f"no {position[:40]!r}; there are {', '.join(self.devices)}")
        return self.devices[position]


def _speak(device: DeviceTwin, params: JsonObject) -> None:
    microphone = device.audio(Capability.CAPTURE)
    pcm = read_wav(Path(field(params, "wav", str)), microphone.rate_hz)
    microphone.speak(Speech(pcm, loop=bool(optional(params, "loop", bool))))


def _tone(device: DeviceTwin, params: JsonObject) -> None:
    microphone = device.audio(Capability.CAPTURE)
    frequency_hz, level_dbfs = (field(params, key, float) for key in ("frequency_hz", "level_dbfs"))
    microphone.speak(Tone(frequency_hz, level_dbfs, microphone.rate_hz))


def _silence(device: DeviceTwin, _params: JsonObject) -> None:
    device.audio(Capability.CAPTURE).speak(Silence())


def _listen(device: DeviceTwin, params: JsonObject) -> None:
    device.audio(Capability.PLAYBACK).listen(Path(field(params, "wav", str)))


def _stop_listening(device: DeviceTwin, _params: JsonObject) -> float:
    return device.audio(Capability.PLAYBACK).stop_listening()


def _hook(device: DeviceTwin, params: JsonObject) -> None:
    device.change(Change("hook", field(params, "on", bool)))


def _mute(device: DeviceTwin, params: JsonObject) -> None:
    device.change(Change("mute", field(params, "on", bool)))


def _key(device: DeviceTwin, params: JsonObject) -> None:
    key, on = field(params, "key", str), field(params, "on", bool)
    event = {"event": "ptt", "on": on} if key == "ptt" else {"event": "key", "key": key, "on": on}
    device.change(Change.parse(decode(encode(event))))


def _lamps(device: DeviceTwin, _params: JsonObject) -> dict[str, bool]:
    return dict.fromkeys(sorted(device.control.state.lamps), True)


def _counters(device: DeviceTwin, _params: JsonObject) -> dict[str, object]:
    return device.counters()


_CABLE: Final = {"plug": DeviceTwin.plug, "unplug": DeviceTwin.unplug}
_METHODS: Final[dict[str, Callable[[DeviceTwin, JsonObject], object]]] = {
    "hook": _hook,
    "mute": _mute,
    "key": _key,
    "speak": _speak,
    "tone": _tone,
    "silence": _silence,
    "listen": _listen,
    "stop_listening": _stop_listening,
    "lamps": _lamps,
    "counters": _counters,
}
