"""The internal mixing matrix as a MixingMatrix: a client of OLDCB on TCP 4250 and 4251.

The matrix outlives this client and this client outlives the matrix: a lost connection is
made again at the next request, and whoever reads events gets ``connected`` after every
(re)connection, to list and compare.

A request is sent once.  When the connection breaks before its answer, MatrixGoneError
says so and the caller lists what there is; repeating ``leg.open`` blindly would leak a leg.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from dataclasses import asdict, fields
from typing import Final, TypeVar, cast

from ..hal.errors import (
    MatrixConflictError,
    MatrixError,
    MatrixGoneError,
    MatrixRequestError,
    PortsExhaustedError,
    UnknownPortError,
    WireError,
)
from ..hal.matrix import (
    AudioDevice,
    Bus,
    Cleaning,
    Codec,
    DeviceSettings,
    Ducking,
    Fork,
    ForkTarget,
    Leg,
    LegStats,
    LegTarget,
    MatrixEvent,
    MatrixInfo,
    Membership,
    Recording,
    RecordingPort,
    Sink,
    Source,
    Srtp,
    SrtpSuite,
    Tone,
    Topic,
)
from ..hal.wire.json_lines import (
    JsonObject,
    JsonValue,
    LineSplitter,
    decode,
    encode,
    field,
    optional,
)

logger = logging.getLogger(__name__)

PROTOCOL: Final = 1
CONTROL_PORT: Final = 4250
EVENT_PORT: Final = 4251
MAX_LINE_BYTES: Final = 4_194_304
REQUEST_TIMEOUT_S: Final = 2.0
FIRST_RETRY_S: Final = 0.05
LAST_RETRY_S: Final = 1.0
_ERRORS: Final[Mapping[str, type[MatrixError]]] = {
    "unknown": UnknownPortError,
    "conflict": MatrixConflictError,
    "exhausted": PortsExhaustedError,
    "bad_request": MatrixRequestError,
    "unsupported": MatrixRequestError,
}
T = TypeVar("T")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class OldcbMatrix:
    """A client of the matrix process; implements hal.MixingMatrix.

    Args:
        address: Where the matrix listens.
        control_port: Its control port.
        event_port: Its event port.
        timeout_s: How long a request may take before the connection is given up.
    """

    def __init__(
        self,
        address: str = "127.0.0.1",
        *,
        control_port: int = CONTROL_PORT,
        event_port: int = EVENT_PORT,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        self._address = address
        self._control_port = control_port
        self._event_port = event_port
        self._timeout_s = timeout_s
        self._link: _Link | None = None
        self._connecting = asyncio.Lock()

    async def close(self) -> None:
        """Lets go of the matrix, which goes on as it is."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def hello(self) -> MatrixInfo:
        """Returns who answers."""
        return _made(MatrixInfo, await self._ask("hello", protocol=PROTOCOL))

    async def leg_open(
        self,
        *,
        codec: Codec = Codec.PCMU,
        ptime_ms: int = 20,
        tag: Mapping[str, JsonValue] | None = None,
    ) -> Leg:
        """Binds a port pair; the leg is silent until connected."""
        return _leg(
            await self._ask("leg.open", codec=codec, ptime_ms=ptime_ms, tag=dict(tag or {}))
        )

    async def leg_connect(self, leg: int, target: LegTarget) -> None:
        """Starts sending to the target and listening to nobody else; may be repeated."""
        await self._ask("leg.connect", leg=leg, **asdict(target))

    async def leg_tag(self, leg: int, tag: Mapping[str, JsonValue]) -> None:
        """Replaces the note that a newcomer finds on the leg."""
        await self._ask("leg.tag", leg=leg, tag=dict(tag))

    async def leg_close(self, leg: int) -> None:
        """Takes the leg off its buses and frees its ports."""
        await self._ask("leg.close", leg=leg)

    async def leg_list(self) -> tuple[Leg, ...]:
        """Returns every leg, with its counters."""
        return tuple(_leg(item) for item in _items(await self._ask("leg.list"), "legs"))

    async def leg_reset_gaps(self, leg: int) -> None:
        """Starts the measurement of the longest gaps anew."""
        await self._ask("leg.reset_gaps", leg=leg)

    async def leg_dial(self, leg: int, digits: str, *, duration_ms: int = 100) -> None:
        """Sends digits as telephone events (RFC 4733), one after the other."""
        await self._ask("leg.dial", leg=leg, digits=digits, duration_ms=duration_ms)

    async def bus_join(
        self,
        bus: str,
        port: str,
        *,
        talk_db: float | None = None,
        listen_db: float | None = None,
        rate_hz: int | None = None,
    ) -> None:
        """Puts a port on a bus, or changes its gains there."""
        gains = {"talk_db": talk_db, "listen_db": listen_db}
        await self._ask("bus.join", bus=bus, port=port, rate_hz=rate_hz, **gains)

    async def bus_loudest(self, bus: str, count: int) -> None:
        """Mixes only so many of those who talk, the loudest; 0 is everybody."""
        await self._ask("bus.loudest", bus=bus, count=count)

    async def bus_leave(self, bus: str, port: str) -> None:
        """Takes a port off a bus; the last one takes the bus with it."""
        await self._ask("bus.leave", bus=bus, port=port)

    async def bus_list(self) -> tuple[Bus, ...]:
        """Returns every bus with its members."""
        return tuple(_bus(item) for item in _items(await self._ask("bus.list"), "buses"))

    async def device_list(self) -> tuple[AudioDevice, ...]:
        """Returns every audio device of the board."""
        return tuple(_device(item) for item in _items(await self._ask("device.list"), "devices"))

    async def device_mute(self, device: str, *, capture: bool, playback: bool) -> None:
        """Closes or opens microphone and earpiece; kept while the device is on no bus."""
        await self._ask("device.mute", device=device, capture=capture, playback=playback)

    async def device_sidetone(self, device: str, gain_db: float | None) -> None:
        """Lets the speaker hear himself, at -60 to 0 dB; None is no side-tone."""
        await self._ask("device.sidetone", device=device, gain_db=gain_db)

    async def device_duck(self, device: str, ducking: Ducking | None) -> None:
        """Lowers what a device plays while others speak; None ends it."""
        settings = asdict(ducking or Ducking(()))
        await self._ask("device.duck", device=device, **settings)

    async def device_clean(self, device: str, cleaning: Cleaning | None) -> None:
        """Cleans what a microphone hears; None ends it."""
        settings = None if cleaning is None else asdict(cleaning)
        await self._ask("device.clean", device=device, cleaning=settings)

    async def source_open(self, name: str, *, rate_hz: int = 8000) -> Source:
        """Makes a source of that name, silent at first."""
        return _made(Source, await self._ask("source.open", name=name, rate_hz=rate_hz))

    async def source_tone(self, name: str, tone: str | Tone, *, zone: str | None = None) -> None:
        """Says a tone in place of what the source said before."""
        spelled = asdict(tone) if isinstance(tone, Tone) else tone
        await self._ask("source.tone", name=name, tone=spelled, zone=zone)

    async def source_wav(self, name: str, path: str, *, times: int = 1) -> None:
        """Says a WAV file of the unit's sounds folder; ``times`` 0 is for ever."""
        await self._ask("source.wav", name=name, path=path, times=times)

    async def source_stop(self, name: str) -> None:
        """Silences a source without a click."""
        await self._ask("source.stop", name=name)

    async def source_close(self, name: str) -> None:
        """Takes the source off its buses and ends it."""
        await self._ask("source.close", name=name)

    async def source_list(self) -> tuple[Source, ...]:
        """Returns every source."""
        found = _items(await self._ask("source.list"), "sources")
        return tuple(_made(Source, item) for item in found)

    async def sink_open(
        self, name: str, *, path: str | None = None, rate_hz: int = 8000, max_seconds: int = 3600
    ) -> Sink:
        """Begins a WAV file in the unit's recordings folder; it keeps what the sink hears."""
        place = {"name": name, "path": path}
        reply = await self._ask("sink.open", rate_hz=rate_hz, max_seconds=max_seconds, **place)
        return _made(Sink, reply)

    async def sink_close(self, name: str) -> None:
        """Takes the sink off its buses and finishes its file."""
        await self._ask("sink.close", name=name)

    async def sink_list(self) -> tuple[Sink, ...]:
        """Returns every sink."""
        found = _items(await self._ask("sink.list"), "sinks")
        return tuple(_made(Sink, item) for item in found)

    async def recording_open(
        self,
        name: str,
        *,
        codec: Codec = Codec.PCMU,
        ptime_ms: int = 20,
        stereo: bool = False,
    ) -> None:
        """Makes a recording of that name, tapping nothing yet."""
        form = {"codec": codec, "ptime_ms": ptime_ms, "stereo": stereo}
        await self._ask("recording.open", name=name, **form)

    async def recording_tap(self, name: str, bus: str) -> None:
        """Adds a bus to what is recorded."""
        await self._ask("recording.tap", name=name, bus=bus)

    async def recording_untap(self, name: str, bus: str) -> None:
        """Removes a bus from what is recorded."""
        await self._ask("recording.untap", name=name, bus=bus)

    async def recording_reserve(self, name: str, index: int) -> RecordingPort:
        """Keeps a local port pair for fork 0 or 1 so that an SDP can name it."""
        return _made(RecordingPort, await self._ask("recording.reserve", name=name, index=index))

    async def recording_fork(self, name: str, index: int, target: ForkTarget) -> RecordingPort:
        """Starts sending the recording to a recorder."""
        reply = await self._ask(
            "recording.fork",
            name=name,
            index=index,
            remote_address=target.address,
            remote_rtp_port=target.rtp_port,
            payload_type=target.payload_type,
        )
        return _made(RecordingPort, reply)

    async def recording_unfork(self, name: str, index: int) -> None:
        """Stops sending to that recorder and frees the ports."""
        await self._ask("recording.unfork", name=name, index=index)

    async def recording_close(self, name: str) -> None:
        """Ends the recording and both its forks."""
        await self._ask("recording.close", name=name)

    async def recording_list(self) -> tuple[Recording, ...]:
        """Returns every recording with its forks."""
        found = _items(await self._ask("recording.list"), "recordings")
        return tuple(_recording(item) for item in found)

    async def status(self) -> JsonObject:
        """Returns ticks, lateness, ports in use and the counters of the server."""
        return await self._ask("status")

    async def events(self, topics: Collection[Topic]) -> AsyncIterator[MatrixEvent]:
        """Yields what is asked for, across reconnects, until the iterator is closed.

        ``connected`` stands for every new connection: events may have been missed.
        """
        retry_s = FIRST_RETRY_S
        while True:
            with contextlib.suppress(OSError, WireError):
                streams = await asyncio.open_connection(self._address, self._event_port)
                async with contextlib.aclosing(_subscribed(streams, topics)) as events:
                    async for event in events:
                        retry_s = FIRST_RETRY_S
                        yield event
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, LAST_RETRY_S)

    async def _ask(self, method: str, **params: object) -> JsonObject:
        link = await self._connected()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await link.ask(method, params)
        except TimeoutError as error:
            await self.close()
            raise MatrixGoneError(f"{method}: no answer in {self._timeout_s} s") from error

    async def _connected(self) -> "_Link":
        async with self._connecting:
            if self._link is None or self._link.broken:
                await self.close()
                self._link = await self._connect()
            return self._link

    async def _connect(self) -> "_Link":
        try:
            async with asyncio.timeout(self._timeout_s):
                streams = await asyncio.open_connection(self._address, self._control_port)
        except (OSError, TimeoutError) as error:
            place = f"{self._address}:{self._control_port}"
            raise MatrixGoneError(f"no matrix at {place}: {error}") from error
        return _Link(*streams)


