"""What a unit falls back to, checked again at every start: who kept it proves nothing."""

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ...hal.clock import Clock
from ..errors import TrustError
from ..folder import StateFolder
from ..identity import Identity
from .trust import TrustStore, VerifiedTree
from .vouchers import VoucherStore

logger = logging.getLogger(__name__)

SITE_CONFIGURATION: Final = "sites/default/config.yaml"
_REMEDY = "make the TSS reachable: it gives the unit what was signed for it"


class KeptContent:
    """Vouches for configuration and firmware while they come, and asks for it when they are used.

    Args:
        identity: Who the unit is: what was signed for another one is not for it.
        trust: What this unit has accepted.
        directory: Where the vouchers are.
    """

    def __init__(self, identity: Identity, trust: TrustStore, directory: Path) -> None:
        self._trust = trust
        self._vouchers = VoucherStore(directory)
        self._configurations = (f"units/{identity.folder}/config.yaml", SITE_CONFIGURATION)
        self._firmware = f"firmware/{identity.firmware}/"

    @classmethod
    def of(cls, identity: Identity, folder: StateFolder, clock: Clock) -> "KeptContent":
        """Returns that of a unit."""
        return cls(identity, TrustStore(folder.trust, identity.root, clock), folder.vouchers)

    def vouch(self, tree: VerifiedTree, target: str, sha256: str) -> None:
        """Writes down that a target with this hash was signed; before it is taken over.

        Raises:
            OSError: The medium refuses it.
        """
        self._vouchers.save(sha256, tree.voucher(target))

    def check_configuration(self, data: bytes) -> None:
        """Lets pass a configuration that was signed for this unit or its site.

        Raises:
            TrustError: It was not.
        """
        target = self._checked(digest(data), "config/unit.yaml")
        if target not in self._configurations:
            raise TrustError(f"it was signed as {target}", _REMEDY, file="config/unit.yaml")

    def check_firmware(self, sha256: str) -> None:
        """Lets pass firmware from an image that was signed for units like this.

        Raises:
            TrustError: It was not.
        """
        target = self._checked(sha256, "slots")
        if not target.startswith(self._firmware):
            raise TrustError(f"it was signed as {target}", _REMEDY, file="slots")

    def vouches_for_firmware(self, sha256: str) -> bool:
        """Whether an image was signed for units like this; says why not in the log."""
        try:
            self.check_firmware(sha256)
        except TrustError as error:
            logger.error("firmware %s: %s", sha256[:16], error)  # noqa: TRY400
            return False
        return True

    def keep_only(self, hashes: Iterable[str]) -> None:
        """Forgets what was signed about everything else; after these are kept."""
        self._vouchers.keep_only(hashes)

    def _checked(self, sha256: str, file: str) -> str:
        try:
            return self._trust.check_kept(self._vouchers.load(sha256), sha256)
        except TrustError as error:
            raise error.at(file=file) from error.__cause__


def digest(data: bytes) -> str:
    """Returns the SHA-256 of some content, in lower case."""
    return hashlib.sha256(data).hexdigest()
