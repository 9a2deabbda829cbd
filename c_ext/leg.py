"""RTP legs: one far end each, what was negotiated with it, and what it came to."""

from dataclasses import dataclass
from errno import EINVAL
from typing import TYPE_CHECKING

from ._engine import ffi, lib
from .codec import Codec
from .errors import SettingError
from .part import Part, check, level_dbfs, within

if TYPE_CHECKING:
    from . import _engine as c
    from .engine import Engine


@dataclass(frozen=True, slots=True)
class Extras:
    """What may be negotiated beside the codec; a payload type of None: it was not.

    Attributes:
        event_type: Telephone events (RFC 4733), at the clock of the codec.
        noise_type: Comfort noise (RFC 3389); our silence is then described instead of sent.
        redundant_type: Redundant audio (RFC 2198).
        redundancy: Older payloads in each packet that we send, 0 to 2.
        inband_digits: Look for DTMF in the sound that comes.
        bitrate_bps: Of Opus; 0 is its own choice.
        loss_percent: Of our packets, as the far end reports it: how much Opus spends on recovery.
        fec: Opus carries the packet before once more.
        dtx: Opus lets silence pass unsent.
    """

    event_type: int | None = None
    noise_type: int | None = None
    redundant_type: int | None = None
    redundancy: int = 1
    inband_digits: bool = False
    bitrate_bps: int = 0
    loss_percent: int = 0
    fec: bool = False
    dtx: bool = False


@dataclass(frozen=True, slots=True)
class Security:
    """The keys of SRTP, each a master key with its salt behind it, as SDES carries them (RFC 4568).

    Attributes:
        suite: Its name, such as ``AEAD_AES_128_GCM`` or ``AES_CM_128_HMAC_SHA1_80``.
        send: Protects what we send.
        receive: Verifies what comes.
    """

    suite: str
    send: bytes
    receive: bytes

    def __repr__(self) -> str:
        """Shows the suite and never a key."""
        return f"Security(suite={self.suite!r}, send=…, receive=…)"


def port_number(value: int) -> int:
    """Returns a UDP port that fits 16 bits, or raises."""
    return within(value, 16, "port")


def packet_time(value: int) -> int:
    """Returns a packet time that fits 8 bits, or raises."""
    return within(value, 8, "packet time in ms")


def _add_extras(remote: "c.LegRemote", extras: Extras) -> None:
    remote.event_type = within(extras.event_type or 0, 7, "payload type of events")
    remote.noise_type = within(extras.noise_type or 0, 7, "payload type of comfort noise")
    remote.redundant_type = within(extras.redundant_type or 0, 7, "payload type of redundancy")
    remote.redundancy = within(extras.redundancy, 8, "redundancy")
    remote.inband_digits = extras.inband_digits
    remote.encoding.bitrate_bps = within(extras.bitrate_bps, 32, "bit rate")
    remote.encoding.loss_percent = within(extras.loss_percent, 7, "expected loss")
    remote.encoding.fec = extras.fec
    remote.encoding.dtx = extras.dtx


def _add_security(remote: "c.LegRemote", security: Security | None) -> tuple["c.CData", ...]:
    """Puts the keys in; they must live as long as what is returned."""
    if security is None:
        return ()
    suite = lib.ot_srtp_find(security.suite.encode())
    if not suite:
        raise SettingError(EINVAL, f"SRTP suite {security.suite!r} is not known")
    if not len(security.send) == len(security.receive) == lib.ot_srtp_key_octets(suite):
        octets = lib.ot_srtp_key_octets(suite)
        raise SettingError(EINVAL, f"keys of {security.suite} have {octets} octets with their salt")
    keys = tuple(ffi.new("uint8_t[]", key) for key in (security.send, security.receive))
    remote.srtp_suite = suite
    remote.srtp_octets = len(security.send)
    remote.srtp_send, remote.srtp_receive = keys
    return keys