class _Link:
    """One control connection; answers find their requests by number."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._waiting: dict[int, asyncio.Future[JsonObject]] = {}
        self._last = 0
        self.broken = False
        self._task = asyncio.create_task(self._read(), name="oldcb")

    async def ask(self, method: str, params: Mapping[str, object]) -> JsonObject:
        """Sends a request and returns its result.

        Raises:
            MatrixError: The matrix refused, or the connection broke.
        """
        if self.broken:
            raise MatrixGoneError(f"{method}: the connection is gone")
        self._last += 1
        number = self._last
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(_line({"id": number, "method": method, "params": params}))
            return _result(method, await answer)
        finally:
            del self._waiting[number]

    async def close(self) -> None:
        """Closes the connection; whoever waits is told."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _read(self) -> None:
        try:
            await self._receive()
        except (OSError, WireError) as error:
            logger.warning("the matrix is gone: %s", error)
        finally:
            self.broken = True
            self._writer.close()
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(MatrixGoneError("the connection to the matrix broke"))

    async def _receive(self) -> None:
        splitter = LineSplitter(MAX_LINE_BYTES)
        while data := await self._reader.read(65_536):
            for line in splitter.feed(data):
                reply = decode(line)
                answer = self._waiting.get(optional(reply, "id", int) or 0)
                if answer is not None and not answer.done():
                    answer.set_result(reply)


