"""Repositories that want a unit to take what nobody should: every attack of the TUF specification.

A unit has accepted version 2 of a repository.  Then the repository is attacked, with and without
stolen keys.  Whatever comes, the unit says what is wrong and what to do, keeps what it has, and
takes the next good publication.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import CryptoSigner

from openturret.boot.errors import NoSuchFileError, TransportError, TrustError
from openturret.boot.trusted.trust import TrustStore

CONFIG = "units/02-54-50-00-00-01/config.yaml"
ROLES = ("root", "timestamp", "snapshot", "targets")
NOW = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
DAY_S = 86_400.0

Json: TypeAlias = dict[str, Any]


@dataclass
class Repository:
    """A TUF repository that signs whatever it is told, right or wrong."""

    files: dict[str, bytes] = field(default_factory=dict)
    keys: dict[str, list[CryptoSigner]] = field(
        default_factory=lambda: {role: [CryptoSigner.generate_ed25519()] for role in ROLES}
    )
    threshold: int = 1
    root_version: int = 0
    version: int = 0
    hashes: bool = True

    def publish_root(self, **changes: object) -> Json:
        self.root_version += 1
        names = {
            role: {
                "keyids": [key.public_key.keyid for key in keys],
                "threshold": self.threshold if role == "targets" else 1,
            }
            for role, keys in self.keys.items()
        }
        keys = {
            key.public_key.keyid: key.public_key.to_dict()
            for signers in self.keys.values()
            for key in signers
        }
        signed = self.head("root", self.root_version, 365) | {
            "consistent_snapshot": True, "keys": keys, "roles": names, **changes,
        }  # fmt: skip
        self.files[f"metadata/{self.root_version}.root.json"] = self.sign("root", signed)
        return signed

    def publish(self, content: bytes | None = None, **changes: Json) -> None:
        """Publishes one configuration, one version higher; ``changes`` say what is different."""
        self.version += 1
        number = self.version
        content = content or f"application.config.version: {number}\n".encode()
        targets = self.head("targets", number) | {"targets": {CONFIG: describe(content)}}
        self.files[target_path(content)] = content
        signed = self.put("targets", targets | changes.get("targets", {}))
        snapshot = self.head("snapshot", number) | {
            "meta": {"targets.json": self.meta(signed, number)}
        }
        signed = self.put("snapshot", snapshot | changes.get("snapshot", {}))
        timestamp = self.head("timestamp", number) | {
            "meta": {"snapshot.json": self.meta(signed, number)}
        }
        self.put("timestamp", timestamp | changes.get("timestamp", {}))

    def put(self, role: str, signed: Json, *keys: CryptoSigner) -> bytes:
        name = "timestamp.json" if role == "timestamp" else f"{self.version}.{role}.json"
        self.files[f"metadata/{name}"] = data = self.sign(role, signed, *keys)
        return data

    def sign(self, role: str, signed: Json, *keys: CryptoSigner) -> bytes:
        body = str(encode_canonical(signed)).encode()
        signatures = [key.sign(body).to_dict() for key in keys or self.keys[role]]
        return json.dumps({"signed": signed, "signatures": signatures}).encode()

    def meta(self, data: bytes, version: int) -> Json:
        return {"version": version} | (describe(data) if self.hashes else {})

    def signed(self, name: str) -> Json:
        signed: Json = json.loads(self.files[f"metadata/{name}"])["signed"]
        return signed

    @staticmethod
    def head(role: str, version: int, days: int = 30) -> Json:
        expires = datetime.fromtimestamp(NOW, UTC) + timedelta(days=days)
        return {
            "_type": role,
            "spec_version": "1.0.31",
            "version": version,
            "expires": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    # ------------------------------------------------------------ as a transport

    def fetch(self, path: str, *, offset: int = 0) -> Iterator[bytes]:
        if path not in self.files:
            raise NoSuchFileError("550 no such file", "publish it", server="tss1", file=path)
        yield self.files[path][offset:]


def describe(content: bytes) -> Json:
    return {"length": len(content), "hashes": {"sha256": hashlib.sha256(content).hexdigest()}}


def target_path(content: bytes) -> str:
    folder, _, name = CONFIG.rpartition("/")
    return f"targets/{folder}/{hashlib.sha256(content).hexdigest()}.{name}"


@dataclass
class FixedClock:
    """A wall clock that the test sets."""

    now: float = NOW

    def monotonic(self) -> float:
        return self.now

    def unix(self) -> float:
        return self.now


@dataclass
class Unit:
    """A unit with the repository's first root."""

    store: TrustStore
    folder: Path
    clock: FixedClock

    def read(self, files: object, target: str = CONFIG) -> bytes:
        return self.store.refresh(files).must_fetch(target).read_bytes()  # type: ignore[arg-type]

    def kept(self) -> Mapping[str, bytes]:
        """Everything that decides what is accepted from now on."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in self.folder.rglob("*.json")
        }


@pytest.fixture
def repository() -> Repository:
    made = Repository()
    made.publish_root()
    made.publish()
    return made


@pytest.fixture
def unit(tmp_path: Path, repository: Repository) -> Unit:
    clock = FixedClock()
    root = repository.files["metadata/1.root.json"]
    unit = Unit(TrustStore(tmp_path / "trust", root, clock), tmp_path / "trust", clock)
    repository.publish()
    unit.read(repository)
    return unit


def refuses(unit: Unit, files: object, words: str) -> TrustError:
    """The unit refuses what is served, says why and what to do, and keeps what it has."""
    before = unit.kept()
    with pytest.raises(TrustError, match=words) as caught:
        unit.read(files)
    assert caught.value.remedy
    assert unit.kept() == before
    return caught.value


def recovers(unit: Unit, repository: Repository) -> None:
    """The next good publication is taken."""
    repository.publish()
    assert unit.read(repository) == f"application.config.version: {repository.version}\n".encode()


Attack: TypeAlias = Callable[[Repository], object]


def old_timestamp(repository: Repository) -> None:
    repository.put("timestamp", repository.signed("timestamp.json") | {"version": 1})


def old_snapshot(repository: Repository) -> None:
    data = repository.files["metadata/1.snapshot.json"]
    repository.publish(timestamp={"meta": {"snapshot.json": repository.meta(data, 1)}})


def old_targets(repository: Repository) -> None:
    data = repository.files["metadata/1.targets.json"]
    repository.publish(snapshot={"meta": {"targets.json": repository.meta(data, 1)}})


def targets_gone_from_snapshot(repository: Repository) -> None:
    repository.publish(snapshot={"meta": {}})


def old_root_again(repository: Repository) -> None:
    repository.files["metadata/2.root.json"] = repository.files["metadata/1.root.json"]


def root_that_skips_a_version(repository: Repository) -> None:
    root = repository.signed("1.root.json") | {"version": 3}
    repository.files["metadata/2.root.json"] = repository.sign("root", root)


@pytest.mark.parametrize(
    "attack",
    [
        old_timestamp, old_snapshot, old_targets, old_root_again, root_that_skips_a_version,
    ],
)  # fmt: skip
def test_nothing_older_is_taken(unit: Unit, repository: Repository, attack: Attack) -> None:
    good = dict(repository.files)
    attack(repository)
    refuses(unit, repository, "older than the last accepted")
    repository.files = good
    recovers(unit, repository)


def test_a_role_does_not_disappear(unit: Unit, repository: Repository) -> None:
    targets_gone_from_snapshot(repository)
    refuses(unit, repository, r"missing info for 'targets.json'")


@pytest.mark.parametrize("role", ["root", "timestamp", "snapshot", "targets"])
def test_a_repository_that_stands_still_is_noticed(
    unit: Unit, repository: Repository, role: str
) -> None:
    long = Repository.head(role, 3, 3000)["expires"]
    others: Any = {name: {"expires": long} for name in ROLES[1:] if name != role}
    if role != "root":
        repository.publish_root(expires=long)
    repository.publish(**others)
    unit.clock.now = NOW + (400 if role == "root" else 31) * DAY_S
    error = refuses_after_root(unit, repository, "expired")
    assert "2026-07-02" in str(error) or "2027-07-06" in str(error), "the unit's own time"
    assert "clock" in error.remedy


def refuses_after_root(unit: Unit, repository: Repository, words: str) -> TrustError:
    """Like ``refuses``; a new root is kept at once, because it was checked completely."""
    with pytest.raises(TrustError, match=words):
        unit.read(repository)
    return refuses(unit, repository, words)


def test_a_clock_that_is_set_back_revives_nothing(unit: Unit, repository: Repository) -> None:
    unit.clock.now = NOW + 29 * DAY_S
    unit.read(repository)
    repository.publish(timestamp={"expires": "2026-06-15T00:00:00Z"})
    unit.clock.now = NOW
    refuses(unit, repository, "expired")


# ------------------------------------------------------------ parts of different versions


def another_snapshot(repository: Repository) -> None:
    repository.publish()
    repository.put(
        "snapshot", repository.signed("3.snapshot.json") | {"expires": "2026-06-20T00:00:00Z"}
    )


def another_targets(repository: Repository) -> None:
    repository.publish()
    forged = {"targets": {CONFIG: describe(b"application.config.version: 9\n")}}
    repository.put("targets", repository.signed("3.targets.json") | forged)


def earlier_snapshot_under_the_new_name(repository: Repository) -> None:
    repository.publish()
    repository.files["metadata/3.snapshot.json"] = repository.files["metadata/2.snapshot.json"]


def earlier_targets_under_the_new_name(repository: Repository) -> None:
    repository.publish()
    repository.files["metadata/3.targets.json"] = repository.files["metadata/2.targets.json"]


@pytest.mark.parametrize("hashes", [True, False])
@pytest.mark.parametrize(
    "attack", [earlier_snapshot_under_the_new_name, earlier_targets_under_the_new_name]
)
def test_parts_of_different_versions_do_not_mix(
    unit: Unit, repository: Repository, attack: Attack, hashes: bool
) -> None:
    repository.hashes = hashes
    attack(repository)
    refuses(unit, repository, "not the signed content" if hashes else "older than the last")
    recovers(unit, repository)


@pytest.mark.parametrize("attack", [another_snapshot, another_targets])
def test_two_files_of_one_version_do_not_mix(
    unit: Unit, repository: Repository, attack: Attack
) -> None:
    attack(repository)
    refuses(unit, repository, "not the signed content")
    recovers(unit, repository)


@pytest.mark.parametrize(
    "content",
    [b"", b"application.config.version: 9\n", b"application.config.version: 3\n#", b"a" * 9999],
)
def test_content_that_was_not_signed_is_not_taken(
    unit: Unit, repository: Repository, content: bytes
) -> None:
    repository.publish()
    repository.files[target_path(b"application.config.version: 3\n")] = content
    with pytest.raises(TrustError, match="not the signed content"):
        unit.read(repository)
    assert b"9" not in b"".join(path.read_bytes() for path in (unit.folder / "targets").iterdir())
    recovers(unit, repository)


# ------------------------------------------------------------ signatures


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
@pytest.mark.parametrize("signer", ["nobody", "stranger", "other role"])
def test_the_right_keys_have_to_sign(
    unit: Unit, repository: Repository, role: str, signer: str
) -> None:
    repository.hashes = False
    repository.publish()
    name = "timestamp.json" if role == "timestamp" else f"3.{role}.json"
    signed = repository.signed(name)
    other = {"timestamp": "targets", "snapshot": "timestamp", "targets": "snapshot"}[role]
    key = CryptoSigner.generate_ed25519() if signer == "stranger" else repository.keys[other][0]
    repository.put(role, signed, key)
    if signer == "nobody":
        data = json.loads(repository.files[f"metadata/{name}"]) | {"signatures": []}
        repository.files[f"metadata/{name}"] = json.dumps(data).encode()
    refuses(unit, repository, "the signature is wrong")
    recovers(unit, repository)


@pytest.mark.parametrize("signers", ["old only", "new only"])
def test_a_root_needs_the_old_keys_and_the_new_ones(
    unit: Unit, repository: Repository, signers: str
) -> None:
    good = dict(repository.files)
    old, new = repository.keys["root"], [CryptoSigner.generate_ed25519()]
    repository.keys["root"] = new
    signed = repository.publish_root()
    keys = old if signers == "old only" else new
    repository.files["metadata/2.root.json"] = repository.sign("root", signed, *keys)
    refuses(unit, repository, "the signature is wrong")
    repository.files = good
    recovers(unit, repository)


def two_of_three(repository: Repository, *counted: int) -> None:
    repository.keys["targets"] = [CryptoSigner.generate_ed25519() for _ in range(3)]
    repository.threshold = 2
    root = repository.publish_root()
    repository.files["metadata/2.root.json"] = repository.sign("root", root)
    repository.hashes = False
    repository.publish()
    keys = [repository.keys["targets"][number] for number in counted]
    repository.put("targets", repository.signed("3.targets.json"), *keys)


def test_a_threshold_that_is_reached_is_enough(unit: Unit, repository: Repository) -> None:
    two_of_three(repository, 0, 2)
    assert unit.read(repository) == b"application.config.version: 3\n"


@pytest.mark.parametrize(
    ("counted", "words"), [((1,), "the signature is wrong"), ((1, 1), "not acceptable")]
)
def test_one_key_does_not_sign_for_two(
    unit: Unit, repository: Repository, counted: tuple[int, ...], words: str
) -> None:
    two_of_three(repository, *counted)
    refuses_after_root(unit, repository, words)


def test_a_key_of_an_unknown_kind_is_none(unit: Unit, repository: Repository) -> None:
    good = dict(repository.files)
    root = repository.publish_root()
    key = next(iter(root["keys"].values()))
    key["keytype"], key["scheme"] = "quantum", "entangled"
    repository.files["metadata/2.root.json"] = repository.sign("root", root)
    refuses(unit, repository, r"2\.root\.json: not acceptable")
    repository.files = good
    recovers(unit, repository)


# ------------------------------------------------------------ stolen keys


def test_the_timestamp_key_alone_names_nothing_new(unit: Unit, repository: Repository) -> None:
    """And what was refused counts for nothing: the next good version need not be higher."""
    good = dict(repository.files)
    mine = Repository(keys={**repository.keys, "snapshot": [CryptoSigner.generate_ed25519()],
                            "targets": [CryptoSigner.generate_ed25519()]}, version=999)  # fmt: skip
    mine.publish(b"application.config.version: 1000\n")
    refuses(unit, mine, "the signature is wrong")
    repository.files = good
    recovers(unit, repository)


def test_the_keys_of_timestamp_and_snapshot_sign_no_content(
    unit: Unit, repository: Repository
) -> None:
    mine = Repository(
        keys={**repository.keys, "targets": [CryptoSigner.generate_ed25519()]}, version=999
    )
    mine.publish(b"application.config.version: 1000\n")
    refuses(unit, mine, "the signature is wrong")
    recovers(unit, repository)


def test_a_new_timestamp_key_ends_a_version_that_nobody_can_exceed(
    unit: Unit, repository: Repository
) -> None:
    """Fast-forward attack: the stolen key has signed the highest version of all."""
    repository.put("timestamp", repository.signed("timestamp.json") | {"version": 2**63})
    unit.read(repository)
    repository.publish()
    refuses(unit, repository, "older than the last accepted")
    repository.keys["timestamp"] = [CryptoSigner.generate_ed25519()]
    repository.publish_root()
    recovers(unit, repository)


# ------------------------------------------------------------ too much


@dataclass
class Endless:
    """Sends one file without end, the others as they are."""

    repository: Repository
    name: str
    sent: int = 0

    def fetch(self, path: str, *, offset: int = 0) -> Iterator[bytes]:
        if not path.endswith(self.name):
            yield from self.repository.fetch(path, offset=offset)
            return
        while True:
            self.sent += 65_536
            yield b" " * 65_536


@pytest.mark.parametrize("hashes", [True, False])
@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("2.root.json", 65_536), ("timestamp.json", 16_384), ("3.snapshot.json", 262_144),
        ("3.targets.json", 1_048_576), (".config.yaml", 30),
    ],
)  # fmt: skip
def test_endless_files_end_at_a_bound(
    unit: Unit, repository: Repository, name: str, limit: int, hashes: bool
) -> None:
    repository.hashes = hashes
    repository.publish()
    endless = Endless(repository, name)
    with pytest.raises(TrustError, match=r"not the signed content .*longer than"):
        unit.read(endless)
    assert endless.sent <= limit + 65_536
    recovers(unit, repository)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 16_000, b'{"signed":' * 1_500,
        b'{"signed": {}, "signatures": []}', b"9" * 16_000, b"NaN", b'"\\ud800"',
    ],
    ids=range(11),
)  # fmt: skip
@pytest.mark.parametrize(
    "name", ["2.root.json", "timestamp.json", "3.snapshot.json", "3.targets.json"]
)
def test_nonsense_is_refused(
    unit: Unit, repository: Repository, name: str, nonsense: bytes
) -> None:
    repository.hashes = False
    repository.publish()
    good = dict(repository.files)
    repository.files[f"metadata/{name}"] = nonsense
    error = refuses(unit, repository, "not acceptable")
    assert name in str(error)
    assert len(str(error)) < 2_000
    repository.files = good
    recovers(unit, repository)


def test_more_keys_or_targets_than_fit_are_refused(unit: Unit, repository: Repository) -> None:
    many = {f"units/{number}/config.yaml": describe(b"") for number in range(10_000)}
    repository.hashes = False
    repository.publish(targets={"targets": many})
    refuses(unit, repository, "longer than")
    repository.keys["timestamp"] = [CryptoSigner.generate_ed25519() for _ in range(600)]
    repository.publish_root()
    refuses(unit, repository, "longer than")


def test_roots_without_end_do_not_keep_a_unit_busy(unit: Unit, repository: Repository) -> None:
    class Chain(Repository):
        asked = 0

        def fetch(self, path: str, *, offset: int = 0) -> Iterator[bytes]:
            if path.endswith(".root.json"):
                self.asked += 1
                self.publish_root()
            return super().fetch(path, offset=offset)

    chain = Chain(dict(repository.files), repository.keys, root_version=1, version=2)
    unit.read(chain)
    assert chain.asked == 256


# ------------------------------------------------------------ signed nonsense

WRONG: tuple[object, ...] = (None, True, -1, 0, 2**70, "", "x" * 300, [], [[]], {}, {"": {}})


def leaves(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the way to everything in some JSON."""
    yield path
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        yield from leaves(inner, (*path, key))


