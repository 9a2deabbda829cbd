"""Takes over only what the factory's root of trust has signed (python-tuf).

The transport may be anything: what it brings is a hint until signatures, versions,
hashes and dates are checked.  Nothing that was accepted before is lost when something
newer is refused, and nothing is kept before everything was checked.

The files come in this order: ``<n>.root.json`` until there is none, ``timestamp.json``,
and only where that names something new ``<n>.snapshot.json``, ``<n>.targets.json`` and
the targets (TUF specification, section 5).
"""

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import TargetFile

from ...hal.clock import Clock
from ..errors import BootError, TransportError, TrustError
from ..fetch.partial import Partials
from ..fetch.transport import Files
from ..memory import SHARED_MEMORY
from .floor import ClockFloor
from .metadata import METADATA, ROOTS, TARGETS, MetadataClient, TransportFetcher
from .vouchers import Voucher, root_chain, signed_by

MAX_TARGET_BYTES: Final = 268_435_456
"""Nothing that a unit fetches is larger, whatever the metadata says."""

_PARTIALS = "partial"
_FACTORY_REMEDY = "write root.json of the factory folder again: turret bundle makes it"


class TrustStore:
    """What this unit has accepted: metadata, targets and the clock's floor."""

    def __init__(self, directory: Path, root: bytes, clock: Clock) -> None:
        """Uses a folder of its own.

        Args:
            directory: Metadata and targets are kept here.
            root: The factory's root of trust.
            clock: Its wall time is used above the floor only.
        """
        self._directory = directory
        self._root = root
        self.floor = ClockFloor(directory / "clock", clock)

    def foreseen(self) -> tuple[str, ...]:
        """Returns what the next refresh asks for first, in order: a newer root, the timestamp."""
        try:
            newest = int(json.loads(self._root)["signed"]["version"])
        except (ValueError, TypeError, KeyError):
            return ()
        roots = self._directory / METADATA / ROOTS
        while (roots / f"{newest + 1}.root.json").is_file():
            newest += 1
        return f"{METADATA}/{newest + 1}.root.json", f"{METADATA}/timestamp.json"

    def refresh(self, files: Files) -> "VerifiedTree":
        """Checks what a server offers and returns its verified tree.

        Raises:
            TrustError: A signature is wrong, something has expired, or is older than
                what was accepted before; or the factory's root of trust is damaged.
            TransportError: The server failed.
            OSError: The medium fails.
        """
        now = self.floor.now()
        fetcher = TransportFetcher(files, Partials(self._directory / _PARTIALS))
        updater = self._updater(fetcher, now)
        try:
            updater.refresh()
        except (RepositoryError, DownloadError, ValueError) as error:
            _refuse(fetcher.last, error, now)
        updater.keep()
        self.floor.raise_to(now)
        return VerifiedTree(updater, fetcher, now)

    def check_kept(self, voucher: Voucher | None, sha256: str) -> str:
        """Returns the target that something kept was accepted as.

        Dates play no part: what was accepted once stays good until something newer is.

        Args:
            voucher: What was signed when it was accepted.
            sha256: Of the content, in lower case.

        Raises:
            TrustError: There is no voucher, or it does not lead from the factory's root of
                trust to this content.
        """
        if voucher is None:
            raise TrustError("nothing signed vouches for it", "make the TSS reachable")
        try:
            roots = root_chain(self._root, self._directory / METADATA / ROOTS)
            return signed_by(roots, voucher, sha256)
        except (RepositoryError, ValueError) as error:
            raise TrustError(f"not what was signed ({error})", "make the TSS reachable") from error

    def _updater(self, fetcher: TransportFetcher, now: float) -> MetadataClient:
        (self._directory / TARGETS).mkdir(parents=True, exist_ok=True)
        try:
            return MetadataClient(self._directory, self._root, fetcher, now)
        except (RepositoryError, ValueError) as error:
            raise TrustError(f"damaged ({error})", _FACTORY_REMEDY, file="root.json") from error


