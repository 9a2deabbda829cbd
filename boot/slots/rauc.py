"""Two slots that RAUC fills and a bootloader chooses between (``de.pengutronix.rauc.Installer``).

The bootloader counts the attempts at a slot and goes back by itself when they are used up; RAUC
tells it what is good and what is bad.  What neither of them knows is kept beside: which slot was
committed, which one is on trial, and what was taken back.

A unit of this kind gets a bundle (``.raucb``) instead of a wheel.  Its manifest is verified as
every other, then RAUC verifies the bundle by its own key ring.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusError

from ..errors import FirmwareRefusedError, SlotError
from .image import check_hash
from .manager import Manifest, Slot
from .record import Installed, Record, RecordFile, TrialState
from .version import order

logger = logging.getLogger(__name__)

NAME: Final = "de.pengutronix.rauc"
INTERFACE: Final = "de.pengutronix.rauc.Installer"
PATH: Final = "/"
LOST: Final = -1
"""Stands for the result of an installation whose service went away."""
CALL_S: Final = 30.0
INSTALL_S: Final = 1800.0
UNKNOWN_VERSION: Final = "0"
PACKAGES: Final = Path(__file__).resolve().parents[3]
"""Where the running slot has this package."""

_BUS: Final = "org.freedesktop.DBus"
_COMPLETED: Final = f"type='signal',interface='{INTERFACE}',member='Completed'"
_GONE: Final = f"type='signal',sender='{_BUS}',member='NameOwnerChanged',arg0='{NAME}'"
_REMEDY: Final = "look at: journalctl -u rauc"


@dataclass(frozen=True, slots=True)
class RaucSlot:
    """What RAUC says about a slot that can be booted.

    Attributes:
        name: Such as ``rootfs.0``.
        booted: Whether the unit runs from it.
        bootable: Whether the bootloader would start it.
        version: Of the bundle that filled it; 0 when that is unknown.
        filled: Whether it was filled to its end.
    """

    name: str
    booted: bool
    bootable: bool
    version: str
    filled: bool


class RaucClient:
    """RAUC over a connection to the bus; one per visit, for the service comes and goes."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus

    @classmethod
    @asynccontextmanager
    async def connected(cls, address: str | None) -> "AsyncIterator[RaucClient]":
        """Gives a client, for as long as the block lasts.

        Args:
            address: Of the bus; None for the system's.

        Raises:
            SlotError: There is no bus.
        """
        bus = MessageBus(bus_address=address, bus_type=BusType.SYSTEM)
        try:
            async with asyncio.timeout(CALL_S):
                await bus.connect()
        except (OSError, TimeoutError, DBusError, ValueError) as error:
            raise SlotError(f"no D-Bus: {error}", "start dbus and rauc.service") from error
        try:
            yield cls(bus)
        finally:
            bus.disconnect()

    async def slots(self) -> tuple[RaucSlot, ...]:
        """Returns the slots that can be booted.

        Raises:
            SlotError: RAUC does not answer, or not with slots.
        """
        (found,) = await self._call("GetSlotStatus")
        slots = [(name, _plain(facts)) for name, facts in cast(_Status, found)]
        return tuple(_slot(name, facts) for name, facts in slots if "bootname" in facts)

    async def primary(self) -> str:
        """Returns the slot that the bootloader would start next; empty when it has none."""
        with contextlib.suppress(SlotError):
            return str((await self._call("GetPrimary"))[0])
        return ""

    async def mark(self, state: str, slot: str) -> None:
        """Tells the bootloader that a slot is ``good``, ``bad`` or ``active``.

        Raises:
            SlotError: RAUC or the bootloader refuses.
        """
        await self._call("Mark", "ss", [state, slot])

    async def install(self, bundle: Path, timeout_s: float) -> None:
        """Fills the slot that is not booted, and returns when that is done.

        Raises:
            SlotError: RAUC refuses the bundle, fails, goes away or takes too long.
        """
        completed: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def listen(message: Message) -> None:
            if message.member == "Completed" and message.interface == INTERFACE:
                _resolve(completed, message.body)
            if message.member == "NameOwnerChanged" and message.sender == _BUS:
                _resolve(completed, [LOST])

        for rule in (_COMPLETED, _GONE):
            await self._call("AddMatch", "s", [rule], to=_BUS)
        self._bus.add_message_handler(listen)
        await self._call("InstallBundle", "sa{sv}", [str(bundle), {}])
        lost = asyncio.create_task(self._disconnected())
        lost.add_done_callback(lambda _: _resolve(completed, [LOST]))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await completed
        lost.cancel()
        if completed.cancelled():
            raise SlotError(f"RAUC did not finish {bundle.name} in {timeout_s:.0f} s", _REMEDY)
        if completed.result() == LOST:
            raise SlotError(f"RAUC went away while it installed {bundle.name}", _REMEDY)
        if completed.result() != 0:
            raise SlotError(f"{bundle.name}: {await self._last_error()}", _REMEDY)

    async def _disconnected(self) -> None:
        with contextlib.suppress(Exception):  # how the bus was lost does not matter
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]

    async def _last_error(self) -> str:
        (value,) = await self._call(
            "Get", "ss", [INTERFACE, "LastError"], interface="org.freedesktop.DBus.Properties"
        )
        return str(value.value) if isinstance(value, Variant) else "RAUC does not say why"

    async def _call(
        self,
        member: str,
        signature: str = "",
        body: Sequence[object] = (),
        *,
        to: str = NAME,
        interface: str | None = None,
    ) -> list[object]:
        message = Message(
            destination=to,
            path=PATH,
            interface=interface or (_BUS if to == _BUS else INTERFACE),
            member=member,
            signature=signature,
            body=list(body),
        )
        try:
            async with asyncio.timeout(CALL_S):
                reply = await self._bus.call(message)
        except (OSError, EOFError, TimeoutError, DBusError) as error:
            raise SlotError(f"RAUC does not answer {member}: {error}", _REMEDY) from error
        if reply.message_type is MessageType.ERROR or not _fits(member, reply):
            words = reply.body[0] if reply.body else f"an answer of type {reply.signature!r}"
            raise SlotError(f"RAUC refuses {member}: {words}", _REMEDY)
        return reply.body


