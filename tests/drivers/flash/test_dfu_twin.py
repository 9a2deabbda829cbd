"""The twin keeps to figure A.1 of DFU 1.1, and nothing that a host sends can break it."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openturret.drivers.emulated.flash_memory import PowerCutError
from openturret.drivers.emulated.usb.model import Setup, Stall
from openturret.drivers.flash.dfu_protocol import (
    Code,
    DfuDescriptor,
    DfuStatus,
    Request,
    State,
    in_dfu_mode,
)
from openturret.drivers.flash.firmware import Firmware
from openturret.drivers.flash.flashing import Orders, Result, flash

from .conftest import BLOCK_BYTES, BLOCKS_OF_64, NEW, DfuRig


def ask(rig: DfuRig, request: int, value: int = 0, data: bytes = b"", length: int = 6) -> bytes:
    to_host = request in (Request.GETSTATUS, Request.GETSTATE, Request.UPLOAD)
    kind, count = (0xA1, length) if to_host else (0x21, len(data))
    return rig.twin.device.control(Setup(kind, request, value, 0, count), data)


def reset(rig: DfuRig) -> None:
    """Resets the bus and configures again, as a kernel does."""
    rig.twin.device.bus_reset()
    rig.twin.device.control(Setup(0x00, 9, 1, 0, 0), b"")


def status(rig: DfuRig) -> DfuStatus:
    return DfuStatus.parse(ask(rig, Request.GETSTATUS))


@pytest.fixture
def loading(rig: DfuRig) -> DfuRig:
    assert rig.seen.interfaces
    ask(rig, Request.DETACH, 1000)
    assert in_dfu_mode(rig.seen)
    return rig


def begun(rig: DfuRig, new: Firmware) -> None:
    ask(rig, Request.DNLOAD, 0, new.data[:BLOCK_BYTES])


def written(rig: DfuRig, new: Firmware) -> None:
    begun(rig, new)
    rig.pace.wait(status(rig).poll_ms / 1000)
    assert status(rig).state is State.DFU_DNLOAD_IDLE


def failed(rig: DfuRig, _new: Firmware) -> None:
    with pytest.raises(Stall):
        ask(rig, Request.DNLOAD)


def read(rig: DfuRig, _new: Firmware) -> None:
    ask(rig, Request.UPLOAD, 0, length=16)


def idle(_rig: DfuRig, _new: Firmware) -> None:
    """The loader has just started."""


def writing(rig: DfuRig, new: Firmware) -> None:
    begun(rig, new)
    status(rig)


GO_ON = {Request.GETSTATUS, Request.GETSTATE}
ALLOWED: dict[Callable[[DfuRig, Firmware], None], tuple[State, set[Request]]] = {
    idle: (State.DFU_IDLE, {*GO_ON, Request.UPLOAD, Request.ABORT}),
    begun: (State.DFU_DNLOAD_SYNC, {*GO_ON, Request.ABORT}),
    written: (State.DFU_DNLOAD_IDLE, {*GO_ON, Request.ABORT, Request.DNLOAD}),
    writing: (State.DFU_DNBUSY, set()),
    read: (State.DFU_UPLOAD_IDLE, {*GO_ON, Request.UPLOAD, Request.ABORT}),
    failed: (State.DFU_ERROR, {*GO_ON, Request.CLRSTATUS}),
}
"""How a state is reached, and what is allowed in it without data (appendix A.2)."""


@pytest.mark.parametrize("request_", list(Request))
@pytest.mark.parametrize("reach", ALLOWED)
def test_a_state_allows_what_the_figure_says_and_nothing_else(
    loading: DfuRig, new: Firmware, reach: Callable[[DfuRig, Firmware], None], request_: Request
) -> None:
    reach(loading, new)
    state, allowed = ALLOWED[reach]
    value = 1 if request_ is Request.DNLOAD else 0
    if request_ in allowed:
        ask(loading, request_, value)
        return
    with pytest.raises(Stall):
        ask(loading, request_, value)
    assert state is State.DFU_ERROR or status(loading) == DfuStatus(
        Code.ERR_STALLEDPKT, 0, State.DFU_ERROR
    )


def test_who_asks_too_early_gets_a_stall(loading: DfuRig, new: Firmware) -> None:
    begun(loading, new)
    loading.pace.wait(status(loading).poll_ms / 1000 - 0.001)
    with pytest.raises(Stall):
        status(loading)


@pytest.mark.parametrize("block", [1, 0xFFFF])
def test_blocks_come_in_order(loading: DfuRig, new: Firmware, block: int) -> None:
    with pytest.raises(Stall):
        ask(loading, Request.DNLOAD, block, new.data[:BLOCK_BYTES])


def test_a_block_is_no_longer_than_announced(loading: DfuRig, new: Firmware) -> None:
    with pytest.raises(Stall):
        ask(loading, Request.DNLOAD, 0, new.data[: BLOCK_BYTES + 1])


def test_an_end_that_comes_early_is_not_done(loading: DfuRig, new: Firmware) -> None:
    written(loading, new)
    ask(loading, Request.DNLOAD, 1)
    assert status(loading) == DfuStatus(Code.ERR_NOTDONE, 0, State.DFU_ERROR)


def test_what_is_no_image_is_refused_at_its_first_block(loading: DfuRig) -> None:
    ask(loading, Request.DNLOAD, 0, b"no image at all")
    operations = loading.flash.operations
    assert status(loading) == DfuStatus(Code.ERR_FILE, 0, State.DFU_ERROR)
    assert loading.flash.operations == operations


def test_an_upload_gives_the_image_and_ends_short(loading: DfuRig) -> None:
    first = loading.first
    blocks = [
        ask(loading, Request.UPLOAD, number, length=100) for number in range(len(first) // 100 + 1)
    ]
    assert b"".join(blocks) == first
    assert status(loading).state is State.DFU_IDLE


def test_a_detach_without_a_reset_in_time_is_forgotten(
    make_rig: Callable[..., DfuRig],
) -> None:
    patient = DfuDescriptor(transfer_bytes=BLOCK_BYTES, will_detach=False, detach_ms=500)
    rig = make_rig(abilities=patient)
    assert not in_dfu_mode(rig.seen)
    ask(rig, Request.DETACH, 65535)
    rig.pace.wait(0.6)
    reset(rig)
    assert not in_dfu_mode(rig.seen)
    ask(rig, Request.DETACH, 65535)
    reset(rig)
    assert in_dfu_mode(rig.seen)


def test_a_loader_survives_the_resets_of_an_enumeration(loading: DfuRig) -> None:
    reset(loading)
    assert in_dfu_mode(loading.seen)
    status(loading)
    reset(loading)
    assert not in_dfu_mode(loading.seen), "the host has spoken to it, and leaves"


def test_a_device_without_firmware_stays_in_its_loader(rig: DfuRig, new: Firmware) -> None:
    rig.memory.erase_spare()
    for sector in range(8):
        rig.flash.erase(sector)
    assert rig.running is None
    assert in_dfu_mode(rig.seen)
    assert status(rig) == DfuStatus(Code.ERR_FIRMWARE, 0, State.DFU_ERROR)
    outcome = flash(rig.unit, new, rig.pace, lambda _: None, Orders())
    assert (outcome.result, outcome.before) == (Result.FLASHED, None)


def test_its_functional_descriptor_can_be_asked_for(rig: DfuRig) -> None:
    assert rig.seen.interfaces
    answer = rig.twin.device.control(Setup(0x81, 6, 0x2100, 0, 9), b"")
    assert answer == bytes(BLOCKS_OF_64)


deeds = st.one_of(
    st.tuples(
        st.just("ask"),
        st.integers(0, 8),
        st.integers(0, 4),
        st.one_of(st.binary(max_size=70), st.integers(0, 5)),
    ),
    st.tuples(st.sampled_from(["reset", "unplug", "plug", "cut", "restore", "wait"])),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.lists(deeds, max_size=30), st.integers(0, 60))
def test_nothing_that_a_host_or_a_hand_does_bricks_it(
    make_rig: Callable[..., DfuRig], new: Firmware, done: list[tuple[Any, ...]], fuse: int
) -> None:
    rig = make_rig()
    rig.flash.cut_after(fuse)
    for deed in done:
        with contextlib.suppress(Stall):
            do(rig, new, *deed)
    rig.flash.cut_after(1_000_000)
    rig.twin.device.plug()
    rig.twin.device.cut_power()
    rig.twin.device.restore_power()
    assert rig.twin.running is not None
    assert rig.twin.running.data in (rig.first, new.data)
    outcome = flash(rig.unit, new, rig.pace, lambda _: None, Orders())
    assert outcome.result in (Result.FLASHED, Result.CURRENT)
    assert rig.running == NEW


def do(rig: DfuRig, new: Firmware, what: str, *how: object) -> None:
    device = rig.twin.device
    if what == "ask":
        request, value, data = how
        if not device.attached or not isinstance(request, int) or not isinstance(value, int):
            return
        if isinstance(data, int):
            data = new.data[data * BLOCK_BYTES : (data + 1) * BLOCK_BYTES]
        ask(rig, request, value, data if isinstance(data, bytes) else b"")
        return
    hands: dict[str, Callable[[], None]] = {
        "reset": device.bus_reset,
        "unplug": device.unplug,
        "plug": device.plug,
        "cut": device.cut_power,
        "restore": lambda: restored(rig),
        "wait": lambda: rig.pace.wait(1.0),
    }
    hands[what]()
    rig.present()


def restored(rig: DfuRig) -> None:
    """Gives power back, and again if it failed in the middle of a swap."""
    with contextlib.suppress(PowerCutError):
        rig.twin.device.restore_power()
    rig.twin.device.restore_power()
