import dataclasses
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.errors import FirmwareFileError, SignatureError
from openturret.drivers.flash.image import HEADER_BYTES, SignedImage, TrustedKey
from openturret.drivers.flash.version import Version

from .conftest import KeyPair, Sign

PAYLOAD = bytes(range(40))


@pytest.fixture(scope="module")
def image(sign: Sign) -> bytes:
    return sign(PAYLOAD, "1.2.3+4")


def changed(data: bytes, offset: int, form: str, value: int) -> bytes:
    copy = bytearray(data)
    struct.pack_into(form, copy, offset, value)
    return bytes(copy)


def test_what_imgtool_signs_is_read_and_verified(image: bytes, pair: KeyPair) -> None:
    signed = SignedImage.parse(image)
    signed.verify([pair.trusted])
    assert signed.version == Version(1, 2, 3, 4)
    assert signed.data == image
    assert signed.key_hash == pair.trusted.fingerprint()


def test_sha_512_is_read_too(sign: Sign, pair: KeyPair) -> None:
    signed = SignedImage.parse(sign(PAYLOAD, "1.0.0", "--sha", "512"))
    signed.verify([pair.trusted])
    assert len(signed.digest) == 64
    assert signed.key_hash == pair.trusted.fingerprint("sha512")


def test_protected_tlvs_are_covered_by_the_signature(sign: Sign, pair: KeyPair) -> None:
    data = sign(PAYLOAD, "1.0.0", "--security-counter", "7")
    SignedImage.parse(data).verify([pair.trusted])
    counter = data.index(struct.pack("<HHI", 0x50, 4, 7))
    with pytest.raises(FirmwareFileError, match="hash is wrong"):
        SignedImage.parse(changed(data, counter + 4, "<I", 8))


def test_another_signer_is_refused_and_named(sign: Sign, stranger: KeyPair, pair: KeyPair) -> None:
    signed = SignedImage.parse(sign(PAYLOAD, key=stranger))
    theirs, ours = (each.trusted.fingerprint().hex()[:16] for each in (stranger, pair))
    with pytest.raises(SignatureError, match=f"signed by {theirs}, trusted is {ours}"):
        signed.verify([pair.trusted])
    signed.verify([pair.trusted, stranger.trusted])


def test_no_trusted_key_verifies_nothing(image: bytes) -> None:
    with pytest.raises(SignatureError, match="trusted is none"):
        SignedImage.parse(image).verify([])


def test_a_key_hash_alone_is_no_signature(image: bytes, stranger: KeyPair) -> None:
    signed = dataclasses.replace(SignedImage.parse(image), key_hash=stranger.trusted.fingerprint())
    with pytest.raises(SignatureError):
        signed.verify([stranger.trusted])


def test_an_image_cut_anywhere_is_refused(image: bytes) -> None:
    for length in range(len(image)):
        with pytest.raises(FirmwareFileError):
            SignedImage.parse(image[:length])


def test_a_file_cut_short_says_how_long_it_was(image: bytes) -> None:
    with pytest.raises(FirmwareFileError, match=f"60 bytes are there, the header says {32 + 40}"):
        SignedImage.parse(image[:60])


def test_a_flipped_bit_is_refused_or_was_no_part_of_what_runs(image: bytes, pair: KeyPair) -> None:
    whole = SignedImage.parse(image)
    for bit in range(len(image) * 8):
        damaged = bytearray(image)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            signed = SignedImage.parse(bytes(damaged))
            signed.verify([pair.trusted])
        except (FirmwareFileError, SignatureError):
            continue
        assert signed.digest == whole.digest, f"bit {bit}"


@given(st.binary(max_size=300))
def test_any_bytes_are_an_image_or_refused(data: bytes) -> None:
    with pytest.raises(FirmwareFileError):
        SignedImage.parse(data)


@given(st.data())
def test_any_sizes_in_the_header_are_refused(data: st.DataObject) -> None:
    sizes = data.draw(st.tuples(*[st.integers(0, 0xFFFF)] * 2, st.integers(0, 0xFFFFFFFF)))
    header = struct.pack("<IIHHII", 0x96F3B83D, 0, *sizes, 0) + bytes(12)
    body = data.draw(st.binary(max_size=200))
    with pytest.raises(FirmwareFileError):
        SignedImage.parse(header + body)


@pytest.mark.parametrize(
    ("flag", "word"), [(0x04, "encrypted"), (0x08, "encrypted"), (0x10, "not bootable")]
)
def test_what_cannot_be_checked_or_started_is_refused(image: bytes, flag: int, word: str) -> None:
    with pytest.raises(FirmwareFileError, match=word):
        SignedImage.parse(changed(image, 16, "<I", flag))


def test_a_padded_image_is_refused_as_a_file_and_found_in_a_slot(image: bytes) -> None:
    padded = image + b"\xff" * 100
    with pytest.raises(FirmwareFileError, match="without --pad"):
        SignedImage.parse(padded)
    assert SignedImage.parse_slot(padded) == SignedImage.parse(image)


def test_a_signature_over_the_image_itself_is_refused(sign: Sign) -> None:
    with pytest.raises(FirmwareFileError, match="--pure"):
        SignedImage.parse(sign(PAYLOAD, "1.0.0", "--pure"))


def test_an_unsigned_image_is_refused(image: bytes) -> None:
    tlvs = HEADER_BYTES + len(PAYLOAD)
    digest_only = image[tlvs + 4 : tlvs + 40]
    unsigned = image[:tlvs] + struct.pack("<HH", 0x6907, 40) + digest_only
    with pytest.raises(FirmwareFileError, match="signature is missing"):
        SignedImage.parse(unsigned)


def test_a_hash_that_stands_twice_is_refused(image: bytes) -> None:
    tlvs = HEADER_BYTES + len(PAYLOAD)
    digest = image[tlvs + 4 : tlvs + 40]
    doubled = image[:tlvs] + struct.pack("<HH", 0x6907, 76) + digest * 2
    with pytest.raises(FirmwareFileError, match="stands twice"):
        SignedImage.parse(doubled)


def test_only_ed25519_public_keys_are_trusted(
    pair: KeyPair, make_pair: Callable[..., KeyPair], tmp_path: Path
) -> None:
    with pytest.raises(SignatureError, match="private key"):
        TrustedKey.read(pair.private)
    with pytest.raises(SignatureError, match="not an Ed25519"):
        TrustedKey.read(make_pair("other-kind", "ecdsa-p256").public)
    with pytest.raises(SignatureError, match="cannot read"):
        TrustedKey.read(tmp_path / "missing.pem")
    (tmp_path / "text.pem").write_text("firmware")
    with pytest.raises(SignatureError, match="not a public key"):
        TrustedKey.read(tmp_path / "text.pem")
