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
    ├── NtpError                   no NTP server gives a time that can be believed
    │   └── NtpRefusedError        a server must not be asked again
    ├── TftpError
    │   └── TftpRefusedError       the server answered, but not with the file
    ├── TransportError             a file did not come from a TSS
    │   ├── NoSuchFileError        550 or 404: final for this attempt
    │   ├── AccountRefusedError    530 or 401: this unit is not enrolled there
    │   └── UntrustedServerError   its certificate is not what the factory's CA promised
    ├── TrustError                 signature, expiry or version refused: nothing was changed
    ├── EnrolmentError             no certificate of the unit's own: the factory account serves on
    │   └── EnrolmentRefusedError  the TSS does not take the account, or the certificate
    ├── SlotError                  firmware that cannot be installed or started
    │   └── FirmwareRefusedError   it is older than what is good, or was taken back before
    ├── HealthError                a unit under trial does not do what it has to
    ├── DirectoryError
    │   ├── BadCredentialsError
    │   ├── DirectoryUnreachableError
    │   ├── DirectoryUntrustedError
    │   └── LockedOutError         too many wrong passwords: says how long to wait
    ├── VaultError                 what was kept sealed cannot be opened
    ├── ServiceError               a supervised process did not start
    └── ControlError               a request on the control socket that cannot be served

Bytes that are not what they claim to be raise `boot.wire.errors.WireError` instead;
the clients turn it into one of these or drop the packet.
"""

import re
from typing import ClassVar, Self


class BootError(Exception):
    """Something went wrong on the way from power-on to a running unit.

    Attributes:
        code: The reason, for machines: the name of the class in words, unless it says another.
        usual_remedy: What helps in general, for a raiser who knows nothing better.
        remedy: What the person who reads the message can do about it.
        server: Which server it is about; empty where it is about none.
        file: Which file, as the server or the medium knows it.
        option: Which option, key or setting.
    """

    code: ClassVar[str] = "failed"
    usual_remedy: ClassVar[str] = "read log/boot.log in the state folder"

    def __init_subclass__(cls) -> None:
        if "code" not in cls.__dict__:
            cls.code = _words(cls.__name__.removesuffix("Error"))

    def __init__(
        self, message: str, remedy: str = "", *, server: str = "", file: str = "", option: str = ""
    ) -> None:
        super().__init__(message)
        self.remedy = remedy or self.usual_remedy
        self.server, self.file, self.option = server, file, option

    def __str__(self) -> str:
        """The message, led by server, file and option where it does not name them itself."""
        message = super().__str__()
        places = (self.server, self.file, self.option)
        return ": ".join([*(place for place in places if place not in message), message])

    def at(self, *, server: str = "", file: str = "", option: str = "") -> Self:
        """Adds what only the caller knows; what was said already stays.  Returns itself."""
        self.server = self.server or server
        self.file = self.file or file
        self.option = self.option or option
        return self


def _words(name: str) -> str:
    """Returns a class's name as a code.

    >>> _words("AddressRefused")
    'address_refused'
    """
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class InterfaceError(BootError):
    """The network interface is missing or refuses a command."""

    usual_remedy = "check the cable, --interface and the unit's rights (CAP_NET_ADMIN)"


class IdentityError(BootError):
    """The factory folder is incomplete or damaged."""

    usual_remedy = "write the factory folder again: see docs/boot.md"


class DocumentError(BootError, ValueError):
    """A YAML document is too large, uses aliases, or is not a flat mapping."""

    usual_remedy = "write it as flat YAML, one key: value a line, and publish it again"


class DhcpError(BootError):
    """No usable lease."""

    usual_remedy = "check the cable, the VLAN and that a DHCP server or relay answers on this LAN"


class AddressRefusedError(DhcpError):
    """The server answered NAK: the address is not, or no longer, ours."""

    usual_remedy = "look at the DHCP server's pool and its reservation for this MAC"


class AddressConflictError(DhcpError):
    """Another machine answers for the address that the server offered (RFC 5227)."""

    usual_remedy = "find the other machine by its MAC, or take the address out of the pool"


class DnsError(BootError):
    """A name could not be resolved."""

    usual_remedy = "check DHCP option 6 and that the DNS server runs"


class UnknownNameError(DnsError):
    """The server says that the name, or an address for it, does not exist."""

    usual_remedy = "add the name to the DNS zone, or correct it where it is configured"


class NtpError(BootError):
    """No NTP server gives a time that can be believed; the clock stays as it is."""

    usual_remedy = "check DHCP option 42, UDP 123 and that the NTP server is synchronised"


class NtpRefusedError(NtpError):
    """An NTP server must not be asked again: a kiss of death (RFC 5905 §7.4)."""

    usual_remedy = "allow the unit's LAN in the NTP server, or take it out of DHCP option 42"


class TftpError(BootError):
    """A file did not come over TFTP."""

    usual_remedy = "check DHCP options 66, 67 and 150 and that the TFTP server runs"


class TftpRefusedError(TftpError):
    """The server answered, but not with the file: asking again changes nothing."""

    usual_remedy = "put the file into the TFTP server's root, readable for everybody"


class TransportError(BootError):
    """A file did not come from a TSS."""

    usual_remedy = "check that the TSS runs and that the LAN lets the unit reach it"


class AccountRefusedError(TransportError):
    """The server does not know this unit."""

    usual_remedy = "enrol the unit's MAC at the TSS"


class NoSuchFileError(TransportError):
    """The server does not have the file, or does not show it to this unit."""

    usual_remedy = "publish the file on the TSS"


class UntrustedServerError(TransportError):
    """The server's certificate is not what the factory's CA promised."""

    code = "untrusted"
    usual_remedy = "give the TSS a certificate of the factory's CA for its DNS name"


class TrustError(BootError):
    """Signature, expiry or version was refused; the last good content stays in use."""

    code = "untrusted"
    usual_remedy = "publish again on the TSS with the keys that the factory's root.json trusts"


class EnrolmentError(BootError):
    """The unit got no certificate of its own; what it had stays."""

    usual_remedy = "check that the TSS enrols by EST (RFC 7030) on TCP 443"


class EnrolmentRefusedError(EnrolmentError):
    """The TSS takes neither the unit's factory account nor its certificate."""

    usual_remedy = "add the unit at the TSS, or write its factory folder again"


