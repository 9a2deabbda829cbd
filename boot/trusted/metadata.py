"""python-tuf's client as a unit uses it: over any transport, bounded, safe from power cuts."""

import contextlib
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

from tuf.api.exceptions import DownloadError, DownloadHTTPError, DownloadLengthMismatchError
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from ..cache import read_bounded, write_atomically
from ..errors import NoSuchFileError, TransportError
from ..fetch.partial import Partials
from ..fetch.transport import Files

METADATA: Final = "metadata"
TARGETS: Final = "targets"
ROOTS: Final = "root_history"
"""Folders of the trust store; the first two are those of every TSS as well."""

_LIMITS: Final = UpdaterConfig(
    max_root_rotations=256,
    max_delegations=8,
    root_max_length=65_536,
    timestamp_max_length=16_384,
    snapshot_max_length=262_144,
    targets_max_length=1_048_576,
)
"""Rotations count from the factory's root on, so they last for a unit's life.  JSON takes up
to 24 times its length in memory, and an attacker's is parsed before its signature is checked."""
_IN_MEMORY_BYTES = 1_048_576


class MetadataClient(Updater):
    """python-tuf's client, with the time given instead of taken, and a memory of its own.

    python-tuf keeps each file as soon as it was checked, and leaves it to the operating system
    when the medium gets it.  Here timestamp, snapshot and targets are kept together at the
    end, each replaced as a whole, in an order in which no power cut makes an older tree
    acceptable.  A root is kept at once: it was checked completely, and revokes keys.
    """

    def __init__(self, directory: Path, root: bytes, fetcher: FetcherInterface, now: float) -> None:
        self._metadata = directory / METADATA
        self._current: dict[str, bytes] = {}
        self._unkept: dict[str, bytes] = {}
        super().__init__(
            metadata_dir=str(self._metadata),
            metadata_base_url=METADATA,
            target_dir=str(directory / TARGETS),
            target_base_url=TARGETS,
            fetcher=fetcher,
            config=_LIMITS,
            bootstrap=root,
        )
        self._trusted_set.reference_time = datetime.fromtimestamp(now, UTC)

    def keep(self) -> None:
        """Makes what was checked the state that nothing older is accepted after.

        Raises:
            OSError: The medium refuses it.
        """
        for role in reversed(list(self._unkept)):
            write_atomically(self._file(role), self._unkept.pop(role))

    def chain(self, target: str) -> tuple[bytes, ...]:
        """Returns the metadata that leads to a target, the topmost first; empty when none does."""
        top = self._trusted_set.targets
        if target in top.targets:
            return (self._current[top.type],)
        delegations = top.delegations
        names = delegations.get_roles_for_target(target) if delegations is not None else ()
        for name, _ in names:
            role = self._trusted_set.get(name)
            if role is not None and target in role.targets:
                return (self._current[top.type], self._current[name])
        return ()

    def _load_local_metadata(self, rolename: str) -> bytes:
        data = read_bounded(self._file(rolename), _LIMITS.targets_max_length)
        if data is None:
            raise FileNotFoundError(f"no usable {rolename} is kept")
        self._current[rolename] = data
        return data

    def _persist_metadata(self, rolename: str, data: bytes) -> None:
        self._current[rolename] = self._unkept[rolename] = data

    def _persist_root(self, version: int, data: bytes) -> None:
        path = self._metadata / ROOTS / f"{version}.root.json"
        if read_bounded(path, _LIMITS.root_max_length) != data:
            write_atomically(path, data)

    def _update_root_symlink(self) -> None:
        """Not needed: every refresh starts from the factory's root."""

    def _file(self, rolename: str) -> Path:
        return self._metadata / f"{quote(rolename, safe='')}.json"


class TransportFetcher(FetcherInterface):
    """Lets python-tuf read through any transport of ours.

    Attributes:
        last: The file that was asked for last.
    """

    def __init__(self, files: Files, partials: Partials) -> None:
        self.partials = partials
        self._files = files
        self.last = ""

    @contextlib.contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """Fetches a file; what is small stays in memory, as nobody's profile may lie about."""
        if url.startswith(TARGETS) and max_length > _IN_MEMORY_BYTES:
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
        self.last = url
        try:
            yield from self._files.fetch(url, offset=offset)
        except NoSuchFileError as error:
            raise DownloadHTTPError(str(error), 404) from error
        except TransportError as error:
            raise DownloadError(str(error)) from error
