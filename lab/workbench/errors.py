"""Why a bench TSS cannot be served.

::

    WorkbenchError
    ├── PlaceError    the interface or the address cannot be used
    └── PortError     a port is taken, or a right is missing
"""

from __future__ import annotations

from ..errors import LabError


class WorkbenchError(LabError):
    """A bench TSS cannot be served here; the message says what would help."""


class PlaceError(WorkbenchError, ValueError):
    """The interface is missing, down or without a usable address."""


class PortError(WorkbenchError, OSError):
    """A port is taken, or may not be used by this user."""
