"""USB ports that change, on a tree like sysfs; the kernel's messages only hurry the next look."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers import hotplug
from openturret.drivers.hotplug import UsbHotplug, changes, look
from openturret.hal.hotplug import Hotplug, PlugEvent


class Tree:
    """The part of sysfs that shows USB devices."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._devices = root / "bus" / "usb" / "devices"
        self._devices.mkdir(parents=True)
        (self._devices / "usb1").mkdir()
        (self._devices / "1-0:1.0").mkdir()
        self._address = 1

    def plug(self, port: str, *parts: str) -> None:
        self._address += 1
        self.add(port, *parts)
        (self._devices / port / "devnum").write_text(f"{self._address}\n")

    def add(self, port: str, *parts: str) -> None:
        (self._devices / port).mkdir(exist_ok=True)
        for part in parts:
            (self._devices / port / f"{port}:1.0" / part).mkdir(parents=True)

    def pull(self, port: str) -> None:
        device = self._devices / port
        for path in sorted(device.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        device.rmdir()


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


class Kernel:
    """Wakes whoever listens, as netlink does."""

    def __init__(self) -> None:
        self._wake: asyncio.Event | None = None
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def __call__(self, wake: asyncio.Event) -> Iterator[None]:
        self._wake = wake
        self.listening.set()
        yield
        self._wake = None

    def speak(self) -> None:
        assert self._wake is not None
        self._wake.set()


@pytest.fixture
async def told(tree: Tree) -> AsyncIterator[tuple[Kernel, "asyncio.Queue[PlugEvent]"]]:
    """A kernel that speaks on demand, and what is told; nobody polls."""
    kernel = Kernel()
    queue: asyncio.Queue[PlugEvent] = asyncio.Queue()

    async def collect() -> None:
        async for event in UsbHotplug(tree.root, kernel, poll_s=3600).events():
            queue.put_nowait(event)

    task = asyncio.create_task(collect())
    await kernel.listening.wait()
    await asyncio.sleep(0)
    yield kernel, queue
    task.cancel()


Told = tuple[Kernel, "asyncio.Queue[PlugEvent]"]


async def test_a_device_that_comes_and_goes_is_told_by_its_port(tree: Tree, told: Told) -> None:
    kernel, queue = told
    tree.plug("1-1.2")
    kernel.speak()
    assert await queue.get() == PlugEvent("1-1.2", plugged=True)
    tree.pull("1-1.2")
    kernel.speak()
    assert await queue.get() == PlugEvent("1-1.2", plugged=False)


async def test_a_sound_card_that_comes_later_is_told_again(tree: Tree, told: Told) -> None:
    kernel, queue = told
    tree.plug("1-1")
    kernel.speak()
    assert await queue.get() == PlugEvent("1-1", plugged=True)
    tree.add("1-1", "sound/card1")
    kernel.speak()
    assert await queue.get() == PlugEvent("1-1", plugged=True)


async def test_a_message_about_nothing_is_told_to_nobody(tree: Tree, told: Told) -> None:
    kernel, queue = told
    kernel.speak()
    tree.plug("2-1")
    kernel.speak()
    assert await queue.get() == PlugEvent("2-1", plugged=True)
    assert queue.empty()


async def test_where_the_kernel_says_nothing_the_tree_is_looked_at(tree: Tree) -> None:
    silent = Kernel()
    events = UsbHotplug(tree.root, silent, poll_s=0.01).events()
    first = asyncio.ensure_future(anext(events))
    await silent.listening.wait()
    tree.plug("1-1")
    async with asyncio.timeout(10):
        assert await first == PlugEvent("1-1", plugged=True)


async def test_the_kernels_own_messages_can_be_listened_to_or_not_without_harm(tree: Tree) -> None:
    """Netlink may be forbidden here: then the tree is looked at all the same."""
    events = UsbHotplug(tree.root, poll_s=0.01).events()
    first = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    tree.plug("1-1")
    async with asyncio.timeout(10):
        assert (await first).plugged


@pytest.mark.parametrize("missing", ["pyudev", "netlink"])
async def test_without_pyudev_or_netlink_ports_are_looked_at(
    tree: Tree, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing == "pyudev":
        monkeypatch.setattr(hotplug, "pyudev", None)
    else:
        pyudev = pytest.importorskip("pyudev")
        monkeypatch.setattr(pyudev.Monitor, "from_netlink", forbidden)
    wake = asyncio.Event()
    with hotplug.kernel_messages(wake):
        assert not wake.is_set()


def forbidden(*_: object, **__: object) -> None:
    raise PermissionError("netlink")


def test_a_device_changed_for_another_is_pulled_and_plugged(tree: Tree) -> None:
    tree.plug("1-1")
    before = look(tree.root)
    tree.pull("1-1")
    tree.plug("1-1")
    assert list(changes(before, look(tree.root))) == [
        PlugEvent("1-1", plugged=False),
        PlugEvent("1-1", plugged=True),
    ]


def test_hubs_of_the_root_and_interfaces_are_no_devices(tree: Tree) -> None:
    assert look(tree.root) == {}


def test_without_sysfs_nothing_is_there(tmp_path: Path) -> None:
    assert look(tmp_path / "nowhere") == {}


LOOKS = st.dictionaries(
    st.sampled_from(["1-1", "1-2", "2-1.4"]), st.sampled_from(["2 ", "3 ", "3 card1", " "])
)


@given(LOOKS, LOOKS)
def test_whoever_follows_the_events_knows_what_is_there(
    before: dict[str, str], after: dict[str, str]
) -> None:
    there = set(before)
    for event in changes(before, after):
        (there.add if event.plugged else there.discard)(event.port)
    assert there == set(after)


def test_the_driver_tells_of_hotplug() -> None:
    assert isinstance(UsbHotplug(), Hotplug)