def _line(request: Mapping[str, object]) -> bytes:
    try:
        return encode(request)
    except WireError as error:
        raise MatrixRequestError(str(error)) from error


def _result(method: str, reply: JsonObject) -> JsonObject:
    error = optional(reply, "error", dict)
    if error is None:
        return field(reply, "result", dict)
    kind = _ERRORS.get(str(error.get("code")), MatrixError)
    raise kind(f"{method}: {error.get('message')}")


async def _subscribed(streams: Streams, topics: Collection[Topic]) -> AsyncGenerator[MatrixEvent]:
    reader, writer = streams
    splitter = LineSplitter(MAX_LINE_BYTES)
    try:
        writer.write(encode({"subscribe": sorted(topics)}))
        while data := await reader.read(65_536):
            for line in splitter.feed(data):
                yield _event(decode(line))
    finally:
        writer.close()


def _event(message: JsonObject) -> MatrixEvent:
    name = field(message, "event", str)
    name = "connected" if name == "subscribed" else name
    details = {key: value for key, value in message.items() if key not in ("event", "time")}
    return MatrixEvent(name, field(message, "time", float), details)


def _items(reply: JsonObject, key: str) -> list[JsonObject]:
    return [item for item in field(reply, key, list) if isinstance(item, dict)]


def _made(kind: type[T], message: Mapping[str, object]) -> T:
    """Fills a dataclass from a message of the matrix; what it does not know is left out."""
    names = {item.name for item in fields(cast("type[Leg]", kind))}
    try:
        return kind(**{name: value for name, value in message.items() if name in names})
    except TypeError as error:
        raise MatrixGoneError(f"the matrix answers in another protocol: {error}") from error


