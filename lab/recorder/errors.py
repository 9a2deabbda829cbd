"""What may go wrong in the recorder.

LabError
└── RecorderError
    ├── LayoutError     a folder does not hold a recording
    └── AlignmentError  two recordings have nothing by which they could be laid side by side
"""

from __future__ import annotations

from ..errors import LabError


class RecorderError(LabError):
    """Root of everything that the recorder raises."""


class LayoutError(RecorderError, ValueError):
    """A folder does not hold a recording."""


class AlignmentError(RecorderError, ValueError):
    """Two recordings have nothing by which they could be laid side by side."""
