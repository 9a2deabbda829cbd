"""SRTP and SRTCP, judged by a second implementation of the RFCs that knows nothing of libsrtp."""

import errno
import hashlib
import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openturret.c_ext._engine import ffi, lib

if TYPE_CHECKING:
    from openturret.c_ext._engine import SrtpHandle, SrtpPacket

SSRC = 0xDEADBEEF
NAMES = (
    "AEAD_AES_256_GCM",
    "AEAD_AES_128_GCM",
    "AES_CM_128_HMAC_SHA1_80",
    "AES_CM_128_HMAC_SHA1_32",
)
every_suite = pytest.mark.parametrize("name", NAMES)
KEY = bytes(range(1, 47))
LENGTH_AT = 4  # octets of ot_srtp_packet before its data
REPORT = struct.pack("!BBHI", 0x81, 201, 7, SSRC) + bytes(range(24))
DROPPED = {errno.EACCES, errno.EBADMSG, errno.EALREADY}


def rtp(sequence: int, ssrc: int = SSRC, payload: bytes = b"sound" * 8, first: int = 0x80) -> bytes:
    timestamp = 160 * sequence & 0xFFFFFFFF
    return struct.pack("!BBHII", first, 0, sequence & 0xFFFF, timestamp, ssrc) + payload


class Session:
    """One direction of one suite: octets in, octets out."""

    def __init__(self, name: str, direction: int, key: bytes = KEY) -> None:
        suite = lib.ot_srtp_find(name.encode())
        made = ffi.new("ot_srtp **")
        octets = lib.ot_srtp_key_octets(suite)
        assert lib.ot_srtp_create(made, suite, direction, key[:octets], octets) == 0
        self.handle = ffi.gc(made[0], lib.ot_srtp_destroy)

    def run(self, call: "Callable[[SrtpHandle, SrtpPacket], int]", data: bytes) -> bytes | int:
        """Returns what became of the packet, or the error."""
        packet = ffi.new("ot_srtp_packet *")
        ffi.buffer(packet)[LENGTH_AT : LENGTH_AT + len(data)] = data
        packet.octets = len(data)
        error = call(self.handle, packet)
        return error or bytes(ffi.buffer(packet)[LENGTH_AT : LENGTH_AT + packet.octets])

    def protect(self, data: bytes) -> bytes:
        done = self.run(lib.ot_srtp_protect, data)
        assert isinstance(done, bytes)
        return done

    def unprotect(self, data: bytes) -> bytes | int:
        return self.run(lib.ot_srtp_unprotect, data)

    def protect_report(self, data: bytes) -> bytes:
        done = self.run(lib.ot_srtp_protect_report, data)
        assert isinstance(done, bytes)
        return done

    def unprotect_report(self, data: bytes) -> bytes | int:
        return self.run(lib.ot_srtp_unprotect_report, data)


def pair(name: str) -> tuple[Session, Session]:
    return Session(name, lib.OT_SRTP_OUT), Session(name, lib.OT_SRTP_IN)


# -- a second implementation ---------------------------------------------------------------------


def keystream(key: bytes, start: bytes, octets: int) -> bytes:
    """AES in counter mode from a 16-octet block (RFC 3711 section 4.1.1)."""
    ciphers = pytest.importorskip("cryptography.hazmat.primitives.ciphers")
    cipher = ciphers.Cipher(ciphers.algorithms.AES(key), ciphers.modes.CTR(start))
    stream = cipher.encryptor().update(bytes(octets))
    assert isinstance(stream, bytes)
    return stream


def derive(master: bytes, salt: bytes, label: int, octets: int) -> bytes:
    """A session key (RFC 3711 section 4.3.3; RFC 7714 section 11 pads the short salt)."""
    start = int.from_bytes(salt.ljust(14, b"\0"), "big") ^ label << 48
    return keystream(master, (start << 16).to_bytes(16, "big"), octets)


def seal(key: bytes, vector: bytes, plain: bytes, aside: bytes) -> bytes:
    aead = pytest.importorskip("cryptography.hazmat.primitives.ciphers.aead")
    sealed = aead.AESGCM(key).encrypt(vector, plain, aside)
    assert isinstance(sealed, bytes)
    return sealed


