"""The shield: plain packets for the tick, protected ones on the wire."""

import errno
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from openturret.c_ext._engine import ffi, lib

if TYPE_CHECKING:
    from openturret.c_ext._engine import ShieldSlotHandle, ShieldSlotStats, ShieldStats, SrtpHandle

LOOPBACK = "127.0.0.1"
NAMES = (b"AEAD_AES_128_GCM", b"AES_CM_128_HMAC_SHA1_80")
SUITES = {name: lib.ot_srtp_find(name) for name in NAMES}
SUITE = SUITES[b"AEAD_AES_128_GCM"]
OURS, THEIRS = bytes(range(46)), bytes(range(100, 146))
ROOM = 2152
DEADLINE_S = 10.0
SO_TIMESTAMPNS = 35  # asm-generic/socket.h
UNIX_EPOCH_NTP = 2208988800


def rtp(sequence: int, ssrc: int = 7, payload: bytes = b"sound" * 32) -> bytes:
    return struct.pack("!BBHII", 0x80, 0, sequence, 160 * sequence, ssrc) + payload


def report(ssrc: int = 7, word: int = 0) -> bytes:
    return struct.pack("!BBHII", 0x80, 201, 2, ssrc, word)


def session(direction: int, key: bytes, suite: int = SUITE) -> "SrtpHandle":
    made = ffi.new("ot_srtp **")
    octets = lib.ot_srtp_key_octets(suite)
    assert lib.ot_srtp_create(made, suite, direction, key[:octets], octets) == 0
    return made[0]


def bound() -> socket.socket:
    udp = socket.socket(type=socket.SOCK_DGRAM)
    udp.bind((LOOPBACK, 0))
    udp.setblocking(False)
    return udp


class Far:
    """The far end of one slot: its sockets, ours, and the sessions that answer ours."""

    def __init__(self, suite: int = SUITE, *, into: bytes = THEIRS, out: bytes = OURS) -> None:
        self.rtp, self.rtcp, self.near_rtp, self.near_rtcp = (bound() for _ in range(4))
        self.near_rtp.connect(self.rtp.getsockname())
        self.rtp.connect(self.near_rtp.getsockname())
        self.rtcp.connect(self.near_rtcp.getsockname())
        self.protects = ffi.gc(session(lib.OT_SRTP_OUT, into, suite), lib.ot_srtp_destroy)
        self.opens = ffi.gc(session(lib.OT_SRTP_IN, out, suite), lib.ot_srtp_destroy)
        self.path = ffi.new("ot_shield_path *")
        self.path.rtp_fd = self.near_rtp.fileno()
        self.path.rtcp_fd = self.near_rtcp.fileno()
        (self.path.remote_address,) = struct.unpack("=I", socket.inet_aton(LOOPBACK))
        self.path.remote_rtcp_port = self.rtcp.getsockname()[1]

    def close(self) -> None:
        for each in (self.rtp, self.rtcp, self.near_rtp, self.near_rtcp):
            each.close()

    def say(self, *packets: bytes) -> None:
        for packet in packets:
            self.rtp.send(self.protected(packet))

    def protected(self, packet: bytes) -> bytes:
        return run(lib.ot_srtp_protect, self.protects, packet)

    def report(self, packet: bytes) -> None:
        self.rtcp.send(run(lib.ot_srtp_protect_report, self.protects, packet))

    def hear(self) -> list[bytes]:
        return [run(lib.ot_srtp_unprotect, self.opens, data) for data in waiting(self.rtp)]

    def reports(self) -> list[bytes]:
        return [run(lib.ot_srtp_unprotect_report, self.opens, data) for data in waiting(self.rtcp)]


