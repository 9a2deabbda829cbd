"""What an administrator does at the TSS, and what an attacker would like to do.

Nothing reaches a unit before `Administration.publish`: it signs the whole tree anew with a
higher version. The methods that end in a fault publish what a unit must refuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import yaml
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from tuf.api.metadata import Metadata, Root, TargetFile

from ..errors import PublishError
from . import content, record, signing
from .content import SITE_DEFAULT, VERSION_KEY, Change, Content, Image, Settings, as_yaml
from .database import (
    CERTIFICATES_DEMANDED,
    CertificateRow,
    ConfigurationRow,
    FirmwareRow,
    ProfileRow,
    PublicationRow,
    SwitchRow,
    UnitRow,
    UserRow,
    open_database,
)
from .enrolment import Files, make_authority
from .keys import ROLES, KeyRing, Quorum
from .record import EnrolledUnit, Publication
from .signing import Clock, Lifetimes, Signers
from .tree import Tree

TWO_OF_THREE: Final = Quorum(threshold=2, keys=3)

_READERS_OF = 8
"""Units may still be reading publications as old as this."""


def _now() -> datetime:
    return datetime.now(UTC)


class Administration:
    """The administration of one TSS, in one folder.

    Args:
        folder: database (``tss.db``), keys (``keys/``), images (``firmware/``) and the
            published tree (``tree/``).
        clock: the time of signing.
        root_keys: where the root's private keys are (``root-keys/`` in the folder by default).
            Only the first start and `rotate_root` need them: they may lie in a safe meanwhile.
        root_quorum: how many root keys the first start makes, and how many have to sign.

    Example::

        tss = Administration(folder)
        tss.add_unit(mac="02:54:50:00:00:01", serial="TP000001", model="TouchPro", password="…")
        tss.set_configuration("02-54-50-00-00-01", {"application.config.version": 1})
        tss.publish()
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock = _now,
        root_keys: Path | None = None,
        root_quorum: Quorum = TWO_OF_THREE,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.tree = Tree(folder / "tree")
        self._clock = clock
        self._images = folder / "firmware"
        self._images.mkdir(exist_ok=True)
        self._engine = open_database(folder / "tss.db")
        self._ring = KeyRing(folder / "keys", root_keys or folder / "root-keys")
        self._write_first_root(root_quorum)
        make_authority(Files.below(folder), clock())

    @property
    def root(self) -> bytes:
        """The newest root of trust: what the factory writes into a unit today.

        Units that were given an earlier one follow it here by themselves.
        """
        path = self.tree.newest_root
        if path is None:
            raise PublishError(f"{self.tree.metadata} has no root: make the TSS's folder anew")
        return path.read_bytes()

    @property
    def root_version(self) -> int:
        """The version of the newest root of trust, from 1."""
        return self._root().version

    def add_unit(self, *, mac: str, serial: str, model: str, password: str) -> None:
        """Let a unit fetch with its MAC and this password."""
        with Session(self._engine) as session, session.begin():
            row = UnitRow(mac=mac, serial=serial, model=model, revoked=False)
            row.set_password(password)
            session.merge(row)

    def units(self) -> list[EnrolledUnit]:
        """The units that were added, by MAC."""
        with Session(self._engine) as session:
            return record.units(session)

    def revoke_unit(self, mac: str) -> None:
        """Shut a unit out at once: neither its password nor its certificates count any more.

        `add_unit` lets it in again; its old certificates stay revoked.

        Raises:
            PublishError: there is no such unit.
        """
        with Session(self._engine) as session, session.begin():
            unit = session.get(UnitRow, mac)
            if unit is None:
                raise PublishError(f"{mac} is not a unit: see the units of the TSS")
            unit.revoked = True
            issued = select(CertificateRow).where(CertificateRow.mac == mac)
            for certificate in session.scalars(issued):
                certificate.revoked = True

    def demand_certificates(self, *, demanded: bool = True) -> None:
        """Say whether a factory password still fetches, or only enrols.

        Both nodes follow at once.
        """
        with Session(self._engine) as session, session.begin():
            row = session.get(SwitchRow, CERTIFICATES_DEMANDED)
            if demanded and row is None:
                session.add(SwitchRow(name=CERTIFICATES_DEMANDED))
            elif row is not None and not demanded:
                session.delete(row)

    def add_user(self, user: str, *, name: str, profile: Settings) -> None:
        """Give somebody a profile, which follows them to every unit."""
        with Session(self._engine) as session, session.begin():
            session.merge(UserRow(user=user, name=name))
            session.flush()
            session.merge(ProfileRow(user=user, text=as_yaml(profile)))

    def set_configuration(self, owner: str, settings: Settings) -> None:
        """Set the configuration of a unit (its MAC with dashes) or of the site (``default``).

        The version is the one that ``settings`` says (``application.config.version``).

        Raises:
            PublishError: there is no version in it.
        """
        version = settings.get(VERSION_KEY)
        if not isinstance(version, int):
            raise PublishError(f"{owner}: {VERSION_KEY} must be a whole number")
        with Session(self._engine) as session, session.begin():
            row = ConfigurationRow(owner=owner, version=version, text=as_yaml(settings))
            session.merge(row)

    def configuration(self, owner: str) -> dict[str, object]:
        """The newest configuration of a unit or of the site.

        Raises:
            PublishError: there is none.
        """
        with Session(self._engine) as session:
            for row in content.newest_configurations(session):
                if row.owner == owner:
                    settings: dict[str, object] = yaml.safe_load(row.text)
                    return settings
        raise PublishError(f"{owner} has no configuration")

    def add_firmware(self, model: str, version: str, image: Path) -> None:
        """Make an image the firmware of a model (lower case, such as ``touchpro``).

        Raises:
            PublishError: the image is missing.
        """
        with Session(self._engine) as session, session.begin():
            content.add_firmware(session, model, Image(version, image), self._images)

    def replace(self, everything: Content, *, dry_run: bool = False) -> tuple[Change, ...]:
        """Take over everything that a site publishes, or nothing when something is wrong.

        Args:
            everything: what `publish` shall sign from now on.
            dry_run: only tell what would change.

        Raises:
            PublishError: a firmware version was published with other content.
        """
        images = None if dry_run else self._images
        with Session(self._engine) as session:
            changes = content.replace(session, everything, images)
            if not dry_run:
                session.commit()
        return changes

    def publish(self, lifetimes: Lifetimes | None = None) -> int:
        """Sign and publish everything as it stands now.

        Args:
            lifetimes: how long it is good for.

        Returns:
            The version of the metadata.
        """
        version = self._take_version("good")
        self._write(self._online(), version, lifetimes or Lifetimes())
        return version

    def publication(self) -> Publication | None:
        """What is published; None when nothing was yet."""
        return record.publication(self.tree.metadata)

    def rotate_root(self, *roles: str, quorum: Quorum | None = None) -> int:
        """Give roles new keys by a new root, and sign everything anew with them.

        The way to revoke a key that is lost or stolen. Units notice nothing: while the new root
        appears, what is published bears the signatures of the old keys and of the new ones.
        The replaced keys are removed at the end.

        Args:
            roles: any of ``root``, ``targets``, ``snapshot`` and ``timestamp``; all when none
                is given.
            quorum: how many root keys there are from now on, and how many have to sign; as
                before when not given. It needs ``root`` among the roles.

        Returns:
            The version of the new root.

        Raises:
            PublishError: a role does not exist, or too few of the root's keys are here.
        """
        chosen = roles or ROLES
        _check_roles(chosen, quorum)
        before = self._online()
        signed = signing.next_root(self._ring, self.root, chosen, quorum, self._clock())
        root = Metadata[Root].from_bytes(signed).signed
        both = signing.together(before, signing.online_signers(self._ring, root))
        self._write(both, self._take_version("good"), Lifetimes())
        self._write_root(signed, root.version)
        self.publish()
        for role in chosen:
            self._ring.forget_all_but(root, role)
        return root.version

    def publish_expired(self) -> int:
        """A newer version, rightly signed, whose time is already over."""
        version = self._take_version("expired")
        self._write(self._online(), version, Lifetimes.already_over())
        return version

    def publish_wrongly_signed(self) -> int:
        """A newer version signed by somebody else's keys."""
        version = self._take_version("wrongly signed")
        self._write(signing.new_signers(), version, Lifetimes())
        return version

    def publish_older(self, version: int) -> None:
        """Serve an earlier good version again: a roll-back.

        Raises:
            PublishError: it was never published.
        """
        path = self._history / f"{version}.timestamp.json"
        if not path.exists():
            raise PublishError(f"version {version} was never published")
        self.tree.write_metadata({"timestamp.json": path.read_bytes()})

    def tamper(self, target: str) -> None:
        """Change a published target without signing it, such as ``profiles/alice.yaml``.

        Raises:
            PublishError: there is no such target.
        """
        if not (self.tree.targets / target).is_file():
            raise PublishError(f"{target} is not published")
        self.tree.tamper(target)

    @property
    def _history(self) -> Path:
        path = self.folder / "history"
        path.mkdir(exist_ok=True)
        return path

    def _root(self) -> Root:
        return Metadata[Root].from_bytes(self.root).signed

    def _online(self) -> Signers:
        return signing.online_signers(self._ring, self._root())

    def _write_first_root(self, quorum: Quorum) -> None:
        if self.tree.newest_root is None:
            self._write_root(signing.first_root(self._ring, quorum, self._clock()), 1)

    def _write_root(self, signed: bytes, version: int) -> None:
        self.tree.write_metadata({f"{version}.root.json": signed, "root.json": signed})

    def _take_version(self, kind: str) -> int:
        with Session(self._engine) as session, session.begin():
            version = 1 + (session.scalar(select(func.max(PublicationRow.version))) or 0)
            session.add(PublicationRow(version=version, kind=kind))
        return version

    def _write(self, signers: Signers, version: int, lifetimes: Lifetimes) -> None:
        files = signing.publication(
            signers, version, self._write_targets(), self._clock(), lifetimes,
            in_bins=self.tree.has_bins,
        )  # fmt: skip
        (self._history / f"{version}.timestamp.json").write_bytes(files["timestamp.json"])
        self.tree.write_metadata(files)
        self.tree.forget_metadata_before(version - _READERS_OF)

    def _write_targets(self) -> dict[str, TargetFile]:
        with Session(self._engine) as session:
            contents = _documents(session)
            for firmware in content.current_firmware(session):
                contents |= self._firmware_targets(firmware)
        return {name: self.tree.write_target(name, data) for name, data in contents.items()}

    def _firmware_targets(self, firmware: FirmwareRow) -> dict[str, bytes]:
        folder = f"firmware/{firmware.model}"
        image = content.kept_image(self._images, firmware.model, firmware.file)
        return {
            f"{folder}/{firmware.file}": image.read_bytes(),
            f"{folder}/manifest.yaml": as_yaml(content.manifest(firmware)).encode(),
        }


def _check_roles(roles: Sequence[str], quorum: Quorum | None) -> None:
    for role in roles:
        if role not in ROLES:
            raise PublishError(f"{role} is not one of {', '.join(ROLES)}")
    if quorum and "root" not in roles:
        raise PublishError("a quorum of the root changes together with the keys of root")


def _documents(session: Session) -> dict[str, bytes]:
    contents = {
        f"profiles/{profile.user}.yaml": profile.text.encode()
        for profile in session.scalars(select(ProfileRow))
    }
    for row in content.newest_configurations(session):
        folder = "sites" if row.owner == SITE_DEFAULT else "units"
        contents[f"{folder}/{row.owner}/config.yaml"] = row.text.encode()
    return contents