def changed(signed: Json, path: tuple[Any, ...], value: object) -> Any:  # noqa: ANN401
    if not path:
        return value
    copy = deepcopy(signed)
    inner: Any = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return copy


@pytest.mark.parametrize("name", ["timestamp.json", "3.snapshot.json", "3.targets.json"])
def test_signed_nonsense_is_refused_or_harmless(
    tmp_path: Path, repository: Repository, name: str
) -> None:
    """Whoever signs by mistake what is malformed costs an error, never another exception."""
    root = repository.files["metadata/1.root.json"]
    repository.hashes = False
    repository.publish()
    repository.publish()
    good = repository.signed(name)
    role = name.removesuffix(".json").removeprefix("3.")
    for path in leaves(good):
        for value in WRONG:
            signed = changed(good, path, value)
            repository.version = 3
            repository.put(role, signed)
            store = TrustStore(tmp_path / "trust", root, FixedClock())
            with contextlib.suppress(TrustError):
                store.refresh(repository).fetch(CONFIG)
            for kept in (tmp_path / "trust" / "metadata").glob("*.json"):
                kept.unlink()


def test_a_signed_root_that_is_nonsense_is_refused_or_harmless(
    tmp_path: Path, repository: Repository
) -> None:
    root = repository.files["metadata/1.root.json"]
    good = repository.publish_root()
    for path in leaves(good):
        for value in WRONG:
            signed = changed(good, path, value)
            repository.files["metadata/2.root.json"] = repository.sign("root", signed)
            store = TrustStore(tmp_path / "trust", root, FixedClock())
            with contextlib.suppress(TrustError):
                store.refresh(repository).fetch(CONFIG)
            for kept in (tmp_path / "trust").rglob("*.json"):
                kept.unlink()


