"""What can go wrong on the way from power-on to a running unit, as one tree.

Every one says what happened in its message and what a person can do in its remedy.

::

    BootError
    ├── InterfaceError             the network interface is missing or refuses a command
    ├── IdentityError              the factory folder is incomplete or damaged
    ├── DocumentError              YAML that is too large, too clever or not flat
    ├── DhcpError
    │   ├── AddressRefusedError    the server said NAK
    │   └── AddressConflictError   somebody else answers for the offered address
    ├── DnsError
    │   └── UnknownNameError       the servers agree that the name does not exist
    ├── TftpError
    │   └── TftpRefusedError       the server answered, but not with the file
    ├── TransportError             a file did not come from a TSS
    │   ├── NoSuchFileError        550 or 404: final for this attempt
    │   ├── AccountRefusedError    530 or 401: this unit is not enrolled there
    │   └── UntrustedServerError   its certificate is not what the factory's CA promised
    ├── TrustError                 signature, expiry or version refused: nothing was changed
    ├── SlotError                  firmware that cannot be installed or started
    │   └── FirmwareRefusedError   it is older than what is good, or was taken back before
    ├── HealthError                a unit under trial does not do what it has to
    ├── DirectoryError
    │   ├── BadCredentialsError
    │   ├── DirectoryUnreachableError
    │   └── DirectoryUntrustedError
    ├── ServiceError               a supervised process did not start
    └── ControlError               a request on the control socket that cannot be served

Bytes that are not what they claim to be raise `boot.wire.errors.WireError` instead;
the clients turn it into one of these or drop the packet.
"""

from typing import ClassVar


class BootError(Exception):
    """Root of everything that the boot agent raises.

    Attributes:
        code: The reason, for machines.
        remedy: What the person who reads the message can do about it.
    """

    code: ClassVar[str] = "failed"

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class InterfaceError(BootError):
    """The network interface is missing or refuses a command."""


class IdentityError(BootError):
    """The factory folder is incomplete or damaged."""


class DocumentError(BootError, ValueError):
    """A YAML document is too large, uses aliases, or is not a flat mapping."""


class DhcpError(BootError):
    """No usable lease."""


class AddressRefusedError(DhcpError):
    """The server answered NAK: the address is not, or no longer, ours."""


class AddressConflictError(DhcpError):
    """Another machine answers for the address that the server offered (RFC 5227)."""


class DnsError(BootError):
    """A name could not be resolved."""


class UnknownNameError(DnsError):
    """The server says that the name, or an address for it, does not exist."""


class TftpError(BootError):
    """A file did not come over TFTP."""


class TftpRefusedError(TftpError):
    """The server answered, but not with the file: asking again changes nothing."""


class TransportError(BootError):
    """A file did not come from a TSS."""


class AccountRefusedError(TransportError):
    """The server does not know this unit."""


class NoSuchFileError(TransportError):
    """The server does not have the file, or does not show it to this unit."""


class UntrustedServerError(TransportError):
    """The server's certificate is not what the factory's CA promised."""

    code = "untrusted"


class TrustError(BootError):
    """Signature, expiry or version was refused; the last good content stays in use."""

    code = "untrusted"


class SlotError(BootError):
    """A firmware image cannot be installed, or no slot can be started."""


class FirmwareRefusedError(SlotError):
    """The firmware is older than what is good, or was taken back before; nothing was changed."""

    code = "refused"


class HealthError(BootError):
    """A unit under trial does not do what it has to."""


class DirectoryError(BootError):
    """Nobody was logged in."""


class BadCredentialsError(DirectoryError):
    """The directory refused user or password."""

    code = "bad_credentials"


class DirectoryUnreachableError(DirectoryError):
    """No directory server answered."""

    code = "unreachable"


class DirectoryUntrustedError(DirectoryError):
    """A directory server's certificate is not what the factory's CA promised."""

    code = "untrusted"


class ServiceError(BootError):
    """A supervised process did not start."""


class ControlError(BootError):
    """A request on the control socket cannot be served."""

    code = "bad_request"
