"""What every handle of the engine has in common: errors by name, and an end."""

import math
import os
from errno import EADDRINUSE, EAGAIN, EALREADY, EBADF, EINVAL, ENOSPC, ENOTSUP
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from ._engine import lib
from .errors import (
    AddressInUseError,
    CapacityError,
    ClosedError,
    EngineError,
    EngineStalledError,
    EngineStateError,
    NotNegotiatedError,
    SettingError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .engine import Engine

Handle = TypeVar("Handle")

_ERRORS: dict[int, type[EngineError]] = {
    EADDRINUSE: AddressInUseError,
    ENOSPC: CapacityError,
    EBADF: ClosedError,
    EALREADY: EngineStateError,
    EAGAIN: EngineStalledError,
    EINVAL: SettingError,
    ENOTSUP: NotNegotiatedError,
}


def check(code: int, what: str) -> None:
    """Raises the exception that an errno from C stands for."""
    if code:
        raise _ERRORS.get(code, EngineError)(code, f"{what}: {os.strerror(code)}")


def within(value: int, bits: int, what: str) -> int:
    """Returns a value that fits an unsigned C integer, or raises."""
    if not 0 <= value < 1 << bits:
        raise SettingError(EINVAL, f"{what} {value} is not in 0 to {(1 << bits) - 1}")
    return value


def level_dbfs(energy: int) -> float:
    """Returns the level of a tick at 8 kHz with so much energy."""
    return lib.ot_level_dbfs(energy, lib.OT_TICK_SAMPLES)


def gain_db(gain: float | None) -> float:
    """Returns a gain as C wants it: None is silence."""
    return -math.inf if gain is None else gain


class Part(Generic[Handle]):
    """A handle that keeps its engine alive and knows when it was closed."""

    def __init__(self, engine: "Engine", handle: Handle) -> None:
        self.engine = engine
        self._open_handle: Handle | None = handle

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._open_handle is None

    @property
    def handle(self) -> Handle:
        """What C knows it by.

        Raises:
            ClosedError: It was closed.
        """
        if self._open_handle is None:
            raise ClosedError(EBADF, f"this {type(self).__name__.lower()} was closed")
        return self._open_handle

    def _close(self, close: "Callable[[Handle], int]") -> None:
        if self._open_handle is None:
            return
        check(close(self._open_handle), f"cannot close the {type(self).__name__.lower()}")
        self._open_handle = None


class Numbered(Protocol):
    """A leg, device or source: what a bus knows by a number."""

    id: int

    @property
    def handle(self) -> object:
        """What C knows it by; raises ClosedError when it was closed."""
