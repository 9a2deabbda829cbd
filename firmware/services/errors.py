"""What can go wrong in the services of a unit.

::

    ServiceError
    ├── BootGoneError          the boot agent does not answer
    ├── LoginRefusedError      the boot agent refused a login; machine-readable code
    └── RequestRefusedError    a web request is refused; HTTP status, code and remedy
"""

from ..errors import FirmwareError


class ServiceError(FirmwareError):
    """Root of everything that the services raise.

    Attributes:
        code: Machine-readable reason.
        remedy: What the reader can do about it.
    """

    code = "failed"

    def __init__(self, message: str, *, code: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.code = code or type(self).code
        self.remedy = remedy


class BootGoneError(ServiceError, ConnectionError):
    """The boot agent does not answer on its control socket."""

    code = "boot_gone"


class LoginRefusedError(ServiceError):
    """The boot agent refused to log the user in, or something else it was asked for."""

    code = "refused"


class RequestRefusedError(ServiceError):
    """A web request is refused.

    Attributes:
        status: HTTP status of the answer.
        headers: Headers that the answer carries besides.
    """

    code = "bad_request"

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        code: str = "",
        remedy: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message, code=code, remedy=remedy)
        self.status = status
        self.headers = headers or {}