# ------------------------------------------------------------ others who may say something


def delegating(repository: Repository, *names: str) -> Json:
    """Delegates all of ``units/`` to roles that a key of their own signs for."""
    helper = repository.keys.setdefault("helper", [CryptoSigner.generate_ed25519()])[0].public_key
    roles = [
        {"name": name, "keyids": [helper.keyid], "threshold": 1, "terminating": False,
         "paths": ["units/*/*"]} for name in names
    ]  # fmt: skip
    return {"keys": {helper.keyid: helper.to_dict()}, "roles": roles}


def delegate(repository: Repository, content: bytes, *names: str, top: bool) -> None:
    """Publishes roles that all name a configuration, beside the one that targets names."""
    repository.hashes = False
    number = repository.version + 1
    signed = repository.head("targets", number) | {"targets": {CONFIG: describe(content)}}
    repository.files[target_path(content)] = content
    for name in names:
        repository.files[f"metadata/{number}.{name}.json"] = repository.sign("helper", signed)
    meta: Json = {f"{name}.json": {"version": number} for name in ("targets", *names)}
    targets: Json = {"delegations": delegating(repository, *names)}
    if not top:
        targets["targets"] = {}
    repository.publish(targets=targets, snapshot={"meta": meta})


def test_who_may_say_something_cannot_say_it_better(unit: Unit, repository: Repository) -> None:
    repository.keys["helper"] = [CryptoSigner.generate_ed25519()]
    delegate(repository, b"application.config.version: 99\n", "helper", top=True)
    assert unit.read(repository) == b"application.config.version: 3\n", "targets comes first"


