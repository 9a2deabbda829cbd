"""Recordings: everything said on some buses, sent to up to two recorders."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._engine import ffi, lib
from .bus import Bus
from .leg import port_number
from .part import Part, check, within

if TYPE_CHECKING:
    from . import _engine as c
    from .engine import Engine


@dataclass(frozen=True, slots=True)
class ForkStats:
    """One recorder's copy of a recording.

    `first_sequence` and `last_sequence` are RTP sequence numbers, None before the first packet;
    they count on where the 16 bits of the wire begin anew.
    `last_errno` is the latest refusal (``errno.ECONNREFUSED`` when nobody listens), 0 for none.
    """

    active: bool
    packets_sent: int
    octets_sent: int
    samples: int
    send_errors: int
    last_errno: int
    first_sequence: int | None
    last_sequence: int | None
    reports_received: int
    remote_fraction_lost: float
    round_trip_ms: float | None


class Recording(Part["c.RecordingHandle"]):
    """The complete sum of the tapped buses, encoded once and sent to up to two recorders.

    Both recorders get the same payload with the same sequence numbers, timestamps and SSRC.  A
    recorder that refuses or blocks is counted and delays nothing.
    """

    def __init__(self, engine: "Engine", handle: "c.RecordingHandle") -> None:
        super().__init__(engine, handle)
        self.ssrc: int = lib.ot_recording_ssrc(handle)

    def tap(self, bus: Bus) -> None:
        """Adds everything said on a bus; tapping twice is tapping once.

        Raises:
            ClosedError: The recording or the bus was closed.
        """
        check(lib.ot_recording_tap(self.handle, bus.handle), "cannot tap")

    def untap(self, bus: Bus) -> None:
        """Takes a bus out of the recording.

        Raises:
            ClosedError: The recording or the bus was closed.
        """
        check(lib.ot_recording_untap(self.handle, bus.handle), "cannot untap")

    def fork(
        self,
        index: int,
        *,
        address: str,
        local_rtp_port: int,
        remote_address: str,
        remote_rtp_port: int,
        payload_type: int,
    ) -> None:
        """Starts sending to a recorder, from a local port pair of its own.

        Args:
            index: 0 or 1; a fork that is already there is replaced.
            address: The unit's own address, a dotted quad.
            local_rtp_port: Even; RTCP goes out of the port after it.
            remote_address: The recorder's address, a dotted quad.
            remote_rtp_port: Where the recorder listens; its RTCP is the port after it.
            payload_type: As negotiated, 0 to 127.

        Raises:
            AddressInUseError: A local port is taken.
            SettingError: Something is out of bounds.
            EngineError: No route leads there.
            ClosedError: The recording was closed.
        """
        code = lib.ot_recording_fork(
            self.handle,
            within(index, 1, "fork"),
            address.encode(),
            port_number(local_rtp_port),
            remote_address.encode(),
            port_number(remote_rtp_port),
            within(payload_type, 7, "payload type"),
        )
        check(code, f"cannot record to {remote_address}:{remote_rtp_port}")

    def unfork(self, index: int) -> None:
        """Says BYE to a recorder and stops sending to it.

        Raises:
            SettingError: `index` is neither 0 nor 1.
            ClosedError: The recording was closed.
        """
        check(
            lib.ot_recording_unfork(self.handle, within(index, 1, "fork")), "cannot stop the fork"
        )

    def stats(self) -> tuple[ForkStats, ForkStats]:
        """Returns the statistics of both forks.

        Raises:
            ClosedError: The recording was closed.
            EngineStalledError: A tick did not end within a second.
        """
        return self._fork_stats(0), self._fork_stats(1)

    def _fork_stats(self, index: int) -> ForkStats:
        raw = ffi.new("ot_fork_stats *")
        check(lib.ot_recording_read(self.handle, index, raw), "cannot read the recording")
        sent = raw.packets_sent > 0
        return ForkStats(
            active=bool(raw.active),
            packets_sent=raw.packets_sent,
            octets_sent=raw.octets_sent,
            samples=raw.samples,
            send_errors=raw.send_errors,
            last_errno=raw.last_errno,
            first_sequence=raw.first_sequence if sent else None,
            last_sequence=raw.last_sequence if sent else None,
            reports_received=raw.reports_received,
            remote_fraction_lost=raw.remote_fraction_lost / 256,
            round_trip_ms=raw.round_trip_us / 1e3 if raw.round_trip_us else None,
        )

    def close(self) -> None:
        """Says BYE to both recorders and ends; closing twice does nothing."""
        self._close(lib.ot_recording_close)
