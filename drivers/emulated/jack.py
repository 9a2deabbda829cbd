"""Emulated devices as JACK clients, so that PortAudio finds them by name without a sound card.

``python -m openturret.drivers.emulated.jack --board FILE --sockets FOLDER --server NAME`` serves
every audio device of a board, each as the client that its match names (``name: Handset 1``), with
two ports that say the same for microphone and earpiece each, and the same ``hand.sock`` as other
emulated hardware.

Emulated: the rate and the clock of the server, the cable pulled and put back (the client leaves
and comes again).  Not emulated: acoustics, mono devices (PortAudio needs two ports on JACK), and
switches, lamps and hooks beyond what ``drivers.emulated`` has.
"""

import argparse
import array
import asyncio
import logging
import signal
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import jack

from ...hal.board import Capability, DeviceSpec, load_board
from ...hal.errors import BoardError, HalError
from ..errors import EmulationError
from .hardware import Hardware
from .sockets import DeviceSockets
from .sound import Heard, Silence, Source

logger = logging.getLogger(__name__)

CHANNELS: Final = 2
_FULL_SCALE: Final = 32_768
_LARGEST: Final = 32_767


@dataclass(slots=True)
class _Voice:
    """What a microphone picks up, counted from the first frame that it was heard in."""

    source: Source
    first: int | None = None

    def frame(self, number: int, samples: int) -> bytes:
        if self.first is None:
            self.first = number
        return self.source.frame(number - self.first, samples)


class JackTwin:
    """Microphone and earpiece of one device as a JACK client; plugged in it is a client.

    JACK calls it on a thread of its own; files are written on the loop.
    """

    def __init__(self, spec: DeviceSpec, server: str) -> None:
        self._name = client_name(spec)
        self._capabilities = spec.capabilities
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._client: jack.Client | None = None
        self._voice = _Voice(Silence())
        self._heard: Heard | None = None
        self._last = 0
        self._samples, self._rate_hz = self._ask_server()
        self.muted = False
        self.counters = dict.fromkeys(("sent", "played", "silent"), 0)

    @property
    def rate_hz(self) -> int:
        """Samples in a second: the server's."""
        return self._rate_hz

    @property
    def streaming(self) -> bool:
        """Whether a host has connected itself."""
        client = self._client
        if client is None:
            return False
        ports = [*client.inports, *client.outports]
        return any(port.number_of_connections for port in ports)

    def plug(self) -> None:
        """Becomes a client of the server."""
        if self._client is not None:
            return
        self._client = client = self._connect(self._name)
        for number in range(1, CHANNELS + 1):
            if Capability.CAPTURE in self._capabilities:
                client.outports.register(f"microphone_{number}")
            if Capability.PLAYBACK in self._capabilities:
                client.inports.register(f"earpiece_{number}")
        client.set_process_callback(partial(self._process, client))
        client.activate()

    def unplug(self) -> None:
        """Leaves the server; the hand's listening goes on and hears silence."""
        client, self._client = self._client, None
        if client is not None:
            client.deactivate()
            client.close()

    def close(self) -> None:
        """Ends the device and the file of whoever listens."""
        self.unplug()
        if self._heard is not None:
            self.stop_listening()

    def speak(self, source: Source) -> None:
        """Lets the source speak from the next frame on, in place of what spoke before."""
        self._voice = _Voice(source)

    def listen(self, path: Path) -> None:
        """Starts to keep what is heard from the next frame on.

        Raises:
            EmulationError: Somebody listens already.
        """
        if self._heard is not None:
            raise EmulationError("already listening; stop listening first")
        self._heard = Heard(path, self._last + 1, self._samples, self._rate_hz)

    def stop_listening(self) -> float:
        """Ends the file and returns how many seconds it holds.

        Raises:
            EmulationError: Nobody listens.
        """
        if self._heard is None:
            raise EmulationError("nobody is listening")
        heard, self._heard = self._heard, None
        return heard.close(self._last + 1)

    def _ask_server(self) -> tuple[int, int]:
        client = self._connect(f"{self._name} (asking)")
        try:
            return client.blocksize, client.samplerate
        finally:
            client.close()

    def _connect(self, name: str) -> jack.Client:
        try:
            return jack.Client(
                name, use_exact_name=True, no_start_server=True, servername=self._server
            )
        except jack.JackError as error:
            message = f"no JACK server {self._server!r} for {name!r}: {error}"
            raise EmulationError(message) from error

    def _process(self, client: jack.Client, samples: int) -> None:
        """One period, on JACK's thread: what is said goes out, what is heard comes in."""
        number = client.last_frame_time // samples
        voice = _Voice(Silence()) if self.muted else self._voice
        floats = _to_floats(voice.frame(number, samples))
        for port in client.outports:
            port.get_buffer()[:] = floats
        heard = [bytes(port.get_buffer()) for port in client.inports]
        self._loop.call_soon_threadsafe(self._keep, number, heard[0] if heard else floats[:0])

    def _keep(self, number: int, floats: bytes) -> None:
        self._last = number
        self.counters["sent"] += 1
        self.counters["played" if any(floats) else "silent"] += 1
        if self._heard is not None:
            self._heard.put(number, _from_floats(floats) or None)


def client_name(spec: DeviceSpec) -> str:
    """Returns the JACK client that a board description names.

    Raises:
        BoardError: The device's match has no name.
    """
    name = spec.match.get("name")
    if not isinstance(name, str):
        remedy = "add 'match: {name: Handset 1}'"
        raise BoardError(f"device {spec.position} names no JACK client", remedy=remedy)
    return name


def _to_floats(frame: bytes) -> bytes:
    return array.array("f", [n / _FULL_SCALE for n in array.array("h", frame)]).tobytes()


def _from_floats(data: bytes) -> bytes:
    scaled = (round(value * _FULL_SCALE) for value in array.array("f", data))
    return array.array("h", [max(-_FULL_SCALE, min(_LARGEST, n)) for n in scaled]).tobytes()


def main(arguments: list[str] | None = None) -> int:
    """Serves the devices of ``--board`` on a JACK server until SIGTERM or SIGINT."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    try:
        asyncio.run(_serve(options.board, options.sockets, options.server))
    except (HalError, OSError) as error:
        sys.stderr.write(f"emulated JACK clients: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m openturret.drivers.emulated.jack",
        description="The audio devices of a turret as clients of a JACK server, and hand.sock to "
        "speak into them and to listen.",
    )
    parser.add_argument("--board", type=Path, required=True, help="board description (YAML)")
    parser.add_argument("--sockets", type=Path, required=True, help="folder for the sockets")
    parser.add_argument("--server", default="default", help="name of the JACK server (jackd -n)")
    return parser


async def _serve(board: Path, folder: Path, server: str) -> None:
    def on_jack(spec: DeviceSpec, _sockets: DeviceSockets) -> JackTwin:
        return JackTwin(spec, server)

    hardware = Hardware(load_board(board), folder, on_jack)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await hardware.open()
    logger.info("%d devices on JACK server %s", len(hardware.devices), server)
    await stop.wait()
    await hardware.close()


if __name__ == "__main__":
    sys.exit(main())
