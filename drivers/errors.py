"""What can go wrong in drivers, below the tree of hal.errors.

::

    HalError
    └── DeviceError
        └── EmulationError        the emulated hardware cannot do what the hand asked
            └── HandRefusedError  the hardware process answered with an error
"""

from ..hal.errors import DeviceError


class EmulationError(DeviceError):
    """The emulated hardware cannot do what was asked."""


class HandRefusedError(EmulationError):
    """The hardware process refused what the hand wanted to do."""
