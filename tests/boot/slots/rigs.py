"""Units on which the contract of the slots is kept: folders, RAUC, and RAUC's twin on a bus.

A rig can be switched off and on at any moment; between the two stands what its bootloader does.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Protocol

from openturret.boot.slots.files import FileSlots
from openturret.boot.slots.manager import Manifest, Slot, SlotManager
from openturret.boot.slots.rauc import RaucSlots
from openturret.lab.tools import tool
from tests.boot.slots.rauc_twin import KEY, RaucTwin

MODEL = "OpenTurret TouchPro"
START_S = 10.0
CAP_SYS_ADMIN = 21


class Rig(Protocol):
    """A unit that can be switched off and on."""

    suffix: str
    words: str | None

    async def power_on(self) -> SlotManager:
        """Cuts the power, starts again, and returns its settled slots; `words` is what they say."""
        ...

    async def switch(self, slots: SlotManager) -> tuple[SlotManager, Slot]:
        """Starts what is to be started now: the unit, or its services alone."""
        ...

    def image(self, version: str, *, sound: bool = True) -> tuple[Path, Manifest]: ...

    async def close(self) -> None: ...


def manifest_of(image: Path, version: str) -> Manifest:
    sha256 = hashlib.sha256(image.read_bytes()).hexdigest()
    return Manifest(version, image.name, sha256)


class FilesRig:
    """Two folders."""

    suffix = "whl"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.words: str | None = None

    async def power_on(self) -> FileSlots:
        slots = FileSlots(self._folder / "slots", lambda _: True, prepare=Path.exists)
        self.words = await slots.settle()
        return slots

    async def switch(self, slots: SlotManager) -> tuple[SlotManager, Slot]:
        return slots, await slots.start()

    def image(self, version: str, *, sound: bool = True) -> tuple[Path, Manifest]:
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as wheel:
            wheel.writestr("openturret/firmware/__init__.py" if sound else "../evil.py", version)
        path = self._folder / f"firmware-{version}.whl"
        path.write_bytes(data.getvalue())
        return path, manifest_of(path, version)

    async def close(self) -> None:
        """Nothing runs."""


class Bootloader:
    """A bootloader with an environment of four small files, which RAUC's handler changes."""

    NAMES = ("A", "B")
    HANDLER = """#!/bin/sh
set -e
cd "$(dirname "$0")"
case "$1" in
  get-primary) for name in $(cat primary) A B; do
                 [ "$(cat state.$name)" = good ] && echo $name && exit; done; exit 1;;
  set-primary) echo $2 > primary; echo good > state.$2; echo 1 > left.$2;;
  get-state) cat state.$2;;
  set-state) echo $3 > state.$2; rm -f left.$2;;
esac
"""
    """It says what RAUC's manual demands of a custom backend."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self.handler = folder / "handler.sh"
        self.handler.write_text(self.HANDLER)
        self.handler.chmod(0o755)
        (folder / "primary").write_text("A\n")
        (folder / "state.A").write_text("good\n")
        (folder / "state.B").write_text("bad\n")

    def ask(self, *words: str) -> str:
        """Returns what the handler says.

        Raises:
            CalledProcessError: It refuses.
        """
        done = subprocess.run([self.handler, *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def start(self) -> str:
        """Returns the slot to boot, one attempt fewer; a slot without attempts is bad."""
        name = self.ask("get-primary")
        left = self._folder / f"left.{name}"
        if not left.exists():
            return name
        attempts = int(left.read_text())
        if attempts == 0:
            self.ask("set-state", name, "bad")
            return self.start()
        left.write_text(f"{attempts - 1}\n")
        return name


class Bus:
    """A private bus that lets everybody do everything."""

    def __init__(self, folder: Path) -> None:
        self.address = f"unix:path={folder}/bus"
        configuration = folder / "bus.conf"
        configuration.write_text(
            f"<busconfig><type>system</type><listen>{self.address}</listen><auth>EXTERNAL</auth>"
            '<policy context="default"><allow send_destination="*"/><allow own="*"/>'
            '<allow receive_sender="*"/></policy></busconfig>'
        )
        program = tool("dbus-daemon")
        command = [
            str(program.path),
            f"--config-file={configuration}",
            "--nofork",
            "--print-address",
        ]
        self._process = subprocess.Popen(
            command, env=program.environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()  # it listens

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class RaucRig:
    """Debian's RAUC: ``rauc service`` on a bus of its own, slots in files, its own bundles.

    It mounts bundles, so it needs the rights of root outside any user namespace.
    """

    suffix = "raucb"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rauc, self._squash = tool("rauc"), tool("mksquashfs")
        self._bus = Bus(folder)
        self._bootloader = Bootloader(folder / "bootloader")
        self._key, self._certificate = _key_pair(folder, "test")
        self._service: subprocess.Popen[bytes] | None = None
        self.words: str | None = None
        for name in ("slot.A", "slot.B"):
            (folder / name).write_bytes(bytes(8192))
        (folder / "mount").mkdir()
        self._write_configuration()

    async def power_on(self) -> SlotManager:
        self._end_service()
        booted = self._bootloader.start()
        self._service = subprocess.Popen(
            [self._rauc.path, "service", f"--conf={self._folder}/system.conf",
             f"--override-boot-slot={booted}"],
            env=self._environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        slots = RaucSlots(self._folder / "state", bus=self._bus.address, packages=self._folder)
        await _answered(slots)
        self.words = await slots.settle()
        return slots

    async def switch(self, slots: SlotManager) -> tuple[SlotManager, Slot]:
        slots = await self.power_on()
        return slots, await slots.start()

    def image(self, version: str, *, sound: bool = True) -> tuple[Path, Manifest]:
        content = self._folder / f"content-{version}"
        content.mkdir(exist_ok=True)
        (content / "rootfs.img").write_bytes(version.encode().ljust(8192, b"."))
        (content / "manifest.raucm").write_text(
            f"[update]\ncompatible={MODEL}\nversion={version}\n"
            "[bundle]\nformat=plain\n[image.rootfs]\nfilename=rootfs.img\n"
        )
        key, certificate = self._key, self._certificate
        if not sound:
            key, certificate = _key_pair(self._folder, f"foreign-{version}")
        bundle = self._folder / f"firmware-{version}.raucb"
        bundle.unlink(missing_ok=True)
        command = [str(self._rauc.path), "bundle", f"--cert={certificate}", f"--key={key}",
                   str(content), str(bundle)]  # fmt: skip
        if not sound:
            command.insert(2, f"--keyring={certificate}")
        subprocess.run(command, env=self._environment(), check=True, capture_output=True)
        return bundle, manifest_of(bundle, version)

    async def close(self) -> None:
        self._end_service()
        self._bus.close()

    def _end_service(self) -> None:
        if self._service is not None:
            self._service.terminate()
            self._service.wait()

    def _environment(self) -> dict[str, str]:
        paths = [str(self._squash.path.parent), os.environ["PATH"], "/usr/sbin", "/sbin"]
        bus = {"DBUS_SYSTEM_BUS_ADDRESS": self._bus.address, "PATH": os.pathsep.join(paths)}
        return self._rauc.environment({**os.environ, **bus})

    def _write_configuration(self) -> None:
        slots = "".join(
            f"[slot.rootfs.{number}]\ndevice={self._folder}/slot.{name}\ntype=raw\n"
            f"bootname={name}\n"
            for number, name in enumerate(Bootloader.NAMES)
        )
        (self._folder / "system.conf").write_text(
            f"[system]\ncompatible={MODEL}\nbootloader=custom\nbundle-formats=plain\n"
            f"mountprefix={self._folder}/mount\nstatusfile={self._folder}/status.raucs\n"
            f"[handlers]\nbootloader-custom-backend={self._bootloader.handler}\n"
            f"[keyring]\npath={self._certificate}\n{slots}"
        )


class TwinRig:
    """RAUC's twin."""

    suffix = "raucb"

    def __init__(self, folder: Path) -> None:
        self.packages = folder
        self.record = folder / "state" / "record.json"
        self.bus = Bus(folder)
        self.bootloader = Bootloader(folder / "bootloader")
        self._status: dict[str, str] = {}
        self.twin: RaucTwin | None = None
        self.words: str | None = None

    async def power_on(self) -> RaucSlots:
        await self._end_twin()
        booted = self.bootloader.start()
        self.twin = RaucTwin(self.bus.address, self.bootloader, booted, self._status)
        await self.twin.start()
        slots = self.slots()
        self.words = await slots.settle()
        return slots

    def slots(self, install_s: float = 10.0) -> RaucSlots:
        return RaucSlots(
            self.record.parent,
            bus=self.bus.address,
            packages=self.packages,
            install_s=install_s,
        )

    async def switch(self, slots: SlotManager) -> tuple[SlotManager, Slot]:
        slots = await self.power_on()
        return slots, await slots.start()

    def image(self, version: str, *, sound: bool = True) -> tuple[Path, Manifest]:
        path = self.packages / f"firmware-{version}.raucb"
        path.write_text(f"bundle {version} {KEY if sound else 'foreign'}\n")
        return path, manifest_of(path, version)

    async def close(self) -> None:
        await self._end_twin()
        self.bus.close()

    async def _end_twin(self) -> None:
        if self.twin is not None:
            await self.twin.stop()


def may_mount() -> bool:
    """Whether this process may mount what it likes, by loop devices, in no user namespace."""
    if Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]:
        return False
    try:
        Path("/dev/loop-control").open("rb").close()
    except OSError:
        return False
    status = Path("/proc/self/status").read_text()
    capabilities = int(status.partition("CapEff:")[2].split()[0], 16)
    return bool(capabilities >> CAP_SYS_ADMIN & 1)


async def _answered(slots: RaucSlots) -> None:
    """Returns when RAUC is on the bus."""
    async with asyncio.timeout(START_S):
        while True:
            try:
                await slots.newest()
            except Exception:
                await asyncio.sleep(0.02)
            else:
                return


def _key_pair(folder: Path, name: str) -> tuple[Path, Path]:
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-keyout", str(key), "-out", str(certificate), "-subj", f"/CN={name}"]
    subprocess.run(command, check=True, capture_output=True)
    return key, certificate
