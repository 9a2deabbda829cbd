"""Files that a unit keeps for itself: a damaged one is an error that is expected, or is nothing."""

import json
import math
from ipaddress import IPv4Address

from openturret.boot.errors import VaultError
from openturret.boot.events import read_events
from openturret.boot.fetch.known import KnownServers
from openturret.boot.fetch.transport import Server
from openturret.boot.fetch.tss import HintStore
from openturret.boot.lan.lease import Lease, LeaseStore
from openturret.boot.slots.record import Installed, Record, Trial
from openturret.boot.trusted.vouchers import Voucher
from openturret.boot.users.lockout import parse_counts
from openturret.boot.users.offline import Secret, Verifier
from openturret.hal.errors import WireError

from ..data import memory_folder, tolerate

ERRORS = (VaultError, WireError, ValueError)
_FILE = memory_folder() / "file"
_LEASE = Lease(IPv4Address("10.1.0.7"), 24, IPv4Address("10.1.0.2"), 1.5e9, 3600, 1800, 3150)


def seeds() -> list[bytes]:
    installed = Installed("1.2.3", "ab" * 32, "cd" * 32)
    record = Record({"a": installed, "b": installed}, "a", Trial("b", starts=2))
    KnownServers(_FILE).save([Server("tss1", IPv4Address("10.1.0.2"))], _LEASE)
    count = {"failures": 3, "lock_s": 60, "end": 1.5e9}
    return [
        json.dumps(_LEASE.as_json()).encode(),
        bytes(record),
        _FILE.read_bytes(),
        json.dumps({"unit": count, "users": {"alice": count}}).encode(),
        bytes(Verifier("Alice", 1.5e9, Secret(b"salt", b"digest"))),
        bytes(Voucher("units/unit/config.yaml", (b'{"signed":{}}',))),
        b'["tss1.turret.example"]',
        json.dumps(_LEASE.as_json()).replace("3600", "Infinity").encode(),
        json.dumps({"unit": {**count, "failures": 10**400}, "users": {}}).encode(),
        b'{"servers":' + b"[" * 1500,
        b'{"time":"2026-01-01T00:00:00Z","event":"stage"}\n{"time"',
    ]


def run(data: bytes) -> None:
    _FILE.write_bytes(data)
    LeaseStore(_FILE).load()
    KnownServers(_FILE).load(_LEASE)
    HintStore(_FILE).load()
    list(read_events(_FILE))
    tolerate(
        ERRORS,
        lambda: Record.parse(data),
        lambda: Verifier.parse(data),
        lambda: Voucher.parse(data),
        lambda: _counts(data),
    )


def _counts(data: bytes) -> None:
    unit, users = parse_counts(data, 0.0, 100.0)
    for count in (unit, *users.values()):
        if not 0 <= count.wait_s(100.0) <= count.lock_s or not math.isfinite(count.end):
            raise AssertionError(f"{count} locks for longer than it was made")
