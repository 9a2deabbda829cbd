"""Who listens: our play-out buffer, and the programs that drive the others."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from openturret.c_ext._engine import ffi, lib

from ..peers import PeerError, link_arguments, pjproject
from .traces import PACKET_SAMPLES, Packet

HERE = Path(__file__).resolve().parent
TICK_MS = 10
TICK_SAMPLES = 80
RECORD = np.dtype(
    [
        ("tick", "<u4"),
        ("timestamp", "<u4"),
        ("ssrc", "<u4"),
        ("sequence", "<u2"),
        ("marker", "u1"),
        ("unused", "u1"),
        ("payload", "V160"),
    ]
)
FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra")

Pcm = npt.NDArray[np.int16]


class MissingError(Exception):
    """A peer cannot be built here; the message is the remedy."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What came out, and the receiver's own counts."""

    pcm: Pcm
    concealed_samples: int
    late_packets: int


class Receiver(Protocol):
    """Plays a trace."""

    name: str

    def play(self, came: Sequence[Packet], ticks: int, counted: int) -> Heard:
        """Listens for `ticks` of 10 ms; counts over the first `counted`."""


def tick_of(packet: Packet) -> int:
    """The tick before which the packet is there."""
    return max(0, int(np.ceil(packet.at_ms / TICK_MS - 1e-9)))


class Ours:
    """The play-out buffer of the engine; it adapts between `minimum_ms` and 300 ms."""

    def __init__(self, minimum_ms: int) -> None:
        self.name = f"OpenTurret, from {minimum_ms} ms"
        self._minimum_ms = minimum_ms

    def play(self, came: Sequence[Packet], ticks: int, counted: int) -> Heard:
        """Listens for `ticks` of 10 ms; counts over the first `counted`."""
        out = ffi.new("ot_jitter **")
        if lib.ot_jitter_create(out, lib.OT_PCMU, self._minimum_ms, 300):
            raise ValueError(f"minimum of {self._minimum_ms} ms refused")
        buffer = ffi.gc(out[0], lib.ot_jitter_destroy)
        pcm = np.zeros(ticks * TICK_SAMPLES, np.int16)
        where = ffi.from_buffer("int16_t[]", pcm.data)
        at = 0
        stats = ffi.new("ot_jitter_stats *")
        for tick in range(ticks):
            if tick == counted:
                lib.ot_jitter_read(buffer, stats)
            while at < len(came) and tick_of(came[at]) <= tick:
                self._put(buffer, came[at])
                at += 1
            lib.ot_jitter_get(buffer, where + tick * TICK_SAMPLES)
        return Heard(pcm, stats.concealed_samples, stats.late)

    @staticmethod
    def _put(buffer: object, came: Packet) -> None:
        packet = ffi.new("ot_rtp *")
        packet.ssrc = came.ssrc
        packet.sequence = came.sequence & 0xFFFF
        packet.timestamp = came.timestamp & 0xFFFFFFFF
        packet.marker = came.marker
        packet.payload_octets = len(came.payload)
        lib.ot_jitter_put(buffer, packet, came.payload, 0)
        if came.redundant:
            packet.sequence = (came.sequence - 1) & 0xFFFF
            packet.timestamp = (came.timestamp - PACKET_SAMPLES) & 0xFFFFFFFF
            lib.ot_jitter_put(buffer, packet, came.redundant, lib.OT_PUT_AS_REDUNDANT)


