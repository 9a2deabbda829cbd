"""Takes over only what the factory's root of trust has signed (python-tuf).

The transport may be anything: what it brings is a hint until signatures, versions,
hashes and dates are checked.  Nothing that was accepted before is lost when something
newer is refused.
"""

import contextlib
import json
import logging
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Final, NoReturn

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
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from ..hal.clock import Clock
from .cache import read_bounded, sync_tree, write_atomically
from .errors import BootError, NoSuchFileError, TransportError, TrustError
from .memory import SHARED_MEMORY
from .partial import Partials
from .transport import Files

logger = logging.getLogger(__name__)

MAX_TARGET_BYTES: Final = 268_435_456
"""Nothing that a unit fetches is larger, whatever the metadata says."""

_LIMITS: Final = UpdaterConfig(
    max_root_rotations=32,
    max_delegations=8,
    root_max_length=65_536,
    timestamp_max_length=16_384,
    snapshot_max_length=262_144,
    targets_max_length=4_194_304,
)
_IN_MEMORY_BYTES = 1_048_576
_METADATA, _TARGETS, _PARTIALS = "metadata", "targets", "partial"


class ClockFloor:
    """The time below which this unit's clock is not believed.

    Time before the first verified answer can be forged.  What was accepted once was
    not expired at that moment, so no later check may use an earlier time: expired
    metadata does not come back to life because somebody set the clock back.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def now(self) -> float:
        """Returns seconds since 1970, never before the last accepted check."""
        return max(self._clock.unix(), self.least())

    def raise_to(self, moment: float) -> None:
        """Keeps a moment at which verified metadata was current."""
        if moment > self.least():
            write_atomically(self._path, b"%d\n" % int(moment))

    def least(self) -> float:
        """Returns the last accepted check in seconds since 1970; 0 when there was none."""
        data = read_bounded(self._path, 32) or b"0"
        return float(data) if data.strip().isdigit() else 0.0


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
        self._floor = ClockFloor(directory / "clock", clock)

    def foreseen(self) -> tuple[str, ...]:
        """Returns what the next refresh asks for first, in order: a newer root, the timestamp."""
        try:
            newest = int(json.loads(self._root)["signed"]["version"])
        except (ValueError, TypeError, KeyError):
            return ()
        roots = self._directory / _METADATA / "root_history"
        while (roots / f"{newest + 1}.root.json").is_file():
            newest += 1
        return f"{_METADATA}/{newest + 1}.root.json", f"{_METADATA}/timestamp.json"

    def refresh(self, files: Files) -> "VerifiedTree":
        """Checks what a server offers and returns its verified tree.

        Raises:
            TrustError: A signature is wrong, something has expired, or is older than
                what was accepted before.
            TransportError: The server failed.
        """
        for name in (_METADATA, _TARGETS):
            (self._directory / name).mkdir(parents=True, exist_ok=True)
        now = self._floor.now()
        fetcher = _Fetcher(files, Partials(self._directory / _PARTIALS))
        try:
            updater = _Updater(self._directory, self._root, fetcher, now)
            updater.refresh()
        except (RepositoryError, DownloadError, OSError, ValueError) as error:
            _refuse("the metadata of the TSS", error)
        sync_tree(self._directory / _METADATA)
        self._floor.raise_to(now)
        return VerifiedTree(updater, fetcher)


class VerifiedTree:
    """The files that one server offers and the root of trust vouches for."""

    def __init__(self, updater: Updater, fetcher: "_Fetcher") -> None:
        self._updater = updater
        self._fetcher = fetcher

    def fetch(self, target: str, *, max_bytes: int = MAX_TARGET_BYTES) -> Path | None:
        """Returns a verified local copy of a target; None when no such target is signed.

        What is here already with the right hash is not fetched again.

        Raises:
            TrustError: The content is not what was signed, or larger than ``max_bytes``.
            TransportError: The server failed.
        """
        try:
            info = self._updater.get_targetinfo(target)
            if info is None:
                return None
            if info.length > max_bytes:
                raise TrustError(f"{target}: {info.length} bytes exceed {max_bytes}")
            cached = self._updater.find_cached_target(info)
            return Path(cached or self._download(info))
        except (RepositoryError, DownloadError, OSError, ValueError) as error:
            _refuse(target, error)

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
        """
        try:
            info = self._updater.get_targetinfo(target)
            if info is None:
                raise _unsigned(target)
            if info.length > max_bytes:
                raise TrustError(f"{target}: {info.length} bytes exceed {max_bytes}")
            if kept is not None and _is_signed(info, kept):
                return kept
            with tempfile.TemporaryDirectory(dir=SHARED_MEMORY) as folder:
                path = self._updater.download_target(info, f"{folder}/target")
                return Path(path).read_bytes()
        except (RepositoryError, DownloadError, OSError, ValueError) as error:
            _refuse(target, error)


