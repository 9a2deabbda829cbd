"""How files come from a TSS: the same tree over FTPES or HTTPS, one logged-in session at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Final, Protocol

FTPES_PORT: Final = 21
HTTPS_PORT: Final = 443


@dataclass(frozen=True, slots=True)
class Server:
    """One TSS: the name that its certificate must carry, and where it was found."""

    name: str
    address: IPv4Address
    ftpes_port: int = FTPES_PORT
    https_port: int = HTTPS_PORT

    def __str__(self) -> str:
        return f"{self.name} ({self.address})"


@dataclass(frozen=True, slots=True)
class Account:
    """How a unit logs in at a TSS."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server may take.

    Attributes:
        connect_s: For a connection to open.
        silence_s: Between two packets of one.
        login_s: From the first packet until the login is done.
        file_s: For one file.
    """

    connect_s: float = 3.0
    silence_s: float = 10.0
    login_s: float = 20.0
    file_s: float = 120.0


class Files(Protocol):
    """Files that can be read by their path."""

    def fetch(self, path: str, *, offset: int = 0) -> Iterator[bytes]:
        """Yields the content of a file in chunks, from ``offset`` on; the caller bounds their sum.

        Raises:
            NoSuchFileError: The server does not have it.
            TransportError: The path is not acceptable, or the connection failed.
        """


class Session(Files, Protocol):
    """One logged-in session at one server; blocking, so use it from a worker thread."""

    @property
    def server(self) -> Server:
        """Where it is logged in."""

    def count_for(self, count: Callable[[int], None]) -> None:
        """Counts the round trips from here on for somebody else."""

    def close(self) -> None:
        """Says goodbye without waiting for an answer."""