class Appendix:
    """Our G.711 Appendix I alone: every packet comes in time or never does."""

    name = "G.711 Appendix I (ours)"

    def play(self, came: Sequence[Packet], ticks: int, counted: int) -> Heard:
        """Listens for `ticks` of 10 ms; counts over the first `counted`."""
        out = ffi.new("ot_plc **")
        lib.ot_plc_create(out, 8000)
        plc = ffi.gc(out[0], lib.ot_plc_destroy)
        pcm = np.zeros(ticks * TICK_SAMPLES, np.int16)
        where = ffi.from_buffer("int16_t[]", pcm.data)
        code = {tick_of(packet): packet.payload for packet in came}
        for tick in range(ticks):
            here = where + tick * TICK_SAMPLES
            half = tick % 2 * TICK_SAMPLES
            payload = code.get(tick - tick % 2)
            if payload is None:
                lib.ot_plc_lost(plc, here)
            else:
                lib.ot_ulaw_decode(here, payload[half : half + TICK_SAMPLES], TICK_SAMPLES)
                lib.ot_plc_good(plc, here)
        return Heard(pcm, 0, 0)


class Zeros:
    """Silence for what is missing."""

    name = "silence instead"

    def play(self, came: Sequence[Packet], ticks: int, counted: int) -> Heard:
        """Listens for `ticks` of 10 ms; counts over the first `counted`."""
        pcm = np.zeros(ticks * TICK_SAMPLES, np.int16)
        where = ffi.from_buffer("int16_t[]", pcm.data)
        for packet in came:
            lib.ot_ulaw_decode(
                where + tick_of(packet) * TICK_SAMPLES, packet.payload, len(packet.payload)
            )
        return Heard(pcm, 0, 0)


class Program:
    """A program of this folder that reads a trace and writes what it played."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path

    def play(self, came: Sequence[Packet], ticks: int, counted: int) -> Heard:
        """Listens for `ticks` of 10 ms; counts over the first `counted`."""
        records = np.zeros(len(came), RECORD)
        records["tick"] = [tick_of(packet) for packet in came]
        records["timestamp"] = [packet.timestamp & 0xFFFFFFFF for packet in came]
        records["ssrc"] = [packet.ssrc for packet in came]
        records["sequence"] = [packet.sequence & 0xFFFF for packet in came]
        records["marker"] = [packet.marker for packet in came]
        records["payload"] = [np.void(packet.payload) for packet in came]
        done = subprocess.run(
            [str(self._path), str(ticks), str(counted)],
            input=records.tobytes(),
            capture_output=True,
            check=True,
        )
        concealed, late = done.stderr.split()[-2:]
        return Heard(np.frombuffer(done.stdout, "<i2").astype(np.int16), int(concealed), int(late))


def compile_program(folder: Path, name: str, flags: Sequence[str], remedy: str) -> Path:
    """Compiles a driver.

    Raises:
        MissingError: The compiler or the library is not there.
    """
    compiler = shutil.which(os.environ.get("CC", "gcc"))
    if compiler is None:
        raise MissingError("apt-get install gcc libc6-dev")
    target = folder / name
    command = [compiler, *FLAGS, str(HERE / f"{name}.c"), "-o", str(target), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise MissingError(remedy)
    return target


def spandsp(folder: Path) -> Program:
    """The concealment of spandsp alone.

    Raises:
        MissingError: It is not there.
    """
    path = compile_program(
        folder, "spandsp", ["-lspandsp", "-lm"], "apt-get install libspandsp-dev"
    )
    return Program("spandsp", path)


def librem(folder: Path) -> Program:
    """The buffers of libre and librem, as baresip uses them.

    Raises:
        MissingError: They are not there.
    """
    flags = ["-DHAVE_INTTYPES_H", "-isystem", "/usr/include/re", "-isystem", "/usr/include/rem"]
    flags += ["-lrem", "-lre", "-lspandsp", "-lm"]
    remedy = "apt-get install librem-dev libre-dev libspandsp-dev"
    return Program("librem (as baresip)", compile_program(folder, "librem", flags, remedy))


def pjmedia(folder: Path) -> Program:
    """PJMEDIA's buffer and concealment, built once from pjproject's source.

    Raises:
        MissingError: The source or what builds it is not there.
    """
    try:
        flags = link_arguments(pjproject("stock"))
    except PeerError as error:
        raise MissingError(str(error)) from error
    return Program("PJMEDIA", compile_program(folder, "pjmedia", flags, "make peers"))
