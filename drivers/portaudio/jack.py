"""The sound of a JACK client, by its name: benches without sound cards, and twins.

PortAudio does not say when a client leaves: its stream runs on and is silent.  So a client of our
own, without ports, listens to what the server says about the others.
"""

import logging
import threading
from collections import Counter
from typing import Final

from ...hal.board import DeviceSpec
from ...hal.errors import BoardError, DeviceGoneError
from .library import Library, jack_stamp
from .port import PortAudioPort
from .stream import Api, Target

try:
    import jack
except OSError as error:  # how JACK-Client says that libjack is missing
    raise ImportError(f"{error}; apt-get install libjack-jackd2-0") from error

logger = logging.getLogger(__name__)

WATCH_NAME: Final = "openturret-watch"


class JackWatch:
    """Knows which clients a JACK server has, for as long as the server runs.

    Raises:
        DeviceGoneError: There is no server.
    """

    def __init__(self) -> None:
        self.alive = True
        self._lock = threading.Lock()
        self._stale = True
        self._ports: dict[str, tuple[int, int]] = {}
        self._comings: Counter[str] = Counter()
        try:
            self._client = jack.Client(WATCH_NAME, no_start_server=True)
        except jack.JackError as error:
            raise DeviceGoneError(f"no JACK server: {error}") from error
        self.period_frames: int = self._client.blocksize
        self._client.set_shutdown_callback(self._ended)
        self._client.set_client_registration_callback(self._client_changed)
        self._client.set_port_registration_callback(self._port_changed, only_available=False)
        self._client.activate()

    def ports(self, name: str) -> tuple[int, int]:
        """Returns how many ports a client has that we can hear, and that we can speak to.

        Raises:
            DeviceGoneError: There is no such client, or no server.
        """
        with self._lock:
            if self._stale and self.alive:
                self._stale = False
                self._ports = self._count()
            if name not in self._ports or not self.alive:
                raise DeviceGoneError(f"JACK has no client {name!r}")
            return self._ports[name]

    def comings(self, name: str) -> int:
        """Returns how many times a client of that name came or went."""
        return self._comings[name]

    def close(self) -> None:
        """Leaves the server."""
        self.alive = False
        self._client.close()

    def _count(self) -> dict[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        for port in self._client.get_ports(is_audio=True):
            client = port.name.rpartition(":")[0]
            heard, spoken = found.get(client, (0, 0))
            found[client] = (heard + port.is_output, spoken + port.is_input)
        return found

    def _port_changed(self, _port: object, _registered: bool) -> None:
        self._stale = True

    def _client_changed(self, name: str, _registered: bool) -> None:
        self._comings[name] += 1
        self._stale = True

    def _ended(self, _status: object, reason: str) -> None:
        self.alive = False
        logger.error("the JACK server is gone (%s); its devices are until a restart", reason)


class Jack:
    """The JACK server of the process's environment (``JACK_DEFAULT_SERVER``)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watch: JackWatch | None = None

    def watch(self) -> JackWatch:
        """Returns what knows the clients of the server that runs.

        Raises:
            DeviceGoneError: None runs.
        """
        with self._lock:
            if self._watch is None or not self._watch.alive:
                self._watch = JackWatch()
            return self._watch

    def end(self) -> None:
        """Leaves the server; asking for it joins it again."""
        with self._lock:
            watch, self._watch = self._watch, None
            if watch is not None and watch.alive:
                watch.close()


class JackPlace:
    """The JACK client that a match names."""

    def __init__(self, spec: DeviceSpec, server: Jack) -> None:
        name = spec.match.get("name")
        if not isinstance(name, str):
            remedy = "add 'match: {name: Handset 1}', or write driver: usb for a USB device"
            raise BoardError(f"device {spec.position} names no JACK client", remedy=remedy)
        self._name = name
        self._jack = server
        self._watch: JackWatch | None = None
        self._comings = 0

    def target(self) -> Target:
        """Returns the client.

        Raises:
            DeviceGoneError: There is no such client, or no JACK server.
        """
        watch = self._watch = self._jack.watch()
        self._comings = watch.comings(self._name)
        return Target(Api.JACK, self._name, jack_stamp(*watch.ports(self._name)))

    def check(self) -> None:
        """Passes while the client has neither gone nor come back.

        Raises:
            DeviceGoneError: It has, or the server is gone.
        """
        watch = self._watch
        if watch is None or not watch.alive or watch.comings(self._name) != self._comings:
            raise DeviceGoneError(f"JACK has lost client {self._name!r}")


JACK: Final = Jack()
PORTAUDIO: Final = Library(JACK.watch)
"""The process's own: PortAudio and libjack are one each, whatever Python does."""


def jack_audio(spec: DeviceSpec) -> PortAudioPort:
    """Returns the audio of a JACK client: the driver ``portaudio.audio``."""
    return PortAudioPort(spec, JackPlace(spec, JACK), PORTAUDIO)
