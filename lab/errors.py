"""What can go wrong on the bench.

LabError
├── ToolMissingError        a server program is not there; says which package brings it
├── NamespaceError          the kernel or the container forbids namespaces; says the remedy
├── NetworkError            a link, route or address could not be made
├── ServiceError            a server ended or was not ready in time; carries the end of its log
├── GuestError              a QEMU guest cannot be made, or did not do what it was started for
├── PublishError            the TSS could not publish (unknown unit, no such file)
└── SpeechError             no speech could be made
"""

from __future__ import annotations


class LabError(Exception):
    """Root of everything that the bench raises."""


class ToolMissingError(LabError, FileNotFoundError):
    """A program of the bench is neither in the private sysroot nor on the PATH."""


class NamespaceError(LabError, PermissionError):
    """Namespaces cannot be made here; the message says what would allow them."""


class NetworkError(LabError, OSError):
    """The network refused a command of iproute2."""


class ServiceError(LabError, RuntimeError):
    """A server of the bench ended, or was not ready before its deadline."""


class GuestError(LabError, RuntimeError):
    """A QEMU guest cannot be made here, or it broke off; carries the end of its console."""


class PublishError(LabError, ValueError):
    """The TSS was asked to publish something that it does not have."""


class SpeechError(LabError, RuntimeError):
    """A sentence could not be spoken into a file."""
