"""What can go wrong at a rig, below the tree of `openturret.lab.errors`.

LabError
└── RigError
    ├── PowerError          the floor refused to switch a unit, or does not answer
    ├── CallRefusedError    the far end, or the PBX, did not take a call
    ├── UnclearMatchError   a USB match that fits every device of its kind
    ├── ElsewhereError      the device is plugged into another machine than this one
    ├── SoundError          nothing could be recorded or played
    ├── LeaseError          no place could be reserved, or it was taken away
    └── LabgridMissingError labgrid is not installed here
"""

from __future__ import annotations

from ..errors import LabError


class RigError(LabError):
    """Root of everything that a rig raises."""


class PowerError(RigError, RuntimeError):
    """The floor refused to switch a unit, or does not answer."""


class CallRefusedError(RigError, RuntimeError):
    """The far end, or the PBX, did not take a call; the message says its SIP status."""


class UnclearMatchError(RigError, ValueError):
    """A USB match that fits every device of its kind; the message says what to add."""


class ElsewhereError(RigError, LookupError):
    """A device hangs on another machine, whose kernel alone can drive it."""


class SoundError(RigError, RuntimeError):
    """The sound of a device could not be recorded or played."""


class LeaseError(RigError, RuntimeError):
    """A place could not be reserved, or was taken away while it was held."""


class LabgridMissingError(RigError, ImportError):
    """Labgrid is not installed in this environment; the message says what brings it."""
