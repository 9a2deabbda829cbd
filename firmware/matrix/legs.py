"""The RTP legs: opened by one client, found by the next, ended by whoever asks."""

import errno
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace

from ...c_ext import Codec, Engine, Extras, NotNegotiatedError, Security
from ...c_ext import Leg as EngineLeg
from ...hal.matrix import LegTarget, Srtp
from ...hal.wire.json_lines import JsonObject
from .errors import ConflictError, ExhaustedError, MatrixProcessError, UnknownThingError
from .parameters import srtp_key
from .ports import PortPairs

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class OpenLeg:
    """One leg and what its owner said about it; its keys are in `security` and nowhere else."""

    number: int
    engine: EngineLeg
    address: str
    rtp_port: int
    codec: str
    ptime_ms: int
    tag: JsonObject = field(default_factory=dict)
    target: LegTarget | None = None
    security: Security | None = None
    ssrc: int = field(init=False)

    def __post_init__(self) -> None:
        """Keeps what the leg began with: a client knows it by that, whatever collides later."""
        self.ssrc = self.engine.ssrc

    def describe(self) -> dict[str, object]:
        """Returns the leg as OLDCB lists it."""
        return {
            "leg": self.number,
            "rtp_port": self.rtp_port,
            "rtcp_port": self.rtp_port + 1,
            "ssrc": self.ssrc,
            "address": self.address,
            "codec": self.codec,
            "ptime_ms": self.ptime_ms,
            "tag": self.tag,
            "target": None if self.target is None else _described(self.target),
        }

    def stats(self) -> dict[str, object]:
        """Returns the counters as OLDCB lists them."""
        return asdict(self.engine.stats())

    def levels(self) -> tuple[list[float], bool]:
        """Returns receive and transmit level in dBFS, and whether the far end speaks."""
        stats = self.engine.stats()
        levels = [round(stats.receive_level_dbfs, 1), round(stats.transmit_level_dbfs, 1)]
        return levels, stats.receive_active


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
        """Starts sending to the target and listening to it alone.

        Raises:
            ConflictError: The target's keys are those that the leg has, but it has none.
        """
        leg = self[number]
        security = _security(leg, target.srtp)
        leg.engine.connect(
            address=target.address,
            rtp_port=target.rtp_port,
            rtcp_port=target.rtcp_port,
            codec=Codec[target.codec],
            payload_type=target.payload_type,
            ptime_ms=target.ptime_ms,
            send=target.send,
            receive=target.receive,
            extras=_extras(target),
            security=security,
        )
        leg.security = security
        leg.target = _without_keys(target)
        logger.info("leg %d connected to %s:%d", number, target.address, target.rtp_port)

    def dial(self, number: int, events: tuple[int, ...], duration_ms: int) -> None:
        """Sends telephone events one after the other.

        Raises:
            ConflictError: The far end did not agree to telephone events.
            MatrixProcessError: Too many wait already; the message says how many were taken.
        """
        leg = self[number]
        for taken, event in enumerate(events):
            try:
                leg.engine.dial(event, duration_ms=duration_ms)
            except NotNegotiatedError as error:
                raise ConflictError(
                    f"leg {number} has no event_type; connect it with one"
                ) from error
            except OSError as error:
                message = f"leg {number}: {taken} of {len(events)} digits taken: {error.strerror}"
                raise MatrixProcessError(message) from error

    def find(self, port: int) -> OpenLeg | None:
        """Returns the leg that the engine knows by that number, None when it is closed."""
        return next((leg for leg in self if leg.engine.id == port), None)

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


def _described(target: LegTarget) -> dict[str, object]:
    srtp = None if target.srtp is None else {"suite": target.srtp.suite}
    return {**asdict(target), "srtp": srtp}


def _without_keys(target: LegTarget) -> LegTarget:
    return target if target.srtp is None else replace(target, srtp=Srtp(target.srtp.suite))


def _extras(target: LegTarget) -> Extras:
    return Extras(
        event_type=target.event_type,
        noise_type=target.noise_type,
        redundant_type=target.redundant_type,
        redundancy=target.redundancy,
        inband_digits=target.inband_digits,
        bitrate_bps=target.bitrate_bps,
        loss_percent=target.loss_percent,
        fec=target.fec,
        dtx=target.dtx,
    )


def _security(leg: OpenLeg, srtp: Srtp | None) -> Security | None:
    if srtp is None:
        return None
    if srtp.send:
        keys = (
            srtp_key(srtp.suite, srtp.send, "send"),
            srtp_key(srtp.suite, srtp.receive, "receive"),
        )
        return Security(srtp.suite, *keys)
    if leg.security is None or leg.security.suite != srtp.suite:
        raise ConflictError(f"leg {leg.number} has no keys of {srtp.suite}; give send and receive")
    return leg.security
