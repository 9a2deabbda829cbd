"""What can go wrong with recording, as one tree; none of it touches the voice.

::

    RecordingError
    ├── SessionLostError   a recorder refused, fell silent or ended its session
    ├── RecorderUriError   the configured address of a recorder cannot be used
    └── LedgerError        the call log cannot be opened, mended or written
"""

from __future__ import annotations

from ..errors import FirmwareError


class RecordingError(FirmwareError):
    """Root of everything that recording raises."""


class SessionLostError(RecordingError):
    """A recorder refused, fell silent or ended its session."""


class RecorderUriError(RecordingError, ValueError):
    """The configured address of a recorder cannot be used."""


class LedgerError(RecordingError):
    """The call log cannot be opened, mended or written."""
