"""What a unit reads from a medium or a server, damaged in every way: an error, or a value."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.boot.errors import DocumentError, EnrolmentError, SlotError, VaultError
from openturret.boot.fetch.tss import parse_hint
from openturret.boot.lan.lease import Lease
from openturret.boot.lan.static import parse_static
from openturret.boot.slots.manager import Manifest
from openturret.boot.slots.record import Installed, Record, Trial
from openturret.boot.trusted.est import parse_certificates
from openturret.boot.trusted.vouchers import Voucher
from openturret.boot.users.lockout import parse_counts
from openturret.boot.users.offline import Secret, Verifier
from openturret.hal.errors import WireError

_LEASE = Lease(IPv4Address("10.1.0.7"), 24, IPv4Address("10.1.0.2"), 1.5e9, 3600, 1800, 3150)
_RECORD = Record({"a": Installed("1.2.3", "ab" * 32)}, "a", Trial("a", starts=2))
_COUNT = {"failures": 3, "lock_s": 60, "end": 1.5e9}


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of file: a good one, who reads it, and what it may say of a bad one."""

    good: bytes
    parse: Callable[[bytes], object]
    errors: tuple[type[Exception], ...]

    def check(self, data: bytes) -> None:
        try:
            self.parse(data)
        except self.errors:
            return


JSON = {
    "lease": Kind(json.dumps(_LEASE.as_json()).encode(), Lease.from_json,
                  (ValueError, TypeError, KeyError, OverflowError)),
    "record": Kind(bytes(_RECORD), Record.parse, (WireError,)),
    "verifier": Kind(bytes(Verifier("A", 1.5e9, Secret(b"s", b"d"))), Verifier.parse,
                     (VaultError,)),
    "counts": Kind(json.dumps({"unit": _COUNT, "users": {"alice": _COUNT}}).encode(),
                   lambda data: parse_counts(data, 0.0, 0.0), (ValueError,)),
    "voucher": Kind(bytes(Voucher("a/b.yaml", (b"{}", b"{}"))), Voucher.parse, (ValueError,)),
}  # fmt: skip
YAML = {
    "manifest": Kind(b"version: 1.2.3\nfile: a.whl\nsha256: " + b"ab" * 32 + b"\n", Manifest.parse,
                     (DocumentError, SlotError)),
    "hint": Kind(b"tss.servers: [tss1.example, tss2.example]\n", parse_hint, (DocumentError,)),
    "static": Kind(b"network.address: 10.1.0.7/24\nnetwork.router: 10.1.0.1\n",
                   lambda data: parse_static(data, 0.0), (DocumentError,)),
}  # fmt: skip
ALL = {**JSON, **YAML}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
    | st.sampled_from([10**400, -1, "1e999", "\ud800", "10.1.0.7", "\0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner,
                                                                max_size=3),
    max_leaves=6,
)  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_a_good_one_is_read(name: str) -> None:
    ALL[name].parse(ALL[name].good)


@pytest.mark.parametrize("name", JSON)
def test_one_that_is_cut_anywhere_is_an_error(name: str) -> None:
    kind = JSON[name]
    good = kind.good.strip()
    for length in range(len(good)):
        with pytest.raises(kind.errors):
            kind.parse(good[:length])


@pytest.mark.parametrize("name", YAML)
def test_a_document_that_is_cut_anywhere_is_an_error_or_a_shorter_document(name: str) -> None:
    for length in range(len(YAML[name].good)):
        YAML[name].check(YAML[name].good[:length])


@pytest.mark.parametrize("name", ALL)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_an_error(name: str, data: bytes) -> None:
    ALL[name].check(data)


@pytest.mark.parametrize("name", JSON)
@given(st.data())
def test_any_value_in_any_place_is_read_or_an_error(name: str, data: st.DataObject) -> None:
    content = json.loads(JSON[name].good)
    holder = content
    while True:
        key = data.draw(st.sampled_from(sorted(holder)))
        if not isinstance(holder[key], dict) or not holder[key] or data.draw(st.booleans()):
            break
        holder = holder[key]
    holder[key] = data.draw(anything)
    JSON[name].check(json.dumps(content).encode())


@pytest.mark.parametrize("name", JSON)
@pytest.mark.parametrize("tower", [b"[" * 50_000, b'{"a":' * 50_000])
def test_a_tower_of_brackets_is_an_error(name: str, tower: bytes) -> None:
    with pytest.raises(JSON[name].errors):
        JSON[name].parse(tower)


@pytest.mark.parametrize("name", YAML)
@given(st.lists(st.sampled_from(
    [b"version", b"file", b"sha256", b"tss.servers", b"network.address", b": ", b"[", b"]", b"{",
     b"}", b"- ", b"\n", b" ", b"&a ", b"*a", b"!!float ", b"2001-99-99", b"1e999", b"0x", b"~",
     b"'", b'"', b"? ", b"|", b"10.1.0.7/24", b"\xff", b"\0", b"%YAML 9.9\n", b"---\n"]
), max_size=12).map(b"".join))  # fmt: skip
def test_any_words_of_yaml_are_read_or_an_error(name: str, data: bytes) -> None:
    YAML[name].check(data)


@given(st.binary(max_size=100))
def test_any_bytes_are_certificates_or_an_error(data: bytes) -> None:
    try:
        parse_certificates(base64.encodebytes(data))
    except EnrolmentError:
        return


@pytest.mark.parametrize("kind", ["06092a864886f70d010701", "06092a864886f70d010703", "060101"])
def test_pkcs7_of_another_kind_is_an_error(kind: str) -> None:
    content = bytes.fromhex(kind)
    with pytest.raises(EnrolmentError, match="PKCS#7"):
        parse_certificates(base64.encodebytes(b"\x30" + bytes([len(content)]) + content))
