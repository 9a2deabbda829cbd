"""A site as a folder: what people write, and beside it what is made from it.

::

    sites/default.yaml          the configuration of every unit
    units/<mac>.yaml            what one unit has otherwise; the MAC with dashes
    profiles/<user>.yaml        what follows a user to every unit
    firmware/<family>/*.whl     the image of a family of units, such as touchpro
    factory/<mac>/              what is written into a unit at manufacture: secret
    tss/                        database, keys and signed tree: made here, secret
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .errors import BadSiteError

DEFAULT_YAML: Final = """\
# The configuration of every unit of this site. `turret config list` shows every key.
# What one unit has otherwise stands in units/<mac>.yaml, what a user has in profiles/<user>.yaml.

application.unit.model: TouchPro

# The PBX pair; a unit registers at both.
# application.sip.pbx.servers: [192.0.2.20:5060, 192.0.2.21:5060]

# Who checks passwords.
# application.directory.servers: [ldaps://ldap.example.com:636]
# application.directory.user.dn: uid={{user}},ou=people,dc=example,dc=com

# Where a unit sends its log; `turret tss serve` shows what comes to it.
{syslog}
"""

_NO_SYSLOG: Final = "# application.syslog.server: 192.0.2.10:514"

PROFILE_EXAMPLE: Final = """\
# Copy to <user>.yaml: what follows this user to every unit.
profile.user.name: Alice Martin
# profile.sip.username: '1001'
# profile.sip.password: secret
# profile.sip.domain: example.com
# profile.speeddial.1.label: Desk 2001
# profile.speeddial.1.number: '2001'
"""

IGNORED: Final = "factory/\ntss/\n"
"""What must not go into version control: passwords and private keys."""


@dataclass(frozen=True, slots=True)
class SiteFolder:
    """The paths of a site."""

    root: Path

    @property
    def default(self) -> Path:
        """The configuration of every unit."""
        return self.root / "sites/default.yaml"

    @property
    def units(self) -> Path:
        """Configurations of single units."""
        return self.root / "units"

    @property
    def profiles(self) -> Path:
        """Profiles of users."""
        return self.root / "profiles"

    @property
    def firmware(self) -> Path:
        """Images, one folder per family."""
        return self.root / "firmware"

    @property
    def factory(self) -> Path:
        """Factory folders, one per unit."""
        return self.root / "factory"

    @property
    def tss(self) -> Path:
        """The administration's own folder."""
        return self.root / "tss"

    @property
    def authority(self) -> Path:
        """The site's certificate authority: its key and its certificate."""
        return self.tss / "ca"

    def require(self) -> SiteFolder:
        """This folder, when it is a site.

        Raises:
            BadSiteError: it is none.
        """
        if not self.default.is_file():
            raise BadSiteError(
                f"{self.root} is no site: {self.default} is missing; "
                f"`turret bundle init {self.root}` makes one"
            )
        return self


def create(root: Path, syslog: str = "") -> tuple[Path, ...]:
    """Make a site; what is there already stays as it is.

    Args:
        root: the folder.
        syslog: address and port that units send their log to; nowhere by default.

    Returns:
        The files that were written.
    """
    site = SiteFolder(root)
    for folder in (site.units, site.firmware, site.profiles, site.default.parent):
        folder.mkdir(parents=True, exist_ok=True)
    for folder in (site.factory, site.tss):
        folder.mkdir(mode=0o700, exist_ok=True)
    line = f"application.syslog.server: {syslog}" if syslog else _NO_SYSLOG
    files = {
        site.default: DEFAULT_YAML.format(syslog=line),
        site.profiles / "example.yaml.txt": PROFILE_EXAMPLE,
        root / ".gitignore": IGNORED,
    }
    missing = {path: text for path, text in files.items() if not path.exists()}
    for path, text in missing.items():
        path.write_text(text, encoding="utf-8")
    return tuple(missing)