@dataclass(frozen=True, slots=True)
class LegStats:
    """What one leg has sent, received and measured.

    Levels are in dBFS with a full-scale square wave as 0 and silence as -127.  Gaps are the
    longest time between two packets since `Leg.reset_gaps`.  `packets_other` came from the right
    place with a payload type that is not the negotiated one; `packets_foreign` came from
    elsewhere, `packets_unauthentic` did not verify: both were dropped.  `packets_recovered` were
    lost and came as redundant audio.  `round_trip_ms` is None until the far end has reported, `mos`
    until enough was heard (1 to 4.5, listening quality by ITU-T G.107), `remote_mos` until the far
    end told its own.
    """

    packets_sent: int
    octets_sent: int
    send_errors: int
    last_errno: int
    packets_received: int
    octets_received: int
    packets_expected: int
    packets_lost: int
    packets_late: int
    packets_duplicate: int
    packets_reordered: int
    packets_foreign: int
    packets_malformed: int
    packets_other: int
    packets_recovered: int
    packets_unauthentic: int
    concealed_frames: int
    noise_frames: int
    resets: int
    collisions: int
    jitter_ms: float
    round_trip_ms: float | None
    buffered_ms: float
    delay_target_ms: int
    receive_level_dbfs: float
    transmit_level_dbfs: float
    receive_active: bool
    transmit_active: bool
    receive_gap_max_ms: float
    send_gap_max_ms: float
    reports_sent: int
    reports_received: int
    remote_fraction_lost: float
    remote_packets_lost: int
    remote_jitter_ms: float
    digits_sent: int
    digits_received: int
    mos: float | None
    remote_mos: float | None
    bye_received: bool


class Leg(Part["c.LegHandle"]):
    """An RTP stream each way with one far end, and its RTCP."""

    def __init__(
        self, engine: "Engine", handle: "c.LegHandle", rtp_port: int, codec: Codec
    ) -> None:
        super().__init__(engine, handle)
        self.id: int = lib.ot_leg_port(handle)
        self.rtp_port = rtp_port
        self._codec = codec

    @property
    def ssrc(self) -> int:
        """What our stream is known by; another one after a collision (RFC 3550 section 8.2)."""
        return lib.ot_leg_ssrc(self.handle)

    def connect(
        self,
        *,
        address: str,
        rtp_port: int,
        codec: Codec,
        payload_type: int,
        rtcp_port: int | None = None,
        ptime_ms: int = 20,
        send: bool = True,
        receive: bool = True,
        extras: Extras = Extras(),
        security: Security | None = None,
    ) -> None:
        """Names the far end; packets from anywhere else are counted and dropped.

        A connected leg that sends does so continuously, silence included, unless comfort noise
        was negotiated.  May be called again (hold, re-INVITE, another codec); sequence numbers
        and SSRC go on.

        Args:
            address: The far end's address, a dotted quad.
            rtp_port: Where it listens and what it sends from.
            codec: How both directions are encoded.
            payload_type: As negotiated, 0 to 127.
            rtcp_port: The far end's; None is the one after `rtp_port`.
            ptime_ms: What we put into one packet: 10, 20 or 30, for Opus 10 or 20.
            send: Whether we send.
            receive: Whether we play what comes.
            extras: What else was negotiated.
            security: The keys of SRTP; None is plain RTP.

        Raises:
            SettingError: Something is out of bounds, or a key has the wrong length.
            EngineError: No route leads there.
            ClosedError: The leg was closed.
        """
        remote = ffi.new("ot_leg_remote *")
        dotted = ffi.new("char[]", address.encode())
        remote.address = dotted
        remote.rtp_port = port_number(rtp_port)
        remote.rtcp_port = port_number(rtcp_port or 0)
        remote.codec = codec.value
        remote.payload_type = within(payload_type, 7, "payload type")
        remote.ptime_ms = packet_time(ptime_ms)
        remote.send = send
        remote.receive = receive
        _add_extras(remote, extras)
        keys = _add_security(remote, security)
        code = lib.ot_leg_connect(self.handle, remote)
        check(code, f"cannot connect RTP to {address}:{rtp_port}")
        del keys
        self._codec = codec

    def dial(self, event: int, *, duration_ms: int = 100) -> None:
        """Sends a digit as a telephone event (RFC 4733); digits queue.

        Args:
            event: 0 to 9, 10 for star, 11 for pound, 12 to 15 for A to D, 16 for flash.
            duration_ms: How long it is held, at least 40.

        Raises:
            NotNegotiatedError: Telephone events were not negotiated.
            SettingError: There is no such event, or it is too long.
            ClosedError: The leg was closed.
        """
        code = lib.ot_leg_dial(
            self.handle,
            within(event, 8, "telephone event"),
            within(duration_ms, 16, "duration in ms"),
        )
        check(code, "cannot dial")

    def stats(self) -> LegStats:
        """Returns the statistics as they stood between two ticks.

        Raises:
            ClosedError: The leg was closed.
            EngineStalledError: A tick did not end within a second.
        """
        raw = ffi.new("ot_leg_stats *")
        check(lib.ot_leg_read(self.handle, raw), "cannot read the leg")
        return _leg_stats(raw, self._codec)

    def reset_gaps(self) -> None:
        """Starts measuring the longest gaps anew.

        Raises:
            ClosedError: The leg was closed.
        """
        check(lib.ot_leg_reset_gaps(self.handle), "cannot reset the gaps")

    def close(self) -> None:
        """Fades out, says RTCP BYE and gives the ports back; closing twice does nothing."""
        self._close(lib.ot_leg_close)