def gcm_vector(salt: bytes, ssrc: int, index: int) -> bytes:
    """RFC 7714 sections 8.1 and 9.1; the index is ROC and sequence, or that of the report."""
    mixed = int.from_bytes(salt, "big") ^ (ssrc << 48 | index)
    return mixed.to_bytes(12, "big")


@dataclass(frozen=True, slots=True)
class Keys:
    cipher: bytes
    salt: bytes
    authentication: bytes

    @classmethod
    def of(cls, name: str, *, report: bool) -> "Keys":
        key_octets = 32 if "256" in name else 16
        master, rest = KEY[:key_octets], KEY[key_octets:]
        salt = rest[: 12 if "GCM" in name else 14]
        first = 3 if report else 0
        return cls(
            derive(master, salt, first, key_octets),
            derive(master, salt, first + 2, len(salt)),
            derive(master, salt, first + 1, 20),
        )

    def counter(self, ssrc: int, index: int) -> bytes:
        salt = int.from_bytes(self.salt, "big") << 16
        return (salt ^ ssrc << 64 ^ index << 16).to_bytes(16, "big")

    def encrypt(self, ssrc: int, index: int, plain: bytes) -> bytes:
        stream = keystream(self.cipher, self.counter(ssrc, index), len(plain))
        return bytes(a ^ b for a, b in zip(plain, stream, strict=True))

    def tag(self, data: bytes) -> bytes:
        return hmac.new(self.authentication, data, hashlib.sha1).digest()


def reference(name: str, packet: bytes, rollovers: int = 0) -> bytes:
    keys = Keys.of(name, report=False)
    header, plain = packet[:12], packet[12:]
    index = rollovers << 16 | int.from_bytes(packet[2:4], "big")
    if "GCM" in name:
        return header + seal(keys.cipher, gcm_vector(keys.salt, SSRC, index), plain, header)
    sealed = header + keys.encrypt(SSRC, index, plain)
    tag = keys.tag(sealed + rollovers.to_bytes(4, "big"))
    return sealed + tag[: 4 if name.endswith("32") else 10]


def reference_report(name: str, packet: bytes, index: int) -> bytes:
    keys = Keys.of(name, report=True)
    header, plain = packet[:8], packet[8:]
    trailer = (1 << 31 | index).to_bytes(4, "big")
    if "GCM" in name:
        vector = gcm_vector(keys.salt, SSRC, index)
        return header + seal(keys.cipher, vector, plain, header + trailer) + trailer
    sealed = header + keys.encrypt(SSRC, index, plain) + trailer
    return sealed + keys.tag(sealed)[:10]


def test_the_reference_derives_the_keys_of_rfc_3711_appendix_b3() -> None:
    master = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139")
    salt = bytes.fromhex("0EC675AD498AFEEBB6960B3AABE6")
    assert derive(master, salt, 0, 16).hex() == "c61e7a93744f39ee10734afe3ff7a087"
    assert derive(master, salt, 2, 14).hex() == "30cbbc08863d8c85d49db34a9ae1"
    assert derive(master, salt, 1, 16).hex() == "cebe321f6ff7716b6fd4ab49af256a15"


def test_the_reference_seals_the_packet_of_rfc_7714_section_16() -> None:
    header = bytes.fromhex("8040f17b8041f8d35501a0b2")
    plain = b"Gallia est omnis divisa in partes tres"
    vector = gcm_vector(bytes.fromhex("517569642070726f2071756f"), 0x5501A0B2, 0xF17B)
    assert vector.hex() == "51753c6580c2726f20718414"
    assert seal(bytes(range(16)), vector, plain, header).hex() == (
        "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833"
        "899d7f27beb16a9152cf765ee4390cce"
    )


@every_suite
def test_packets_are_protected_as_the_rfcs_say(name: str) -> None:
    out = Session(name, lib.OT_SRTP_OUT)
    for sequence in (1, 2, 700):
        assert out.protect(rtp(sequence)) == reference(name, rtp(sequence))


@every_suite
def test_reports_are_protected_as_the_rfcs_say(name: str) -> None:
    out = Session(name, lib.OT_SRTP_OUT)
    first = out.protect_report(REPORT)
    start = int.from_bytes(reference_index(first, name), "big") & 0x7FFFFFFF
    assert first == reference_report(name, REPORT, start)
    assert out.protect_report(REPORT) == reference_report(name, REPORT, start + 1)


def reference_index(protected: bytes, name: str) -> bytes:
    """The index behind a report: last under GCM, else before the tag."""
    return protected[-4:] if "GCM" in name else protected[-14:-10]