def _leg(message: JsonObject) -> Leg:
    target = optional(message, "target", dict)
    stats = optional(message, "stats", dict) or {}
    typed = {
        "codec": Codec(field(message, "codec", str)),
        "target": None if target is None else _target(target),
        "stats": _made(LegStats, stats),
    }
    return _made(Leg, {**message, **typed})


def _target(message: JsonObject) -> LegTarget:
    srtp = optional(message, "srtp", dict)
    typed = {
        "codec": Codec(field(message, "codec", str)),
        "srtp": None if srtp is None else Srtp(SrtpSuite(field(srtp, "suite", str))),
    }
    return _made(LegTarget, {**message, **typed})


def _bus(message: JsonObject) -> Bus:
    members = tuple(_made(Membership, item) for item in _items(message, "members"))
    return _made(Bus, {**message, "members": members})


def _device(message: JsonObject) -> AudioDevice:
    settings = optional(message, "settings", dict) or {}
    ducking, cleaning = (optional(settings, key, dict) for key in ("ducking", "cleaning"))
    typed = {
        "ducking": None if ducking is None else _made(Ducking, _tuples(ducking, "ports")),
        "cleaning": None if cleaning is None else _made(Cleaning, _tuples(cleaning, "echo_of")),
    }
    return _made(AudioDevice, {**message, "settings": _made(DeviceSettings, {**settings, **typed})})


def _tuples(message: JsonObject, key: str) -> dict[str, object]:
    return {**message, key: tuple(str(item) for item in field(message, key, list))}


def _recording(message: JsonObject) -> Recording:
    typed = {
        "codec": Codec(field(message, "codec", str)),
        "buses": tuple(str(bus) for bus in field(message, "buses", list)),
        "forks": tuple(_fork(item) for item in _items(message, "forks")),
    }
    return _made(Recording, {**message, **typed})


def _fork(message: JsonObject) -> Fork:
    target = optional(message, "target", dict)
    typed = {"target": None if target is None else _made(ForkTarget, target)}
    return _made(Fork, {**message, **typed})