class SlotError(BootError):
    """A firmware image cannot be installed, or no slot can be started."""

    usual_remedy = "build the firmware again with: python -m build --wheel"


class FirmwareRefusedError(SlotError):
    """The firmware is older than what is good, or was taken back before; nothing was changed."""

    code = "refused"
    usual_remedy = "publish a firmware that is newer than this one"


class HealthError(BootError):
    """A unit under trial does not do what it has to."""

    usual_remedy = "build the firmware again with: python -m build --wheel"


class DirectoryError(BootError):
    """Nobody was logged in."""

    usual_remedy = "check application.directory.servers and the directory's log"


class BadCredentialsError(DirectoryError):
    """The directory refused user or password."""

    usual_remedy = "type user and password again"


class DirectoryUnreachableError(DirectoryError):
    """No directory server answered."""

    code = "unreachable"
    usual_remedy = "check application.directory.servers and that a directory server runs"


class DirectoryUntrustedError(DirectoryError):
    """A directory server's certificate is not what the factory's CA promised."""

    code = "untrusted"
    usual_remedy = "give the directory a certificate of the factory's CA for its DNS name"


class LockedOutError(DirectoryError):
    """Too many wrong passwords came before; the directory was not asked."""

    usual_remedy = "wait until the lock-out is over, then type user and password again"


class VaultError(BootError):
    """What was kept sealed cannot be opened: it, or the unit's key, is damaged."""

    usual_remedy = "log in while a directory and a TSS answer: what was kept is made anew"


class ServiceError(BootError):
    """A supervised process did not start."""

    usual_remedy = "read the service's log in the state folder: log/matrix.log, log/runtime.log"


class ControlError(BootError):
    """A request on the control socket cannot be served."""

    code = "bad_request"
    usual_remedy = "send a request as docs/boot.md describes it"
