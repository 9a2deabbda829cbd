"""Firmware signed by imgtool itself, and time that passes only when somebody waits."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest
from imgtool.main import imgtool

from openturret.drivers.emulated.bootloader import Bootloader, memory_for
from openturret.drivers.emulated.usb.backend import EmulatedBackend
from openturret.drivers.emulated.usb.bus import EmulatedBus
from openturret.drivers.emulated.usb.descriptors import Identity
from openturret.drivers.emulated.usb.dfu import Durations, UpdatableDevice
from openturret.drivers.errors import FlashStoppedError
from openturret.drivers.flash.dfu import DfuDevice
from openturret.drivers.flash.dfu_file import DfuSuffix
from openturret.drivers.flash.dfu_protocol import DfuDescriptor, in_dfu_mode
from openturret.drivers.flash.firmware import Firmware
from openturret.drivers.flash.image import SignedImage, TrustedKey
from openturret.drivers.flash.version import Version
from openturret.drivers.usb.present import present
from openturret.hal.hardware import UsbDevice


class SimulatedPace:
    """A pace whose time passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.stopped = False

    def monotonic(self) -> float:
        return self.now

    def unix(self) -> float:
        return self.now

    def stop(self) -> None:
        self.stopped = True

    def wait(self, seconds: float) -> None:
        if self.stopped:
            raise FlashStoppedError("stopped")
        self.now += seconds


@dataclass(frozen=True)
class KeyPair:
    private: Path
    public: Path

    @property
    def trusted(self) -> TrustedKey:
        return TrustedKey.read(self.public)


class Sign(Protocol):
    def __call__(
        self, payload: bytes, version: str = "1.1.0", *options: str, key: KeyPair | None = None
    ) -> bytes: ...


def run_imgtool(*arguments: str) -> None:
    imgtool.main(args=list(arguments), standalone_mode=False)


def made_pair(folder: Path, name: str, kind: str = "ed25519") -> KeyPair:
    pair = KeyPair(folder / f"{name}.pem", folder / f"{name}.pub.pem")
    run_imgtool("keygen", "--type", kind, "--key", str(pair.private))
    run_imgtool(
        "getpub", "--encoding", "pem", "--key", str(pair.private), "--output", str(pair.public)
    )
    return pair


@pytest.fixture(scope="session")
def key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="session")
def make_pair(key_folder: Path) -> Callable[..., KeyPair]:
    def make(name: str, kind: str = "ed25519") -> KeyPair:
        return made_pair(key_folder, name, kind)

    return make


@pytest.fixture(scope="session")
def pair(key_folder: Path) -> KeyPair:
    return made_pair(key_folder, "maker")


@pytest.fixture(scope="session")
def stranger(key_folder: Path) -> KeyPair:
    return made_pair(key_folder, "stranger")


@pytest.fixture(scope="session")
def sign(tmp_path_factory: pytest.TempPathFactory, pair: KeyPair) -> Sign:
    folder = tmp_path_factory.mktemp("signed")
    kept: dict[object, bytes] = {}

    def signed(
        payload: bytes, version: str = "1.1.0", *options: str, key: KeyPair | None = None
    ) -> bytes:
        signer = key or pair
        if (payload, version, options, signer) not in kept:
            bare, whole = folder / "bare.bin", folder / "whole.bin"
            bare.write_bytes(payload)
            sized = ("--pad-header", "--header-size", "32", "--slot-size", str(8 << 20))
            named = ("--key", str(signer.private), "--version", version)
            run_imgtool("sign", *sized, *named, *options, str(bare), str(whole))
            kept[payload, version, options, signer] = whole.read_bytes()
        return kept[payload, version, options, signer]

    return signed


@pytest.fixture
def pace() -> SimulatedPace:
    return SimulatedPace()


BLOCK_BYTES = 64
BLOCKS_OF_64 = DfuDescriptor(transfer_bytes=BLOCK_BYTES)
VID, PID = 0x1209, 0x7701
OLD, NEW = Version(1, 0, 0), Version(1, 1, 0)


class DfuRig:
    """A device with DFU in port 1-1 of an emulated bus, and how it is seen from there."""

    def __init__(
        self,
        image: bytes,
        pair: KeyPair,
        pace: SimulatedPace,
        *,
        abilities: DfuDescriptor = BLOCKS_OF_64,
        durations: Durations = Durations(),  # noqa: B008 - frozen
        starts: Callable[[SignedImage], bool] = lambda _image: True,
    ) -> None:
        self.pace = pace
        self.first = image
        self.flash = memory_for(8, 128)
        self.memory = Bootloader(self.flash, [pair.trusted])
        self.memory.program(image)
        identity = Identity(VID, PID, "Turret Handset", "HS-0001")
        self.twin = UpdatableDevice(
            identity,
            (),
            self.memory,
            pace,
            abilities=abilities,
            durations=durations,
            starts=starts,
        )
        self.bus = EmulatedBus()
        self.bus.connect(self.twin.device, "1-1")
        self.backend = EmulatedBackend(self.bus)

    def present(self) -> tuple[UsbDevice, ...]:
        return present(backend=self.backend)

    @property
    def seen(self) -> UsbDevice:
        [device] = self.present()
        return device

    @property
    def unit(self) -> DfuDevice:
        return DfuDevice(self.seen, self.present, self.pace, backend=self.backend)

    @property
    def running(self) -> Version | None:
        """What a person finds who switches the device off and on."""
        self.twin.device.cut_power()
        self.twin.device.restore_power()
        image = self.twin.running
        return None if image is None or in_dfu_mode(self.seen) else image.version


@pytest.fixture
def old(sign: Sign) -> bytes:
    return sign(bytes(range(100)), str(OLD))


@pytest.fixture
def new(sign: Sign, pair: KeyPair) -> Firmware:
    image = SignedImage.parse(sign(bytes(range(60, 250)), str(NEW)))
    return Firmware(image, DfuSuffix(VID, PID))


@pytest.fixture
def make_rig(old: bytes, pair: KeyPair, pace: SimulatedPace) -> Callable[..., DfuRig]:
    return partial(DfuRig, old, pair, pace)


@pytest.fixture
def rig(make_rig: Callable[..., DfuRig]) -> DfuRig:
    return make_rig()
