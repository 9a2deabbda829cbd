"""Buses: where ports talk and listen."""

from errno import EBADF
from typing import TYPE_CHECKING, TypeAlias

from ._engine import lib
from .device import Device
from .errors import ClosedError
from .leg import Leg
from .part import Part, check, gain_db, within
from .source import Source

if TYPE_CHECKING:
    from . import _engine as c  # noqa: F401 (in a string below)

Port: TypeAlias = Leg | Device | Source


class Bus(Part["c.BusHandle"]):
    """A place where ports talk and listen; nobody hears itself."""

    def join(self, port: Port, *, talk_db: float | None, listen_db: float | None) -> None:
        """Lets a port talk, listen or both; joining again moves the gains without a click.

        A port may be on several buses: it hears their sum.  One of another rate is resampled.

        Args:
            port: A leg, device or source of the same engine.
            talk_db: Gain of what it says, at most +20 dB; None is not talking.
            listen_db: Gain of what it hears, at most +20 dB; None is not listening.

        Raises:
            ClosedError: The bus or port was closed, or they belong to different engines.
            SettingError: A gain is out of bounds.
        """
        if port.engine is not self.engine:
            raise ClosedError(EBADF, "the port belongs to another engine")
        port.handle  # noqa: B018
        code = lib.ot_bus_join(self.handle, port.id, gain_db(talk_db), gain_db(listen_db))
        check(code, "cannot join the bus")

    def leave(self, port: Port) -> None:
        """Fades a port out of the bus; leaving a bus one is not on does nothing.

        Raises:
            ClosedError: The bus was closed.
        """
        check(lib.ot_bus_leave(self.handle, port.id), "cannot leave the bus")

    def loudest(self, count: int) -> None:
        """Mixes only so many of those who talk, the loudest; 0 is everybody.

        A place is kept for at least 300 ms and lost only to one who is 3 dB louder.

        Raises:
            SettingError: The number is out of bounds.
            ClosedError: The bus was closed.
        """
        code = lib.ot_bus_loudest(self.handle, within(count, 16, "number of talkers"))
        check(code, "cannot choose the loudest")

    def close(self) -> None:
        """Empties the bus and untaps its recordings; closing twice does nothing."""
        self._close(lib.ot_bus_close)
