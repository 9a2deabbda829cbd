"""What may go wrong in the turret proxy.

LabError
└── HootError   a hoot has nothing to say
"""

from __future__ import annotations

from ..errors import LabError


class HootError(LabError, ValueError):
    """A hoot has nothing to say."""