class VerifiedTree:
    """The files that one server offers and the root of trust vouches for."""

    def __init__(self, updater: MetadataClient, fetcher: TransportFetcher, now: float) -> None:
        self._updater = updater
        self._fetcher = fetcher
        self._now = now

    def fetch(self, target: str, *, max_bytes: int = MAX_TARGET_BYTES) -> Path | None:
        """Returns a verified local copy of a target; None when no such target is signed.

        What is here already with the right hash is not fetched again.

        Raises:
            TrustError: The content is not what was signed, or larger than ``max_bytes``.
            TransportError: The server failed.
            OSError: The medium fails.
        """
        try:
            info = self._find(target, max_bytes)
            if info is None:
                return None
            cached = self._updater.find_cached_target(info)
            return Path(cached or self._download(info))
        except (RepositoryError, DownloadError, ValueError) as error:
            _refuse(self._fetcher.last, error, self._now)

    def _download(self, info: TargetFile) -> str:
        """Fetches a target; once more from its start when what was kept of it was to blame."""
        try:
            return self._updater.download_target(info)
        except (LengthOrHashMismatchError, DownloadLengthMismatchError):
            if not self._fetcher.partials.resumed:
                raise
            return self._updater.download_target(info)

    def must_fetch(self, target: str, *, max_bytes: int = MAX_TARGET_BYTES) -> Path:
        """Like ``fetch`` for a target that has to be there.

        Raises:
            TrustError: As ``fetch``, and when no such target is signed.
            TransportError: The server failed.
            OSError: The medium fails.
        """
        path = self.fetch(target, max_bytes=max_bytes)
        if path is None:
            raise _unsigned(target)
        return path

    def read(self, target: str, *, max_bytes: int, kept: bytes | None = None) -> bytes:
        """Returns the content of a target, of which nothing is left on the medium.

        Args:
            target: It has to be there.
            max_bytes: The longest that is accepted.
            kept: What is here already; nothing is fetched when it is what was signed.

        Raises:
            TrustError: As `must_fetch`.
            TransportError: The server failed.
            OSError: The medium fails.
        """
        try:
            info = self._find(target, max_bytes)
            if info is None:
                raise _unsigned(target)
            if kept is not None and _is_signed(info, kept):
                return kept
            with tempfile.TemporaryDirectory(dir=SHARED_MEMORY) as folder:
                path = self._updater.download_target(info, f"{folder}/target")
                return Path(path).read_bytes()
        except (RepositoryError, DownloadError, ValueError) as error:
            _refuse(self._fetcher.last, error, self._now)

    def voucher(self, target: str) -> Voucher:
        """Returns what proves later, without a server, that a fetched target was signed.

        Raises:
            TrustError: No such target is signed.
        """
        chain = self._updater.chain(target)
        if not chain:
            raise _unsigned(target)
        return Voucher(target, chain)

    def _find(self, target: str, max_bytes: int) -> TargetFile | None:
        info = self._updater.get_targetinfo(target)
        self._updater.keep()
        if info is not None and info.length > max_bytes:
            raise TrustError(
                f"{info.length} bytes exceed {max_bytes}", "publish a smaller file", file=target
            )
        return info


def _is_signed(info: TargetFile, content: bytes) -> bool:
    try:
        info.verify_length_and_hashes(content)
    except LengthOrHashMismatchError:
        return False
    return True


def _unsigned(target: str) -> TrustError:
    return TrustError("it is not signed", f"publish {target} on the TSS", file=target)


def _refuse(file: str, error: Exception, now: float) -> NoReturn:
    """Raises the transport's own error, or why the content was refused."""
    if isinstance(error, BootError):
        raise error
    if isinstance(error.__cause__, TransportError) and not isinstance(error, DownloadHTTPError):
        raise error.__cause__
    reason, remedy = _reason(error, now)
    raise TrustError(reason, remedy, file=file) from error


def _reason(error: Exception, now: float) -> tuple[str, str]:
    """Says in words what python-tuf found, and what to do about it."""
    if isinstance(error, ExpiredMetadataError):
        day = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M")
        return f"expired ({error}; here it is {day} UTC)", "publish again; check the unit's clock"
    if isinstance(error, BadVersionNumberError):
        return f"older than the last accepted ({error})", "publish with a higher version"
    if isinstance(error, UnsignedMetadataError):
        return f"the signature is wrong ({error})", "sign with the keys that the root names"
    if isinstance(error, (LengthOrHashMismatchError, DownloadLengthMismatchError)):
        return f"not the signed content ({error})", "publish content and metadata together"
    if isinstance(error, DownloadHTTPError):
        return f"missing on the server ({error})", "publish the whole tree"
    return f"not acceptable ({error})", "publish the tree again"