@every_suite
def test_what_the_reference_protects_is_unprotected(name: str) -> None:
    into = Session(name, lib.OT_SRTP_IN)
    assert into.unprotect(reference(name, rtp(5))) == rtp(5)
    assert into.unprotect_report(reference_report(name, REPORT, 1)) == REPORT


@every_suite
def test_the_rollover_counter_follows_wraps_and_losses(name: str) -> None:
    out, into = pair(name)
    for sequence in (65000, 65535, 65536, 65540, 90000, 120000, 131071, 131073):
        protected = out.protect(rtp(sequence))
        assert protected == reference(name, rtp(sequence), sequence >> 16)
        assert into.unprotect(protected) == rtp(sequence)


# -- what is refused -----------------------------------------------------------------------------


@every_suite
def test_one_changed_bit_anywhere_is_never_taken_for_a_packet(name: str) -> None:
    out, into = pair(name)
    whole = out.protect(rtp(7))
    for at in range(len(whole) * 8):
        tampered = bytearray(whole)
        tampered[at // 8] ^= 1 << at % 8
        refused = into.unprotect(bytes(tampered))
        assert refused == errno.EACCES or (at < 8 and refused == errno.EBADMSG), at
    assert into.unprotect(whole) == rtp(7)


@every_suite
def test_one_changed_bit_anywhere_is_never_taken_for_a_report(name: str) -> None:
    out, into = pair(name)
    whole = out.protect_report(REPORT)
    for at in range(len(whole) * 8):
        tampered = bytearray(whole)
        tampered[at // 8] ^= 1 << at % 8
        assert into.unprotect_report(bytes(tampered)) in DROPPED, at
    assert into.unprotect_report(whole) == REPORT


@every_suite
def test_a_packet_cut_at_any_length_is_refused(name: str) -> None:
    out, into = pair(name)
    packet, report = out.protect(rtp(7)), out.protect_report(REPORT)
    for length in range(len(packet)):
        assert into.unprotect(packet[:length]) in DROPPED
    for length in range(len(report)):
        assert into.unprotect_report(report[:length]) in DROPPED
    assert into.unprotect(packet) == rtp(7)


@every_suite
def test_what_is_no_packet_at_all_is_malformed(name: str) -> None:
    into = Session(name, lib.OT_SRTP_IN)
    assert into.unprotect(b"") == errno.EBADMSG
    assert into.unprotect(bytes(40)) == errno.EBADMSG
    assert into.unprotect(rtp(1, first=0x8F, payload=bytes(30))) == errno.EBADMSG
    assert into.unprotect(rtp(1, first=0x90, payload=b"\xff" * 40)) == errno.EBADMSG
    assert into.unprotect_report(bytes(60)) == errno.EBADMSG


@every_suite
def test_a_replay_is_known_among_losses_and_disorder(name: str) -> None:
    out, into = pair(name)
    protected = {i: out.protect(rtp(i)) for i in range(100, 100 + lib.OT_SRTP_WINDOW + 2)}
    for sequence in (100, 103, 101, 200):
        assert into.unprotect(protected[sequence]) == rtp(sequence)
        assert into.unprotect(protected[sequence]) == errno.EALREADY
    newest = 100 + lib.OT_SRTP_WINDOW + 1
    assert into.unprotect(protected[newest]) == rtp(newest)
    assert into.unprotect(protected[200]) == errno.EALREADY
    assert into.unprotect(protected[newest - 128]) == rtp(newest - 128)
    assert into.unprotect(protected[100]) == errno.EALREADY, "too old to tell"


@every_suite
def test_a_replayed_report_is_known(name: str) -> None:
    out, into = pair(name)
    protected = out.protect_report(REPORT)
    assert into.unprotect_report(protected) == REPORT
    assert into.unprotect_report(protected) == errno.EALREADY


@every_suite
def test_another_key_or_another_salt_opens_nothing(name: str) -> None:
    protected = Session(name, lib.OT_SRTP_OUT).protect(rtp(7))
    octets = lib.ot_srtp_key_octets(lib.ot_srtp_find(name.encode()))
    for at in (0, octets - 1):
        key = bytearray(KEY)
        key[at] ^= 1
        assert Session(name, lib.OT_SRTP_IN, bytes(key)).unprotect(protected) == errno.EACCES


def test_a_suite_does_not_open_another() -> None:
    for name in NAMES:
        protected = Session(name, lib.OT_SRTP_OUT).protect(rtp(7))
        for other in set(NAMES) - {name}:
            assert Session(other, lib.OT_SRTP_IN).unprotect(protected) == errno.EACCES


@every_suite
def test_the_far_end_may_change_its_ssrc_but_not_without_end(name: str) -> None:
    into = Session(name, lib.OT_SRTP_IN)
    sent = {}
    for ssrc in range(lib.OT_SRTP_SOURCES_MAX + 1):
        sent[ssrc] = Session(name, lib.OT_SRTP_OUT).protect(rtp(1, ssrc))
    for ssrc in range(lib.OT_SRTP_SOURCES_MAX):
        assert into.unprotect(sent[ssrc]) == rtp(1, ssrc)
    assert into.unprotect(sent[lib.OT_SRTP_SOURCES_MAX]) == errno.ENOSPC
    assert into.unprotect(sent[0]) == errno.EALREADY, "the first is still remembered"


def test_strangers_without_the_key_use_up_no_sources() -> None:
    out, into = pair(NAMES[0])
    for ssrc in range(2 * lib.OT_SRTP_SOURCES_MAX):
        assert into.unprotect(rtp(1, ssrc)) == errno.EACCES
    assert into.unprotect(out.protect(rtp(1))) == rtp(1)


@every_suite
def test_our_own_ssrc_may_change_too(name: str) -> None:
    out, into = pair(name)
    for ssrc in (1, 2):
        assert into.unprotect(out.protect(rtp(9, ssrc))) == rtp(9, ssrc)


@every_suite
def test_a_packet_of_the_greatest_length_fits_and_one_more_does_not(name: str) -> None:
    out, into = pair(name)
    greatest = rtp(1, payload=bytes(lib.OT_SRTP_PLAIN_MAX - 12))
    assert into.unprotect(out.protect(greatest)) == greatest
    longer = rtp(2, payload=bytes(lib.OT_SRTP_PLAIN_MAX - 11))
    assert out.run(lib.ot_srtp_protect, longer) == errno.EMSGSIZE
    trailer = len(reference(name, rtp(1))) - len(rtp(1))
    assert into.unprotect(longer + bytes(trailer)) == errno.EMSGSIZE


def test_a_session_has_one_direction() -> None:
    out, into = pair(NAMES[0])
    assert out.unprotect(rtp(1)) == errno.EPERM
    assert into.run(lib.ot_srtp_protect, rtp(1)) == errno.EPERM


def test_names_of_sdes_give_suites_with_keys_of_their_length() -> None:
    octets = [lib.ot_srtp_key_octets(lib.ot_srtp_find(name.encode())) for name in NAMES]
    assert octets == [44, 28, 30, 30]
    assert lib.ot_srtp_find(b"F8_128_HMAC_SHA1_80") == 0
    assert lib.ot_srtp_key_octets(0) == 0


@every_suite
def test_a_key_of_another_length_is_refused(name: str) -> None:
    suite = lib.ot_srtp_find(name.encode())
    made = ffi.new("ot_srtp **")
    octets = lib.ot_srtp_key_octets(suite)
    for wrong in (0, octets - 1, octets + 1):
        assert lib.ot_srtp_create(made, suite, lib.OT_SRTP_IN, KEY, wrong) == errno.EINVAL
    assert lib.ot_srtp_create(made, suite, 2, KEY, octets) == errno.EINVAL
    assert lib.ot_srtp_create(made, 99, lib.OT_SRTP_IN, KEY, octets) == errno.EINVAL


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(NAMES))
def test_no_octets_of_chance_are_taken(data: bytes, name: str) -> None:
    into = Session(name, lib.OT_SRTP_IN)
    assert into.unprotect(data) in {errno.EACCES, errno.EBADMSG}
    assert into.unprotect_report(data) in DROPPED


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 3000), st.binary(max_size=200)), min_size=1, max_size=8),
    st.sampled_from(NAMES),
)
def test_what_is_protected_comes_back(steps: list[tuple[int, bytes]], name: str) -> None:
    out, into = pair(name)
    sequence = 0
    for step, payload in steps:
        sequence += step
        packet = rtp(sequence, payload=payload)
        assert into.unprotect(out.protect(packet)) == packet
