"""The RTP legs: opened by one client, found by the next, ended by whoever asks."""

import errno
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field

from ...c_ext.engine import Codec, Engine
from ...c_ext.engine import Leg as EngineLeg
from ...hal.matrix import LegTarget
from ...hal.wire.json_lines import JsonObject
from .errors import ExhaustedError, UnknownThingError
from .ports import PortPairs

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class OpenLeg:
    """One leg and what its owner said about it."""

    number: int
    engine: EngineLeg
    address: str
    rtp_port: int
    codec: str
    ptime_ms: int
    tag: JsonObject = field(default_factory=dict)
    target: LegTarget | None = None

    def describe(self) -> dict[str, object]:
        """Returns the leg as OLDCB lists it."""
        return {
            "leg": self.number,
            "rtp_port": self.rtp_port,
            "rtcp_port": self.rtp_port + 1,
            "ssrc": self.engine.ssrc,
            "address": self.address,
            "codec": self.codec,
            "ptime_ms": self.ptime_ms,
            "tag": self.tag,
            "target": None if self.target is None else asdict(self.target),
        }

    def stats(self) -> dict[str, object]:
        """Returns the counters as OLDCB lists them."""
        return asdict(self.engine.stats())

    def levels(self) -> list[float]:
        """Returns receive and transmit level in dBFS."""
        stats = self.engine.stats()
        return [round(stats.receive_level_dbfs, 1), round(stats.transmit_level_dbfs, 1)]


class Legs:
    """Every leg by number; a number is never used twice.

    Args:
        engine: Where the media runs.
        ports: Where port pairs come from.
        address: Tells the unit's own address, asked for each leg.
    """

    def __init__(self, engine: Engine, ports: PortPairs, address: Callable[[], str]) -> None:
        self._engine = engine
        self._ports = ports
        self._address = address
        self._legs: dict[int, OpenLeg] = {}
        self._last = 0

    def __iter__(self) -> Iterator[OpenLeg]:
        return iter(self._legs.values())

    def __len__(self) -> int:
        return len(self._legs)

    def __getitem__(self, number: int) -> OpenLeg:
        if number not in self._legs:
            raise UnknownThingError(f"there is no leg {number}")
        return self._legs[number]

    def open(self, codec: str, ptime_ms: int, tag: JsonObject) -> OpenLeg:
        """Binds a port pair; the leg is silent until connected.

        Raises:
            ExhaustedError: No port pair is left.
        """
        address = self._address()
        rtp_port, engine_leg = self._bind(address, Codec[codec], ptime_ms)
        self._last += 1
        leg = OpenLeg(self._last, engine_leg, address, rtp_port, codec, ptime_ms, tag)
        self._legs[leg.number] = leg
        logger.info("leg %d opened on %s:%d", leg.number, address, rtp_port)
        return leg

    def connect(self, number: int, target: LegTarget) -> None:
        """Starts sending to the target and listening to it alone."""
        leg = self[number]
        leg.engine.connect(
            address=target.address,
            rtp_port=target.rtp_port,
            rtcp_port=target.rtcp_port,
            codec=Codec[target.codec],
            payload_type=target.payload_type,
            ptime_ms=target.ptime_ms,
            send=target.send,
            receive=target.receive,
        )
        leg.target = target
        logger.info("leg %d connected to %s:%d", number, target.address, target.rtp_port)

    def close(self, number: int) -> None:
        """Ends the leg and frees its ports; it must be on no bus."""
        leg = self[number]
        leg.engine.close()
        del self._legs[number]
        self._ports.give_back(leg.rtp_port)
        logger.info("leg %d closed", number)

    def _bind(self, address: str, codec: Codec, ptime_ms: int) -> tuple[int, EngineLeg]:
        for _ in range(self._ports.free):
            rtp_port = self._ports.take()
            try:
                return rtp_port, self._engine.open_leg(
                    address=address, rtp_port=rtp_port, codec=codec, ptime_ms=ptime_ms
                )
            except OSError as error:
                self._ports.give_back(rtp_port)
                if error.errno != errno.EADDRINUSE:
                    raise
        raise ExhaustedError("every RTP port pair is in use")
