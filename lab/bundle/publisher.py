"""A site and its administration: what would change, and its publication.

One at a time: a lock in the site keeps two commands from publishing together. A unit that
reads meanwhile gets the old tree or the new one, because the timestamp comes last and
everything else has a name of its own (consistent snapshots, TUF specification section 6.2).
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from ..certificates import Authority
from ..plan import UnitPlan
from ..tss import Administration
from ..tss.content import Change, Content
from ..tss.record import EnrolledUnit, Publication
from .authority import site_authority
from .checks import CheckedSite, check
from .errors import BundleError
from .folder import SiteFolder

Say = Callable[[str], None]

FRESH_FOR: Final = timedelta(days=3)
"""What is good for less is signed anew: a unit refuses metadata that has expired."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom the units of a site believe.

    Attributes:
        authority: the certificate of the site's CA.
        root: the TUF root of trust.
    """

    authority: Path
    root: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a publication did, or would do.

    Attributes:
        version: of the metadata; the one in force when nothing was published.
        changes: what is otherwise than before.
        warnings: what a person should look at.
        published: whether something was signed.
    """

    version: int
    changes: tuple[Change, ...]
    warnings: tuple[str, ...]
    published: bool


class Publisher:
    """Publishes a site.

    Args:
        site: the folder.
        clock: the time of signing.

    Raises:
        BadSiteError: it is no site.
    """

    def __init__(
        self, site: SiteFolder, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.site = site.require()
        self._clock = clock
        site.tss.mkdir(mode=0o700, exist_ok=True)
        site.factory.mkdir(mode=0o700, exist_ok=True)
        self.tss = Administration(site.tss, clock=clock)

    def authority(self) -> Authority:
        """The site's certificate authority."""
        return site_authority(self.site.authority, now=self._clock())

    def trust(self) -> Trust:
        """Whom the units believe."""
        return Trust(self.authority().path, self.tss.root)

    def units(self) -> list[EnrolledUnit]:
        """The units that were added."""
        return self.tss.units()

    def enrol(self, unit: UnitPlan) -> None:
        """Let a unit fetch, with its name plate and password."""
        self.tss.add_unit(
            mac=unit.mac, serial=unit.serial, model=unit.model, password=unit.ftpes_password
        )

    def check(self) -> CheckedSite:
        """Read and check everything.

        Raises:
            BadSiteError: something is wrong; every problem is told.
        """
        return check(self.site, self.units())

    def publication(self) -> Publication | None:
        """What is published; None when nothing was."""
        return self.tss.publication()

    def publish(self, say: Say, *, dry_run: bool = False, anew: bool = False) -> Outcome:
        """Check, sign and publish what has changed.

        Nothing is published, and nothing remembered, when anything is wrong.

        Args:
            say: told each step.
            dry_run: only tell what would change.
            anew: sign even when nothing has changed.

        Raises:
            BadSiteError: files of the site are wrong.
            PublishError: a firmware version was published with other content.
            BundleError: another publication is under way.
        """
        with self._alone():
            say("checking the site")
            checked = self.check()
            changes = self.tss.replace(checked.content, dry_run=True)
            needed = bool(changes) or anew or self._is_due()
            if needed and not dry_run:
                say("signing and publishing")
                self._sign(checked.content)
        now = self.publication()
        return Outcome(
            version=now.version if now else 0,
            changes=changes,
            warnings=checked.warnings,
            published=needed and not dry_run,
        )

    def rotate_root(self, *roles: str) -> int:
        """Give roles new keys and sign everything anew; see `Administration.rotate_root`.

        Returns:
            The version of the new root.

        Raises:
            PublishError: too few of the root's keys are here.
            BundleError: a publication is under way.
        """
        with self._alone():
            return self.tss.rotate_root(*roles)

    def _sign(self, content: Content) -> None:
        """Publish; what is cut short is due until it was done to its end."""
        self._due.touch()
        self.tss.replace(content)
        self.tss.publish()
        self._due.unlink()

    def _is_due(self) -> bool:
        """Whether what is published is missing, stale, or was cut short."""
        now = self.publication()
        return now is None or now.expires < self._clock() + FRESH_FOR or self._due.exists()

    @property
    def _due(self) -> Path:
        return self.site.tss / "due"

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with (self.site.tss / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BundleError(
                    f"{self.site.root} is being published by another command: wait for its end"
                ) from error
            yield
