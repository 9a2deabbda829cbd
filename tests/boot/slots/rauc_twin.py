"""RAUC's twin on a bus: the part of ``de.pengutronix.rauc.Installer`` (RAUC 1.8) that is used.

A bundle is a text here: ``bundle VERSION KEY``.  It is installed as RAUC does it: the answer to
InstallBundle comes at once, the target is not bootable meanwhile, Completed tells how it ended.

What it does not emulate: images, progress, groups of slots, adaptive updates.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusError

from openturret.boot.slots.rauc import INTERFACE, NAME, PATH

if TYPE_CHECKING:
    from tests.boot.slots.rigs import Bootloader

KEY = "test"


class RaucTwin:
    """One ``rauc service``.

    Args:
        bus: Address of the bus.
        bootloader: Its handler is asked as RAUC asks it.
        booted: Boot name of the slot that the unit runs from.
        status: Survives the service: version by boot name.

    Attributes:
        hangs: An installation never completes.
        leaves: The service goes away in the middle of an installation.
        lies: The version that a slot is said to have after an installation.
        answers: What GetSlotStatus answers instead: signature and body.
    """

    def __init__(
        self, bus: str, bootloader: Bootloader, booted: str, status: dict[str, str]
    ) -> None:
        self._address = bus
        self._bootloader = bootloader
        self._booted = booted
        self._status = status
        self._error = ""
        self._work: asyncio.Task[None] | None = None
        self.hangs = self.leaves = False
        self.lies = ""
        self.answers: tuple[str, list[object]] | None = None

    async def start(self) -> None:
        self._bus = MessageBus(bus_address=self._address, bus_type=BusType.SYSTEM)
        await self._bus.connect()
        self._bus.add_message_handler(self._handle)
        await self._bus.request_name(NAME)

    async def stop(self) -> None:
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        self._bus.disconnect()

    def _handle(self, message: Message) -> Message | None:
        if message.message_type is not MessageType.METHOD_CALL or message.destination != NAME:
            return None
        methods = {
            "GetSlotStatus": self._slot_status,
            "GetPrimary": self._primary,
            "Mark": self._mark,
            "InstallBundle": self._install,
            "Get": self._get,
        }
        return methods[str(message.member)](message)

    def _slot_status(self, message: Message) -> Message:
        if self.answers is not None:
            return Message.new_method_return(message, *self.answers)
        names = (self._bootloader.ask("get-state", name) for name in self._bootloader.NAMES)
        states = dict(zip(self._bootloader.NAMES, names, strict=True))
        slots = [
            [f"rootfs.{number}", self._facts(name, states[name])]
            for number, name in enumerate(self._bootloader.NAMES)
        ]
        slots.append(["appfs.0", {"class": Variant("s", "appfs"), "state": Variant("s", "active")}])
        return Message.new_method_return(message, "a(sa{sv})", [slots])

    def _facts(self, name: str, state: str) -> dict[str, Variant]:
        facts = {
            "bootname": Variant("s", name),
            "boot-status": Variant("s", state),
            "class": Variant("s", "rootfs"),
            "device": Variant("s", f"/dev/{name}"),
            "state": Variant("s", "booted" if name == self._booted else "inactive"),
            "type": Variant("s", "raw"),
        }
        if name in self._status:
            version = self._status[name]
            facts["bundle.version"] = Variant("s", version)
            facts["installed.count"] = Variant("u", 1)
            facts["sha256"] = Variant("s", hashlib.sha256(version.encode()).hexdigest())
            facts["size"] = Variant("t", 8192)
            facts["status"] = Variant("s", "ok" if version else "pending")
        return facts

    def _primary(self, message: Message) -> Message:
        number = self._bootloader.NAMES.index(self._bootloader.ask("get-primary"))
        return Message.new_method_return(message, "s", [f"rootfs.{number}"])

    def _mark(self, message: Message) -> Message:
        state, identifier = message.body
        slot = f"rootfs.{self._bootloader.NAMES.index(self._booted)}"
        slot = slot if identifier == "booted" else identifier
        name = self._bootloader.NAMES[int(slot[-1])]
        words = ("set-primary", name) if state == "active" else ("set-state", name, state)
        self._bootloader.ask(*words)
        return Message.new_method_return(message, "ss", [slot, f"marked slot {slot} as {state}"])

    def _install(self, message: Message) -> Message:
        if self._work is not None and not self._work.done():
            words = "Already processing a different method"
            return Message.new_error(message, "org.gtk.GDBus.UnmappedGError", words)
        self._work = asyncio.create_task(self._installed(Path(message.body[0])))
        return Message.new_method_return(message)

    async def _installed(self, bundle: Path) -> None:
        target = next(name for name in self._bootloader.NAMES if name != self._booted)
        _, version, key = bundle.read_text().split()
        if key != KEY:
            self._error = "signature verification failed: self-signed certificate"
            await self._completed(1)
            return
        self._bootloader.ask("set-state", target, "bad")
        self._status[target] = ""
        if self.leaves:
            self._bus.disconnect()
        if self.leaves or self.hangs:
            return
        self._status[target] = self.lies or version
        self._bootloader.ask("set-primary", target)
        await self._completed(0)

    async def _completed(self, result: int) -> None:
        await self._bus.send(Message.new_signal(PATH, INTERFACE, "Completed", "i", [result]))

    def _get(self, message: Message) -> Message:
        if message.body[1] != "LastError":
            raise DBusError("org.freedesktop.DBus.Error.InvalidArgs", "no such property")
        return Message.new_method_return(message, "v", [Variant("s", self._error)])
