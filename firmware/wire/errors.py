"""What may be wrong with bytes from the wire.

::

    WireError
    ├── TruncatedError     the bytes end before the value does
    ├── MalformedError     the bytes break the grammar
    ├── TooLargeError      the bytes go past a bound of ours
    └── SipMessageError    a SIP message that cannot be used; carries what could be read
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import FirmwareError

if TYPE_CHECKING:
    from .sip import Request, Response


class WireError(FirmwareError):
    """Anything that the wire formats refuse."""


class TruncatedError(WireError, ValueError):
    """The bytes end before the value does."""


class MalformedError(WireError, ValueError):
    """The bytes break the grammar."""


class TooLargeError(WireError, ValueError):
    """The bytes go past a bound of ours."""


class SipMessageError(WireError, ValueError):
    """A SIP message that cannot be used.

    Attributes:
        status: the status that a server should answer with (RFC 3261 section 21).
        head: what could be read, so that an answer can be written; None when nothing could.
    """

    def __init__(
        self, text: str, *, status: int = 400, head: Request | Response | None = None
    ) -> None:
        super().__init__(text)
        self.status = status
        self.head = head
