"""A real kernel, real libusb and dfu-util: they flash our twins, and we flash theirs."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from openturret.drivers.flash import cli
from openturret.drivers.flash.dfu_file import DfuSuffix
from openturret.drivers.flash.dfu_protocol import in_dfu_mode, loader_pid
from openturret.drivers.flash.version import Version
from openturret.drivers.usb.present import present
from openturret.hal.hardware import UsbDevice
from openturret.lab.guest.machine import sysfs_name
from openturret.lab.guest.updatable import DEVICES
from openturret.lab.maker import Maker
from openturret.lab.tools import tool
from openturret.lab.waiting import until

VID = 0x1209
HANDSET, RESET, INTOLERANT, LARGE, SPARE = DEVICES
PAYLOAD = os.urandom(20_000)


def on(port: int) -> UsbDevice:
    [found] = [each for each in present() if each.port == sysfs_name(port)]
    return found


def file_for(folder: Path, port: int, version: str, payload: bytes = PAYLOAD) -> Path:
    path = folder / f"{port}-{version}.dfu"
    suffix = DfuSuffix(VID, DEVICES[port].pid)
    path.write_bytes(Maker().dfu_file(payload, Version.parse(version), suffix))
    return path


def turret_flash(folder: Path, *words: str) -> tuple[int, list[dict[str, object]]]:
    key = Maker().write_key(folder / "maker.pem")
    said: list[str] = []
    code = cli.main([*words, "--key", str(key), "--json"], said.append)
    events = [json.loads(line) for line in said]
    return code, [event for event in events if event["event"] == "outcome"]


RESET_AND_GONE = 251
"""What dfu-util returns after --reset when the device comes back as another one (NOT_FOUND)."""


def dfu_util(port: int, *words: str) -> tuple[int, str]:
    pid = DEVICES[port].pid
    ids = f"{VID:04x}:{pid:04x},{VID:04x}:{loader_pid(VID, pid):04x}"
    command = [str(tool("dfu-util").path), "--device", ids, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


async def firmware_on(port: int) -> UsbDevice:
    """Waits until a device runs its firmware again; the kernel enumerates in its own time."""

    async def look() -> UsbDevice | None:
        here = (each for each in present() if each.port == sysfs_name(port))
        return next((each for each in here if not in_dfu_mode(each)), None)

    return await until(look, f"firmware on port {port}", deadline_s=60)


@pytest.mark.parametrize("port", [HANDSET, RESET, INTOLERANT])
def test_we_flash_a_device_through_a_real_kernel(tmp_path: Path, port: int) -> None:
    assert on(port).bcd_device == 0x0100
    code, [outcome] = turret_flash(tmp_path, str(file_for(tmp_path, port, "1.1.0")))
    assert code == 0, outcome
    assert (outcome["unit"], outcome["result"]) == (sysfs_name(port), "flashed")
    assert (outcome["before"], outcome["running"]) == ("1.0.0", "1.1.0")
    assert on(port).bcd_device == 0x0110
    assert not in_dfu_mode(on(port))


def test_a_flashed_handset_is_a_handset_again(tmp_path: Path) -> None:
    assert turret_flash(tmp_path, str(file_for(tmp_path, HANDSET, "1.2.0")))[0] == 0
    assert {interface.usb_class for interface in on(HANDSET).interfaces} >= {0x01, 0x03, 0xFE}


async def test_dfu_util_lists_downloads_uploads_and_leaves(tmp_path: Path) -> None:
    file = file_for(tmp_path, SPARE, "1.2.0")
    assert f"[{VID:04x}:{DEVICES[SPARE].pid:04x}]" in dfu_util(SPARE, "--list")[1]
    code, said = dfu_util(SPARE, "--download", str(file))
    assert (code, "Download done" in said) == (0, True), said
    read = tmp_path / "read.bin"
    code, said = dfu_util(SPARE, "--upload", str(read), "--reset")
    assert (code, "Upload done" in said) == (RESET_AND_GONE, True), said
    assert read.read_bytes() == Maker().sign(PAYLOAD, Version(1, 2, 0))
    assert (await firmware_on(SPARE)).bcd_device == 0x0120


def test_a_rollback_is_seen_through_a_real_kernel(tmp_path: Path) -> None:
    before = on(RESET).bcd_device
    code, [outcome] = turret_flash(tmp_path, str(file_for(tmp_path, RESET, "1.3.9")))
    assert (code, outcome["result"]) == (6, "rolled back")
    assert on(RESET).bcd_device == before


def test_a_wrong_file_is_refused_by_the_device_in_the_words_of_dfu_util(tmp_path: Path) -> None:
    file = tmp_path / "noise.bin"
    file.write_bytes(os.urandom(4000))
    code, said = dfu_util(SPARE, "--download", str(file))
    assert code != 0
    assert "dfuERROR, status(2) = File is for this device but fails" in said
    code, [outcome] = turret_flash(tmp_path, str(file_for(tmp_path, SPARE, "1.4.0")))
    assert (code, outcome["running"]) == (0, "1.4.0"), "found in dfuERROR, and flashed from there"


def test_many_are_flashed_at_once(tmp_path: Path) -> None:
    version = Version(2, 0, 0)
    file = tmp_path / "all.dfu"
    file.write_bytes(Maker().dfu_file(PAYLOAD, version, DfuSuffix(VID)))
    code, outcomes = turret_flash(tmp_path, str(file))
    assert (code, [outcome["error"] for outcome in outcomes]) == (0, [""] * len(DEVICES))
    assert {outcome["unit"] for outcome in outcomes} == {sysfs_name(port) for port in DEVICES}
    assert {outcome["running"] for outcome in outcomes} == {str(version)}
