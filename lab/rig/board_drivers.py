"""Drivers of hardware that is tested by itself: a board, a USB handset, the console of an XMA2."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import ClassVar

import attr

from ...hal import Handset, SystemClock, Xma
from ...hal.board import DEFAULTS, Board, DeviceSpec, DeviceType, load_board
from ...hal.errors import DriverMissingError
from ...hal.registry import Registry
from ..hands.hand import Ability, Hand
from ..hands.operator import OperatorHand, Terminal
from ..hands.sockets import SocketHand
from ._labgrid import (
    Driver,
    NetworkSerialPort,
    RawSerialPort,
    USBSerialPort,
    proxymanager,
    target_factory,
)
from .here import require_here
from .protocols import BoardProtocol
from .resources import EmulatedBoard, NetworkUSBHandset, RigBoard, USBHandset


@target_factory.reg_driver
@attr.s(eq=False)
class EmulatedBoardDriver(Driver, BoardProtocol):
    """Emulated hardware of this machine, worked by a program's hand."""

    bindings: ClassVar = {"hardware": {EmulatedBoard}}
    hardware: EmulatedBoard

    @Driver.check_active
    def board(self) -> Board:
        """The devices, by position."""
        require_here(self.hardware.host, f"the emulated hardware of {self.hardware.board}")
        return load_board(Path(self.hardware.board))

    @Driver.check_active
    def abilities(self) -> frozenset[Ability]:
        """What a hand at emulated hardware can do."""
        return SocketHand.ABILITIES

    @Driver.check_active
    async def hand(self) -> Hand:
        """A hand at the emulated hardware."""
        return await SocketHand.connect(Path(self.hardware.sockets))


@target_factory.reg_driver
@attr.s(eq=False)
class RigBoardDriver(Driver, BoardProtocol):
    """Real hardware of this machine, worked by a person or by actuators.

    Attributes:
        actuator: command line of the program that works them (`openturret.lab.hands.operator`);
            "" asks a person for everything.
    """

    bindings: ClassVar = {"hardware": {RigBoard}}
    hardware: RigBoard
    actuator: str = attr.ib(default="", validator=attr.validators.instance_of(str))

    @Driver.check_active
    def board(self) -> Board:
        """The devices, by position."""
        require_here(self.hardware.host, f"the hardware of {self.hardware.board}")
        return load_board(Path(self.hardware.board))

    @Driver.check_active
    def abilities(self) -> frozenset[Ability]:
        """What a person can do, and the actuators beside."""
        return OperatorHand.abilities_of(shlex.split(self.actuator))

    @Driver.check_active
    async def hand(self) -> Hand:
        """A person's hand, and the actuators'."""
        return OperatorHand(Terminal(), shlex.split(self.actuator), self.abilities())


@target_factory.reg_driver
@attr.s(eq=False)
class HandsetDriver(Driver):
    """A USB handset, in the words of the HAL."""

    bindings: ClassVar = {"usb": {USBHandset, NetworkUSBHandset}}
    usb: USBHandset | NetworkUSBHandset

    @Driver.check_active
    def spec(self) -> DeviceSpec:
        """How a board describes this handset."""
        match: dict[str, str | int] = {"vid": self.usb.vid, "pid": self.usb.pid}
        places = {"port": self.usb.port, "serial": self.usb.serial}
        match.update({key: value for key, value in places.items() if value})
        return DeviceSpec(
            position=self.usb.position,
            type=DeviceType.HANDSET,
            driver="usb",
            match=match,
            capabilities=DEFAULTS[DeviceType.HANDSET],
        )

    @Driver.check_active
    def handset(self) -> Handset:
        """The handset, not opened yet.

        Raises:
            ElsewhereError: it is plugged into another machine.
            DriverMissingError: the driver ``usb.handset`` is not installed.
        """
        if isinstance(self.usb, NetworkUSBHandset):
            require_here(self.usb.host, f"the handset {self.usb.vid:04x}:{self.usb.pid:04x}")
        return Registry().handset(self.spec(), SystemClock())


@target_factory.reg_driver
@attr.s(eq=False)
class Xma2Driver(Driver):
    """An XMA2 at its console, in the words of the HAL; the line is one of labgrid's own.

    Attributes:
        secret: path of the file with the module's secret, on the machine of the test.
        channels: how many speaker channels it carries.
        position: its place on the board.
    """

    bindings: ClassVar = {"console": {NetworkSerialPort, RawSerialPort, USBSerialPort}}
    console: NetworkSerialPort | RawSerialPort | USBSerialPort
    secret: str = attr.ib(validator=attr.validators.instance_of(str))
    channels: int = attr.ib(default=8, validator=attr.validators.in_(range(1, 33)))
    position: str = attr.ib(default="xma-1", validator=attr.validators.instance_of(str))

    @Driver.check_active
    def spec(self) -> DeviceSpec:
        """How a board describes this module."""
        return DeviceSpec(
            position=self.position,
            type=DeviceType.XMA2,
            driver="xma2",
            match={"url": self._url(), "secret": self.secret},
            capabilities=DEFAULTS[DeviceType.XMA2],
            channels=self.channels,
        )

    @Driver.check_active
    def xma(self) -> Xma:
        """The module, not opened yet.

        Raises:
            DriverMissingError: the driver ``xma2.xma2`` is not installed.
        """
        made = Registry().device(self.spec(), SystemClock())
        if not isinstance(made, Xma):
            raise DriverMissingError("driver xma2.xma2 makes no XMA2")
        return made

    def _url(self) -> str:
        if not isinstance(self.console, NetworkSerialPort):
            return str(self.console.port)
        host, port = proxymanager.get_host_and_port(self.console)
        scheme = "socket" if self.console.protocol == "raw" else "rfc2217"
        return f"{scheme}://{host}:{port}"
