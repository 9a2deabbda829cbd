"""What can go wrong between a unit and its hardware, as one tree.

::

    HalError
    ├── WireError                 bytes that are not the message they claim to be
    │   ├── LineTooLongError      a line longer than the reader allows
    │   ├── NotJsonError          a line that is not one JSON object
    │   └── FieldError            a field that is missing or has the wrong type
    ├── BoardError                a board description is refused; line and remedy
    ├── DriverMissingError        no driver of that name, or its extra is not installed
    ├── DeviceError
    │   ├── DeviceGoneError       unplugged, or its power was cut
    │   ├── AudioFormatError      a frame of another size or rate than the device's
    │   ├── GainError             the device has no such gain
    │   └── MatchError            not exactly one device answers to a board position
    └── MatrixError               the mixing matrix refused; machine-readable code
        ├── MatrixGoneError       no connection to the matrix
        ├── UnknownPortError      no such leg, device, bus, source, sink or recording
        ├── MatrixConflictError   it does not fit what is there
        ├── PortsExhaustedError   no free RTP port pair is left
        └── MatrixRequestError    the request itself was wrong
"""


class HalError(Exception):
    """Root of everything that the hardware abstraction raises."""


class WireError(HalError, ValueError):
    """Bytes from outside are not the message they claim to be."""


class LineTooLongError(WireError):
    """A line exceeds what the reader is willing to keep."""


class NotJsonError(WireError):
    """A line is not one JSON object."""


class FieldError(WireError):
    """A field of a message is missing, unknown or of the wrong type."""


class BoardError(HalError, ValueError):
    """A board description is refused.

    Attributes:
        line: Line of the file, counted from 1; None when the whole file is at fault.
        remedy: What the reader of the message can do about it.
    """

    def __init__(self, message: str, *, line: int | None = None, remedy: str = "") -> None:
        self.line = line
        self.remedy = remedy
        place = "" if line is None else f"line {line}: "
        super().__init__(f"{place}{message}" + (f"; {remedy}" if remedy else ""))


class DriverMissingError(HalError, LookupError):
    """No driver of that name is registered, or what it needs is not installed."""


class DeviceError(HalError):
    """A device did not do what was asked."""


class DeviceGoneError(DeviceError, ConnectionError):
    """The device was unplugged, or its power was cut."""


class AudioFormatError(DeviceError, ValueError):
    """Audio is not in the format of the device: its rate, mono, 16 bits, whole frames."""


class GainError(DeviceError, ValueError):
    """The device has no such gain of its own."""


class MatchError(DeviceError, LookupError):
    """Not exactly one device that is plugged in answers to a board position.

    Attributes:
        remedy: What to change at the cable or in the board description.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        self.remedy = remedy
        super().__init__(f"{message}; {remedy}" if remedy else message)


class MatrixError(HalError):
    """The mixing matrix refused.

    Attributes:
        code: The machine-readable reason, as OLDCB spells it.
    """

    code = "failed"


class MatrixGoneError(MatrixError, ConnectionError):
    """There is no connection to the mixing matrix."""

    code = "gone"


class UnknownPortError(MatrixError, LookupError):
    """The matrix knows no such leg, device, bus, source, sink or recording."""

    code = "unknown"


class MatrixConflictError(MatrixError):
    """It is there already, or does not fit what is there."""

    code = "conflict"


class PortsExhaustedError(MatrixError):
    """Every RTP port pair of the configured range is in use."""

    code = "exhausted"


class MatrixRequestError(MatrixError, ValueError):
    """The request is not one that the matrix understands."""

    code = "bad_request"
