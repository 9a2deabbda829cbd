"""The twins' boot loader: whatever is cut off, wherever, one whole signed image runs."""

from collections.abc import Callable

import pytest

from openturret.drivers.emulated.bootloader import Bootloader, Slot, memory_for
from openturret.drivers.emulated.flash_memory import FlashMemory, PowerCutError
from openturret.drivers.errors import EmulationError
from openturret.drivers.flash.version import Version

from .conftest import KeyPair, Sign

SECTORS, SECTOR_BYTES = 4, 128
OLD, NEW = Version(1, 0, 0), Version(1, 1, 0)


@pytest.fixture
def old(sign: Sign) -> bytes:
    return sign(bytes(range(150)), str(OLD))


@pytest.fixture
def new(sign: Sign) -> bytes:
    return sign(bytes(range(90, 250)), str(NEW))


@pytest.fixture
def flash() -> FlashMemory:
    return memory_for(SECTORS, SECTOR_BYTES)


@pytest.fixture
def loader(flash: FlashMemory, old: bytes, pair: KeyPair) -> Bootloader:
    loader = Bootloader(flash, [pair.trusted])
    loader.program(old)
    return loader


def store(loader: Bootloader, data: bytes) -> None:
    loader.erase_spare()
    loader.write_spare(0, data)


def version(loader: Bootloader) -> Version | None:
    image = loader.boot()
    return None if image is None else image.version


def test_flash_clears_bits_and_only_erasing_sets_them(flash: FlashMemory) -> None:
    flash.write(3, b"\xf0")
    flash.write(3, b"\x0f")
    assert flash.read(3, 1) == b"\x00"
    flash.erase(0)
    assert flash.read(0, SECTOR_BYTES) == b"\xff" * SECTOR_BYTES


def test_flash_has_an_end(flash: FlashMemory) -> None:
    with pytest.raises(EmulationError):
        flash.write(flash.sectors * SECTOR_BYTES - 1, b"ab")
    with pytest.raises(EmulationError):
        flash.erase(flash.sectors)


def test_a_cut_operation_is_half_done(flash: FlashMemory) -> None:
    flash.cut_after(0)
    with pytest.raises(PowerCutError):
        flash.write(0, bytes(4))
    assert flash.read(0, 4) == b"\x00\x00\xff\xff"
    flash.write(0, bytes(4))
    assert flash.read(0, 4) == bytes(4)


def test_an_image_on_trial_runs_and_stays_when_confirmed(loader: Bootloader, new: bytes) -> None:
    store(loader, new)
    assert version(loader) == OLD, "nobody has requested it"
    loader.request()
    assert version(loader) == NEW
    assert not loader.confirmed
    loader.confirm()
    assert version(loader) == NEW
    assert loader.confirmed


def test_an_image_that_nobody_confirms_is_swapped_back(loader: Bootloader, new: bytes) -> None:
    store(loader, new)
    loader.request()
    assert version(loader) == NEW
    assert version(loader) == OLD
    assert loader.confirmed
    assert version(loader) == OLD


def test_an_image_for_good_needs_no_confirmation(loader: Bootloader, new: bytes) -> None:
    store(loader, new)
    loader.request(for_good=True)
    assert [version(loader) for _ in range(2)] == [NEW, NEW]


def test_an_image_of_a_stranger_never_runs(
    loader: Bootloader, sign: Sign, stranger: KeyPair
) -> None:
    store(loader, sign(b"evil", str(NEW), key=stranger))
    loader.request()
    assert version(loader) == OLD
    assert not loader.requested


def test_half_an_image_never_runs(loader: Bootloader, new: bytes) -> None:
    for length in range(len(new)):
        store(loader, new[:length])
        loader.request()
        assert version(loader) == OLD


def test_a_slot_has_an_end(loader: Bootloader) -> None:
    with pytest.raises(EmulationError, match="beyond the slot"):
        loader.write_spare(loader.slot_bytes - 1, b"ab")


def update(loader: Bootloader, new: bytes) -> None:
    store(loader, new)
    loader.request()
    loader.boot()
    loader.confirm()


def revert(loader: Bootloader, new: bytes) -> None:
    store(loader, new)
    loader.request()
    loader.boot()
    loader.boot()


@pytest.mark.parametrize("act", [update, revert])
def test_power_may_fail_twice_at_any_two_operations(
    act: Callable[[Bootloader, bytes], None], old: bytes, new: bytes, pair: KeyPair
) -> None:
    flash = memory_for(SECTORS, SECTOR_BYTES)
    loader = Bootloader(flash, [pair.trusted])
    loader.program(old)
    before = flash.operations
    act(loader, new)
    whole = flash.operations - before
    for first in range(whole):
        for second in range(0, whole, 5):
            survive(act, first, second, old, new, pair)


def survive(
    act: Callable[[Bootloader, bytes], None],
    first: int,
    second: int,
    old: bytes,
    new: bytes,
    pair: KeyPair,
) -> None:
    flash = memory_for(SECTORS, SECTOR_BYTES)
    loader = Bootloader(flash, [pair.trusted])
    loader.program(old)
    flash.cut_after(first)
    with pytest.raises(PowerCutError):
        act(loader, new)
    flash.cut_after(second)
    try:
        image = loader.boot()
    except PowerCutError:
        image = loader.boot()
    flash.cut_after(1_000_000)
    assert image is not None
    assert image.data in (old, new)
    loader.confirm()
    update(loader, new)
    assert version(loader) == NEW, "it can be flashed again"
    assert loader.read(Slot.PRIMARY, 0, len(new)) == new
