"""What can go wrong in the firmware, as one tree; each room hangs its own branch here.

::

    FirmwareError
    └── (each package under firmware/ derives its root from FirmwareError)
"""


class FirmwareError(Exception):
    """Root of everything that the firmware raises."""