class RaucSlots:
    """The slots of a unit with RAUC.

    Args:
        directory: What RAUC does not know is kept here.
        bus: Address of the bus; None for the system's.
        packages: The folder that services are started from.
        install_s: How long an installation may take, in seconds.
    """

    switch_restarts_unit = True

    def __init__(
        self,
        directory: Path,
        *,
        bus: str | None = None,
        packages: Path = PACKAGES,
        install_s: float = INSTALL_S,
    ) -> None:
        self._file = RecordFile(directory / "record.json")
        self._bus = bus
        self._packages = packages
        self._install_s = install_s
        self._goes_on = False

    async def settle(self, running: Path | None = None) -> str | None:
        """Takes note of which slot was booted, and why it may not be the one on trial.

        Raises:
            SlotError: RAUC does not answer.
            OSError: The medium is full.
        """
        self._goes_on = running is not None
        async with RaucClient.connected(self._bus) as rauc:
            slots = await rauc.slots()
            record = _reconciled(self._file.read(), slots)
            trial, words = record.trial, None
            if trial and not _booted(slots, trial.slot) and await rauc.primary() != trial.slot:
                begun = record if trial.state is TrialState.TRYING else record.started()
                record, words = begun.settled()
            if record.trial and record.trial.state is TrialState.RESTING:
                await rauc.mark("active", record.trial.slot)
                record = record.rearmed(record.trial.slot)
        self._write(record)
        return words

    async def newest(self) -> Slot | None:
        """Returns the slot that the next start would choose.

        Raises:
            SlotError: RAUC does not answer.
        """
        record, booted = await self._look()
        name = record.trial.slot if record.trial else booted
        return self._slot(record, name)

    async def wants(self, manifest: Manifest) -> bool:
        """Returns whether the bundle has to come.

        Raises:
            FirmwareRefusedError: It is older than the committed one, was taken back, or has to
                wait for the verdict about the one on trial.
            SlotError: It is no bundle, or RAUC does not answer.
        """
        if not manifest.file.endswith(".raucb"):
            raise SlotError(f"{manifest.file} is no RAUC bundle", "publish a .raucb for this model")
        record, booted = await self._look()
        record.check(manifest)
        holder = next((n for n, held in record.slots.items() if held.is_of(manifest)), None)
        if holder is None:
            _check_free(record, booted)
            return True
        if holder != (record.trial.slot if record.trial else booted):
            await self._choose(record, holder)
        return False

    async def install(self, image: Path, manifest: Manifest) -> Slot:
        """Lets RAUC fill the slot that is not booted; the next start of the unit tries it.

        Raises:
            FirmwareRefusedError: See `wants`.
            SlotError: The bundle is not what the manifest says, or RAUC refuses it.
            OSError: The medium is full.
        """
        await asyncio.to_thread(check_hash, image, manifest.sha256)
        async with RaucClient.connected(self._bus) as rauc:
            record, booted, other = await self._target(rauc)
            record.check(manifest)
            _check_free(record, booted)
            record = record.emptied(other)
            self._write(record)
            await rauc.install(image, self._install_s)
            await self._read_back(rauc, other, manifest)
        record = record.filled(other, Installed(manifest.version, manifest.sha256))
        self._write(record)
        logger.info("firmware %s is in slot %s, on trial", manifest.version, other)
        return self._slot(record, other)

    async def start(self) -> Slot:
        """Returns the slot that was booted; a trial is counted.

        Raises:
            SlotError: RAUC does not answer.
            OSError: The medium is full.
        """
        record, booted = await self._look()
        goes_on, self._goes_on = self._goes_on, False
        if record.committed != booted and not goes_on:
            record = record.rearmed(booted).started()
            self._write(record)
        return self._slot(record, booted)

    async def commit(self) -> None:
        """Tells the bootloader that the booted slot is good.

        Raises:
            SlotError: RAUC does not answer.
            OSError: The medium is full.
        """
        async with RaucClient.connected(self._bus) as rauc:
            await rauc.mark("good", "booted")
        record, booted = await self._look()
        self._write(record.good(booted))

    async def reject(self, reason: str) -> Slot | None:
        """Tells the bootloader that the booted slot is bad, if it can start the other one.

        Raises:
            SlotError: RAUC does not answer.
            OSError: The medium is full.
        """
        async with RaucClient.connected(self._bus) as rauc:
            slots = await rauc.slots()
            record, booted, other = await self._target(rauc)
            spare = next(slot for slot in slots if slot.name == other)
            if not spare.bootable or other not in record.slots:
                return None
            await rauc.mark("bad", "booted")
            if await rauc.primary() != other:
                await rauc.mark("active", other)
        record = record.bad(booted, reason)
        self._write(record)
        return self._slot(record, other)

    async def images(self) -> frozenset[str]:
        """Returns nothing: RAUC and the bootloader verify what they start by their own keys."""
        return frozenset()

    async def describe(self) -> Mapping[str, object]:
        """Returns what is in each slot, and what becomes of it."""
        record = self._file.read()
        return {name: record.described(name) for name in sorted(record.slots)}

    async def _look(self) -> tuple[Record, str]:
        """Returns the record as RAUC's slots are now, and the booted slot."""
        async with RaucClient.connected(self._bus) as rauc:
            record, booted, _ = await self._target(rauc)
        return record, booted

    async def _target(self, rauc: RaucClient) -> tuple[Record, str, str]:
        """Returns the record, the booted slot and the other one."""
        slots = await rauc.slots()
        booted = [slot.name for slot in slots if slot.booted]
        others = [slot.name for slot in slots if not slot.booted]
        if len(booted) != 1 or len(others) != 1:
            raise SlotError(
                f"RAUC has {len(booted)} booted slots and {len(others)} others",
                "describe two slots with a bootname in RAUC's system.conf",
            )
        return _reconciled(self._file.read(), slots), booted[0], others[0]

    async def _choose(self, record: Record, name: str) -> None:
        """Makes a slot that is filled already the next to be started."""
        async with RaucClient.connected(self._bus) as rauc:
            await rauc.mark("active", name)
        good = name == record.committed
        self._write(replace(record, trial=None) if good else record.rearmed(name))

    async def _read_back(self, rauc: RaucClient, name: str, manifest: Manifest) -> None:
        """Lets pass what RAUC says it has installed.

        Raises:
            SlotError: It is something else; the bootloader will not start it.
        """
        found = next(slot for slot in await rauc.slots() if slot.name == name)
        if found.version != manifest.version:
            await rauc.mark("bad", name)
            raise SlotError(
                f"the bundle holds version {found.version}, its manifest says {manifest.version}",
                "publish the manifest again",
            )

    def _slot(self, record: Record, name: str) -> Slot:
        held = record.slots.get(name, Installed(UNKNOWN_VERSION, ""))
        return Slot(name, self._packages, held.version, held.sha256, record.committed != name)

    def _write(self, record: Record) -> None:
        if record != self._file.read():
            self._file.write(record)