class _Updater(Updater):
    """python-tuf's client, with the time given instead of taken."""

    def __init__(self, directory: Path, root: bytes, fetcher: FetcherInterface, now: float) -> None:
        super().__init__(
            metadata_dir=str(directory / _METADATA),
            metadata_base_url=_METADATA,
            target_dir=str(directory / _TARGETS),
            target_base_url=_TARGETS,
            fetcher=fetcher,
            config=_LIMITS,
            bootstrap=root,
        )
        self._trusted_set.reference_time = datetime.fromtimestamp(now, UTC)


class _Fetcher(FetcherInterface):
    """Lets python-tuf read through any transport of ours."""

    def __init__(self, files: Files, partials: Partials) -> None:
        self.partials = partials
        self._files = files

    @contextlib.contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """Fetches a file; what is small stays in memory, as nobody's profile may lie about."""
        if url.startswith(_TARGETS) and max_length > _IN_MEMORY_BYTES:
            read = partial(self._read, url)
            with self.partials.download(url, max_length, read) as whole:
                yield whole
            return
        received = 0
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as file:
            for chunk in self.fetch(url):
                received += len(chunk)
                if received > max_length:
                    raise DownloadLengthMismatchError(f"{url} is longer than {max_length} bytes")
                file.write(chunk)
            file.seek(0)
            yield file

    def _fetch(self, url: str) -> Iterator[bytes]:
        return self._read(url, 0)

    def _read(self, url: str, offset: int) -> Iterator[bytes]:
        """Yields a file from an offset on; a missing one is what python-tuf calls a 404.

        python-tuf wraps only what is raised before the first byte, so errors of the
        transport are made its own here.
        """
        try:
            yield from self._files.fetch(url, offset=offset)
        except NoSuchFileError as error:
            raise DownloadHTTPError(str(error), 404) from error
        except TransportError as error:
            raise DownloadError(str(error)) from error


def _is_signed(info: TargetFile, content: bytes) -> bool:
    try:
        info.verify_length_and_hashes(content)
    except LengthOrHashMismatchError:
        return False
    return True


def _unsigned(target: str) -> TrustError:
    return TrustError(f"{target} is not signed", f"publish {target} on the TSS")


def _refuse(what: str, error: Exception) -> NoReturn:
    """Raises the transport's own error, or why the content was refused."""
    if isinstance(error, BootError):
        raise error
    if isinstance(error.__cause__, TransportError) and not isinstance(error, DownloadHTTPError):
        raise error.__cause__
    reason, remedy = _reason(error)
    raise TrustError(f"{what}: {reason}", remedy) from error


def _reason(error: Exception) -> tuple[str, str]:
    """Says in words what python-tuf found, and what to do about it."""
    if isinstance(error, ExpiredMetadataError):
        return f"expired ({error})", "sign the metadata again, and check the unit's clock"
    if isinstance(error, BadVersionNumberError):
        return f"older than the last accepted ({error})", "publish with a higher version"
    if isinstance(error, UnsignedMetadataError):
        return f"the signature is wrong ({error})", "sign with the keys that the root names"
    if isinstance(error, (LengthOrHashMismatchError, DownloadLengthMismatchError)):
        return f"not the signed content ({error})", "publish content and metadata together"
    if isinstance(error, DownloadHTTPError):
        return f"missing on the server ({error})", "publish the whole tree"
    return f"not acceptable ({error})", "publish the tree again"
