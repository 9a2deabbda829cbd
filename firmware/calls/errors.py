"""What can go wrong with calls, as one tree.

::

    CallsError
    ├── MissingExtraError      pjsua2 is not installed; says which extra to install
    ├── AgentError             the SIP agent refused, or PJSIP did
    │   └── AgentStoppedError  the agent is not running
    ├── UnknownCallError       no call of that id
    ├── CallFailedError        the call did not come about; carries the SIP status
    ├── LineError              the line or handset is not in the state for that; remedy
    └── JournalError           an entry of the journal cannot be read
"""

from __future__ import annotations

from ..errors import FirmwareError


class CallsError(FirmwareError):
    """Anything that goes wrong with calls."""


class MissingExtraError(CallsError, ImportError):
    """A library is not installed; the message names the extra that brings it."""


class AgentError(CallsError):
    """The SIP agent, or PJSIP under it, refused."""


class AgentStoppedError(AgentError):
    """The agent is not running."""


class UnknownCallError(CallsError, LookupError):
    """There is no call of that id."""


class CallFailedError(CallsError):
    """A call did not come about.

    Attributes:
        status: The SIP status (RFC 3261 section 21), 0 when there was none.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class LineError(CallsError):
    """The line or the handset is not in the state for that.

    Attributes:
        remedy: What the dealer can do about it.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message}: {remedy}" if remedy else message)
        self.remedy = remedy


class JournalError(CallsError, ValueError):
    """An entry of the journal cannot be read."""