def _leg_stats(raw: "c.LegStats", codec: Codec) -> LegStats:
    return LegStats(
        packets_sent=raw.packets_sent,
        octets_sent=raw.octets_sent,
        send_errors=raw.send_errors,
        last_errno=raw.last_errno,
        packets_received=raw.packets_received,
        octets_received=raw.octets_received,
        packets_expected=raw.packets_expected,
        packets_lost=max(0, raw.packets_expected - raw.packets_received),
        packets_late=raw.packets_late,
        packets_duplicate=raw.packets_duplicate,
        packets_reordered=raw.packets_reordered,
        packets_foreign=raw.packets_foreign,
        packets_malformed=raw.packets_malformed,
        packets_other=raw.packets_other,
        packets_recovered=raw.packets_recovered,
        packets_unauthentic=raw.packets_unauthentic,
        concealed_frames=raw.concealed_frames,
        noise_frames=raw.noise_frames,
        resets=raw.resets,
        collisions=raw.collisions,
        jitter_ms=raw.jitter_us / 1e3,
        round_trip_ms=raw.round_trip_us / 1e3 if raw.round_trip_us else None,
        buffered_ms=raw.buffered_samples * 1e3 / codec.rate_hz,
        delay_target_ms=raw.delay_target_ms,
        receive_level_dbfs=level_dbfs(raw.receive_energy),
        transmit_level_dbfs=level_dbfs(raw.transmit_energy),
        receive_active=bool(raw.receive_active),
        transmit_active=bool(raw.transmit_active),
        receive_gap_max_ms=raw.receive_gap_max_ns / 1e6,
        send_gap_max_ms=raw.send_gap_max_ns / 1e6,
        reports_sent=raw.reports_sent,
        reports_received=raw.reports_received,
        remote_fraction_lost=raw.remote_fraction_lost / 256,
        remote_packets_lost=raw.remote_packets_lost,
        remote_jitter_ms=raw.remote_jitter * 1e3 / codec.clock_hz,
        digits_sent=raw.digits_sent,
        digits_received=raw.digits_received,
        mos=raw.mos_q8 / 256 if raw.mos_q8 else None,
        remote_mos=raw.remote_mos_q8 / 256 if raw.remote_mos_q8 else None,
        bye_received=bool(raw.bye_received),
    )
