"""Throws the power switch of a unit on a floor (`floor` says what goes over the wire)."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from ...hal.errors import WireError
from ...hal.wire.json_lines import LineSplitter, decode, encode, field
from .errors import PowerError

CONNECT_S = 5.0
ANSWER_S = 30.0
"""A unit is switched on or off well within this time."""


@dataclass(frozen=True, slots=True)
class PowerSwitch:
    """The power switch of one unit.

    Attributes:
        host: where the floor listens.
        port: its port for power.
        unit: the unit's name.
    """

    host: str
    port: int
    unit: str

    def on(self) -> None:
        """Plug it in; nothing happens when it is on.

        Raises:
            PowerError: the floor refuses or does not answer.
        """
        self._ask("power_on")

    def off(self) -> None:
        """Pull the plug: every process of it dies at once; nothing happens when it is off.

        Raises:
            PowerError: the floor refuses or does not answer.
        """
        self._ask("power_off")

    def is_on(self) -> bool:
        """Whether it has power.

        Raises:
            PowerError: the floor refuses or does not answer.
        """
        return self._ask("is_on")

    def _ask(self, method: str) -> bool:
        request = encode({"id": 1, "method": method, "params": {"unit": self.unit}})
        try:
            reply = decode(_exchange(self.host, self.port, request))
            if "error" in reply:
                raise PowerError(f"{self.unit}: {field(reply, 'error', str)}")
            return field(field(reply, "result", dict), "on", bool)
        except (OSError, WireError) as error:
            where = f"{self.host}:{self.port}"
            message = f"{self.unit}: no power switch at {where}: {error}; does `turret rig up` run?"
            raise PowerError(message) from error


def _exchange(host: str, port: int, request: bytes) -> bytes:
    splitter = LineSplitter()
    with socket.create_connection((host, port), timeout=CONNECT_S) as connection:
        connection.settimeout(ANSWER_S)
        connection.sendall(request)
        while data := connection.recv(4096):
            for line in splitter.feed(data):
                return line
    raise ConnectionResetError("it hung up")