def test_who_may_not_say_something_is_not_heard(unit: Unit, repository: Repository) -> None:
    repository.keys["helper"] = [CryptoSigner.generate_ed25519()]
    delegate(repository, b"application.config.version: 99\n", "helper", top=False)
    assert unit.read(repository) == b"application.config.version: 99\n"
    unit.store.refresh(repository)
    assert unit.store.refresh(repository).fetch("firmware/touchpro/manifest.yaml") is None


def test_more_helpers_than_allowed_are_not_asked(unit: Unit, repository: Repository) -> None:
    repository.keys["helper"] = [CryptoSigner.generate_ed25519()]
    names = [f"helper{number}" for number in range(50)]
    delegate(repository, b"x: 1\n", *names, top=False)
    asked: list[str] = []

    class Counting(Repository):
        def fetch(self, path: str, *, offset: int = 0) -> Iterator[bytes]:
            asked.append(path)
            return super().fetch(path, offset=offset)

    counting = Counting(repository.files, repository.keys)
    assert unit.store.refresh(counting).fetch("units/nobody/config.yaml") is None
    assert len([path for path in asked if "helper" in path]) <= 8


# ------------------------------------------------------------ servers that fail in the middle


@dataclass
class Broken:
    """Fails in one file: at once, or after half of it."""

    repository: Repository
    name: str
    half: bool

    def fetch(self, path: str, *, offset: int = 0) -> Iterator[bytes]:
        if not path.endswith(self.name):
            yield from self.repository.fetch(path, offset=offset)
            return
        if self.half:
            data = self.repository.files.get(path, b"")
            yield data[: len(data) // 2]
        raise TransportError("the server takes too long", "check the TSS", server="tss1")


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize(
    "name", ["2.root.json", "timestamp.json", "3.snapshot.json", "3.targets.json", ".config.yaml"]
)
def test_a_server_that_fails_in_the_middle_is_the_transports_error(
    unit: Unit, repository: Repository, name: str, half: bool
) -> None:
    repository.publish()
    with pytest.raises(TransportError, match="takes too long"):
        unit.read(Broken(repository, name, half))
    assert unit.read(repository) == b"application.config.version: 3\n"


@pytest.mark.parametrize("name", ["timestamp.json", "3.snapshot.json", "3.targets.json"])
def test_a_file_that_is_missing_is_named(unit: Unit, repository: Repository, name: str) -> None:
    repository.publish()
    good = dict(repository.files)
    del repository.files[f"metadata/{name}"]
    error = refuses(unit, repository, "missing on the server")
    assert error.file == f"metadata/{name}"
    repository.files = good
    assert unit.read(repository) == b"application.config.version: 3\n"