_Status = Sequence[tuple[str, Mapping[str, Variant]]]

_SIGNATURES: Final = {"GetSlotStatus": "a(sa{sv})", "GetPrimary": "s", "Get": "v"}


def _fits(member: str, reply: Message) -> bool:
    return reply.signature == _SIGNATURES.get(member, reply.signature)


def _plain(facts: Mapping[str, Variant]) -> dict[str, object]:
    return {name: variant.value for name, variant in facts.items()}


def _slot(name: str, facts: Mapping[str, object]) -> RaucSlot:
    return RaucSlot(
        name,
        booted=facts.get("state") == "booted",
        bootable=facts.get("boot-status") == "good",
        version=_version(facts.get("bundle.version")),
        filled=facts.get("status") == "ok",
    )


def _version(text: object) -> str:
    """Returns a version that can be compared; 0, older than any, for what cannot."""
    try:
        order(str(text))
    except SlotError:
        return UNKNOWN_VERSION
    return str(text)


def _booted(slots: Sequence[RaucSlot], name: str) -> bool:
    return any(slot.booted for slot in slots if slot.name == name)


def _reconciled(record: Record, slots: Sequence[RaucSlot]) -> Record:
    """Returns the record without what is no longer so, and with what RAUC was given otherwise."""
    for slot in slots:
        held = record.slots.get(slot.name)
        if slot.filled or slot.booted:
            if held is None or held.version != slot.version:
                contents = {**record.slots, slot.name: Installed(slot.version, "")}
                record = replace(record.emptied(slot.name), slots=contents)
        elif held is not None:
            record = record.emptied(slot.name)
    return record


def _check_free(record: Record, booted: str) -> None:
    """Lets pass when the slot that is not booted may be filled.

    Raises:
        FirmwareRefusedError: It is the good one, and the booted one is on trial.
    """
    if record.committed not in (None, booted):
        raise FirmwareRefusedError(
            "one slot is good and the other one on trial", "wait for the verdict"
        )


def _resolve(future: "asyncio.Future[int]", body: Sequence[object]) -> None:
    if not future.done():
        future.set_result(body[0] if body and isinstance(body[0], int) else LOST)