def waiting(udp: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            yield udp.recv(ROOM)
        except BlockingIOError:
            return


def run(call: object, handle: "SrtpHandle", data: bytes) -> bytes:
    assert callable(call)
    packet = ffi.new("ot_srtp_packet *")
    ffi.buffer(packet)[4 : 4 + len(data)] = data
    packet.octets = len(data)
    assert call(handle, packet) == 0
    return bytes(ffi.buffer(packet)[4 : 4 + packet.octets])


class Shield:
    """A shield whose turns the test runs by hand, and the tick's side of it."""

    def __init__(self) -> None:
        made = ffi.new("ot_shield **")
        assert lib.ot_shield_create(made) == 0
        self.handle = made[0]
        self.fars = ExitStack()

    def close(self) -> None:
        lib.ot_shield_destroy(self.handle)
        self.fars.close()

    def add(self, suite: int = SUITE, *, inbound: bool = True, outbound: bool = True) -> "Slot":
        far = Far(suite)
        self.fars.callback(far.close)
        if inbound:
            far.path.inbound = session(lib.OT_SRTP_IN, THEIRS, suite)
        if outbound:
            far.path.outbound = session(lib.OT_SRTP_OUT, OURS, suite)
        made = ffi.new("ot_shield_slot **")
        assert lib.ot_shield_add(self.handle, made, far.path) == 0
        return Slot(made[0], far)

    def step(self) -> None:
        assert lib.ot_shield_step(self.handle) == 0

    def read(self) -> "ShieldStats":
        stats = ffi.new("ot_shield_stats *")
        lib.ot_shield_read(self.handle, stats)
        return stats


class Slot:
    """What the tick and the control side see of a protected leg."""

    def __init__(self, handle: "ShieldSlotHandle", far: Far) -> None:
        self.handle = handle
        self.far = far

    def receive(self, room: int = ROOM) -> bytes | None:
        data = ffi.new("uint8_t[]", ROOM)
        octets = lib.ot_shield_receive(self.handle, data, room)
        return None if octets < 0 else bytes(ffi.buffer(data, octets))

    def receive_all(self) -> list[bytes]:
        return list(iter(self.receive, None))

    def receive_report(self) -> tuple[bytes, int] | None:
        data, ntp = ffi.new("uint8_t[]", ROOM), ffi.new("uint64_t[]", 1)
        octets = lib.ot_shield_receive_report(self.handle, data, ROOM, ntp)
        return None if octets < 0 else (bytes(ffi.buffer(data, octets)), ntp[0])

    def send(self, packet: bytes) -> int:
        return lib.ot_shield_send(self.handle, packet, len(packet))

    def send_report(self, packet: bytes) -> int:
        return lib.ot_shield_send_report(self.handle, packet, len(packet))

    def read(self) -> "ShieldSlotStats":
        stats = ffi.new("ot_shield_slot_stats *")
        lib.ot_shield_slot_read(self.handle, stats)
        return stats


@pytest.fixture
def shield() -> Iterator[Shield]:
    made = Shield()
    yield made
    made.close()


@pytest.mark.parametrize("suite", SUITES.values(), ids=[name.decode() for name in SUITES])
def test_the_tick_meets_plain_packets_and_the_wire_protected_ones(
    shield: Shield, suite: int
) -> None:
    slot = shield.add(suite)
    slot.far.say(rtp(1), rtp(2))
    assert slot.send(rtp(10, ssrc=3)) == 1
    shield.step()
    assert slot.receive_all() == [rtp(1), rtp(2)]
    assert slot.far.hear() == [rtp(10, ssrc=3)]
    assert (slot.read().received, slot.read().sent) == (2, 1)


def test_nothing_of_the_voice_is_readable_on_the_wire(shield: Shield) -> None:
    slot = shield.add()
    slot.send(rtp(1))
    shield.step()
    (wire,) = waiting(slot.far.rtp)
    assert b"sound" not in wire
    assert len(wire) == len(rtp(1)) + 16


def test_reports_pass_in_both_directions_with_their_time(shield: Shield) -> None:
    slot = shield.add()
    before = time.time()
    slot.far.report(report(word=5))
    assert slot.send_report(report(ssrc=3)) == 1
    shield.step()
    came = slot.receive_report()
    assert came is not None
    assert came[0] == report(word=5)
    assert before - 1e-5 <= came[1] / 2**32 - UNIX_EPOCH_NTP <= time.time() + 1e-5
    assert slot.far.reports() == [report(ssrc=3)]
    assert (slot.read().reports_received, slot.read().reports_sent) == (1, 1)


def test_the_time_of_a_report_is_when_the_kernel_had_it(shield: Shield) -> None:
    slot = shield.add()
    slot.far.near_rtcp.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    slot.far.report(report())
    sent = time.time()
    while time.time() < sent + 1e-3:
        pass  # the shield comes later than the report, and must not say when it came itself
    shield.step()
    came = slot.receive_report()
    assert came is not None
    assert came[1] / 2**32 - UNIX_EPOCH_NTP <= sent + 1e-5


def test_each_kind_of_bad_packet_is_dropped_and_counted_as_such(shield: Shield) -> None:
    slot = shield.add()
    protected = slot.far.protected(rtp(1))
    slot.far.rtp.send(protected[:-1] + bytes([protected[-1] ^ 1]))
    slot.far.rtp.send(protected)
    slot.far.rtp.send(protected)
    slot.far.rtp.send(b"no packet")
    slot.far.rtp.send(rtp(2))
    shield.step()
    stats = slot.read()
    assert slot.receive_all() == [rtp(1)]
    assert stats.received == 1
    assert stats.authentication_failures == 2
    assert stats.replays == 1
    assert stats.malformed == 1


def test_a_report_from_elsewhere_is_foreign_however_well_protected(shield: Shield) -> None:
    slot = shield.add()
    protected = run(lib.ot_srtp_protect_report, slot.far.protects, report())
    with bound() as elsewhere:
        elsewhere.sendto(protected, slot.far.near_rtcp.getsockname())
    slot.far.rtcp.send(protected)
    shield.step()
    came = slot.receive_report()
    assert came is not None
    assert slot.receive_report() is None
    assert slot.read().foreign == 1
    assert slot.read().replays == 0, "the stranger's copy never reached the session"


def test_a_flood_is_read_in_bounded_pieces_and_delays_no_other_slot(shield: Shield) -> None:
    flooded, quiet = shield.add(), shield.add()
    for _ in range(3 * lib.OT_SHIELD_READS):
        flooded.far.rtp.send(bytes(200))
    quiet.far.say(rtp(1))
    shield.step()
    assert flooded.read().malformed == lib.OT_SHIELD_READS
    assert quiet.receive_all() == [rtp(1)]


def test_what_the_tick_does_not_fetch_is_dropped_and_the_counter_still_follows(
    shield: Shield,
) -> None:
    slot = shield.add()
    sequences = range(65500, 65500 + lib.OT_SHIELD_DATAGRAMS + 16)
    for sequence in sequences:
        slot.far.say(rtp(sequence & 0xFFFF))
        shield.step()
    assert slot.receive_all() == [rtp(i & 0xFFFF) for i in sequences[: lib.OT_SHIELD_DATAGRAMS]]
    assert slot.read().overflows_in == 16
    slot.far.say(rtp(12))
    shield.step()
    assert slot.receive_all() == [rtp(12)]


def test_the_tick_is_told_when_the_shield_is_behind(shield: Shield) -> None:
    slot = shield.add()
    for sequence in range(lib.OT_SHIELD_DATAGRAMS):
        assert slot.send(rtp(sequence)) == 1
    assert slot.send(rtp(99)) == 0
    for _ in range(lib.OT_SHIELD_REPORTS):
        assert slot.send_report(report()) == 1
    assert slot.send_report(report()) == 0
    assert slot.read().overflows_out == 2
    shield.step()
    assert slot.far.hear() == [rtp(i) for i in range(lib.OT_SHIELD_DATAGRAMS)]
    assert slot.send(rtp(99)) == 1


def test_a_packet_longer_than_any_of_ours_is_not_taken(shield: Shield) -> None:
    slot = shield.add()
    assert slot.send(rtp(1, payload=bytes(lib.OT_SRTP_PLAIN_MAX - 12))) == 1
    assert slot.send(rtp(2, payload=bytes(lib.OT_SRTP_PLAIN_MAX - 11))) == 0


def test_a_packet_is_cut_to_the_room_there_is(shield: Shield) -> None:
    slot = shield.add()
    slot.far.say(rtp(1), rtp(2))
    shield.step()
    assert slot.receive(room=20) == rtp(1)[:20]
    assert slot.receive() == rtp(2)


def test_a_far_end_that_is_not_there_costs_an_error_and_no_packet(shield: Shield) -> None:
    slot = shield.add()
    slot.far.rtp.close()
    for sequence in range(3):
        assert slot.send(rtp(sequence)) == 1
        shield.step()
    assert slot.read().last_errno == errno.ECONNREFUSED
    assert slot.read().sent == 3


def test_without_a_session_nothing_passes(shield: Shield) -> None:
    deaf, mute = shield.add(inbound=False), shield.add(outbound=False)
    deaf.far.say(rtp(1))
    mute.send(rtp(1))
    deaf.send(rtp(2))
    mute.far.say(rtp(2))
    shield.step()
    assert deaf.receive() is None
    assert mute.far.hear() == []
    assert deaf.far.hear() == [rtp(2)]
    assert mute.receive() == rtp(2)
    assert (deaf.read().refused, mute.read().refused) == (1, 1)


def test_new_keys_open_what_comes_after_them(shield: Shield) -> None:
    slot = shield.add()
    slot.send(rtp(1))
    slot.far.path.inbound = session(lib.OT_SRTP_IN, OURS)
    slot.far.path.outbound = session(lib.OT_SRTP_OUT, THEIRS)
    lib.ot_shield_change(shield.handle, slot.handle, slot.far.path)
    assert slot.far.hear() == [rtp(1)], "what waited goes out under the old key"
    slot.far.say(rtp(2))
    slot.send(rtp(3))
    shield.step()
    assert slot.read().authentication_failures == 1
    other = Far(into=OURS, out=THEIRS)
    slot.far.rtp.send(other.protected(rtp(4)))
    shield.step()
    assert slot.receive_all() == [rtp(4)]
    slot.far.opens = other.opens
    assert slot.far.hear() == [rtp(3)]
    other.close()


def test_a_new_socket_keeps_the_sessions_and_their_rollover(shield: Shield) -> None:
    slot = shield.add()
    slot.send(rtp(65535))
    slot.far.say(rtp(65535))
    shield.step()
    moved = Far()
    lib.ot_shield_change(shield.handle, slot.handle, moved.path)
    slot.send(rtp(0))
    moved.rtp.send(slot.far.protected(rtp(0)))
    shield.step()
    assert slot.receive_all() == [rtp(65535), rtp(0)]
    assert slot.far.hear() == [rtp(65535)]
    moved.opens = slot.far.opens
    assert moved.hear() == [rtp(0)]
    lib.ot_shield_remove(shield.handle, slot.handle)
    moved.close()


def test_the_last_words_of_a_leg_are_sent_when_its_slot_goes(shield: Shield) -> None:
    slot = shield.add()
    slot.send(rtp(1))
    slot.send_report(report(word=9))
    lib.ot_shield_remove(shield.handle, slot.handle)
    assert slot.far.hear() == [rtp(1)]
    assert slot.far.reports() == [report(word=9)]


def test_slots_come_and_go_without_touching_each_other(shield: Shield) -> None:
    slots = [shield.add() for _ in range(5)]
    for index in (2, 0, 4):
        lib.ot_shield_remove(shield.handle, slots[index].handle)
    for index in (1, 3):
        slots[index].far.say(rtp(index))
    shield.step()
    assert slots[1].receive_all() == [rtp(1)]
    assert slots[3].receive_all() == [rtp(3)]


# -- the thread --------------------------------------------------------------------------------


def test_the_thread_lives_from_the_first_slot_to_the_last(shield: Shield) -> None:
    assert lib.ot_shield_start(shield.handle, 0) == 0
    assert lib.ot_shield_start(shield.handle, 0) == errno.EALREADY
    assert shield.read().running == 0
    slots = [shield.add(), shield.add()]
    assert shield.read().running == 1
    assert lib.ot_shield_step(shield.handle) == errno.EALREADY
    lib.ot_shield_remove(shield.handle, slots[1].handle)
    assert shield.read().running == 1
    lib.ot_shield_remove(shield.handle, slots[0].handle)
    assert shield.read().running == 0
    shield.add()
    assert shield.read().running == 1
    lib.ot_shield_stop(shield.handle)
    assert shield.read().running == 0
    assert lib.ot_shield_start(shield.handle, 0) == 0
    assert shield.read().running == 1


def test_the_thread_carries_packets_with_a_tick_and_without(shield: Shield) -> None:
    slot = shield.add()
    lib.ot_shield_start(shield.handle, 0)
    for sequence, ticking in enumerate((False, True, True, False)):
        slot.far.say(rtp(sequence))
        slot.send(rtp(sequence))
        came: bytes | None = None
        gone: list[bytes] = []
        deadline = time.monotonic() + DEADLINE_S
        while (came is None or not gone) and time.monotonic() < deadline:
            if ticking:
                lib.ot_shield_align(shield.handle, time.monotonic_ns() + 10_000_000)
            came = came or slot.receive()
            gone += slot.far.hear()
        assert came == rtp(sequence)
        assert gone == [rtp(sequence)]
    assert shield.read().turns > 0
