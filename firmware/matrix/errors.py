"""What can go wrong in the matrix process; each class carries its OLDCB error code.

::

    FirmwareError
    └── MatrixProcessError        failed
        ├── BadRequestError       bad_request   the request cannot be understood
        ├── UnknownMethodError    unsupported   no such method in this version
        ├── UnknownThingError     unknown       no such leg, bus, device, source, sink or recording
        ├── ConflictError         conflict      it is there already, or does not fit what is
        └── ExhaustedError        exhausted     no RTP port pair, bus or handle is left
"""

from ..errors import FirmwareError


class MatrixProcessError(FirmwareError):
    """The matrix could not do it."""

    code = "failed"


class BadRequestError(MatrixProcessError, ValueError):
    """The request cannot be understood."""

    code = "bad_request"


class UnknownMethodError(MatrixProcessError, LookupError):
    """This version of the protocol has no such method."""

    code = "unsupported"


class UnknownThingError(MatrixProcessError, LookupError):
    """No such leg, bus, device, source, sink or recording."""

    code = "unknown"


class ConflictError(MatrixProcessError):
    """It is there already, or does not fit what is there."""

    code = "conflict"


class ExhaustedError(MatrixProcessError):
    """No RTP port pair, bus or handle is left."""

    code = "exhausted"
