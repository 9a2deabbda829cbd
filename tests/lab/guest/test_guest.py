"""The guest as far as it goes without one; `tests/guest` runs inside it."""

import asyncio
import io
import json
import sys
from pathlib import Path

import pytest

from openturret.lab.errors import GuestError
from openturret.lab.guest import guest as guests
from openturret.lab.guest.__main__ import main
from openturret.lab.guest.guest import Command, Outside, run
from openturret.lab.guest.machine import Kernel, Machine, qemu_environment
from openturret.lab.guest.shares import shares
from openturret.lab.guest.twins import PLACES, Twins
from openturret.lab.hands.wire import WireHand
from openturret.lab.tools import Tool


def tree(root: Path, *files: str) -> None:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "openturret"


def test_a_kernel_that_is_not_there_is_missed_with_a_remedy(cache: Path) -> None:
    with pytest.raises(GuestError, match="make kernel-setup"):
        Kernel.unpacked()


def test_a_kernel_counts_once_its_modules_are_indexed(cache: Path) -> None:
    root = cache / "guest" / "kernel"
    tree(root, "boot/vmlinuz-6.1.0-1-amd64", "boot/vmlinuz-6.1.0-2-amd64")
    tree(root, "lib/modules/6.1.0-2-amd64/modules.dep")
    assert Kernel.unpacked().release == "6.1.0-2-amd64"


def test_without_a_kernel_the_command_says_so(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guests, "find_qemu", lambda: Tool(Path("/bin/false")))
    assert main(["--", "true"]) == 3
    assert "make kernel-setup" in capsys.readouterr().err


def test_no_share_is_inside_another_and_usr_comes_first(tmp_path: Path) -> None:
    checkout = Path(sys.prefix) / "checkout"
    found = shares(checkout, tmp_path)
    places = [share.place for share in found]
    assert places[0] == Path("/usr")
    assert found[0].sources[0] == Path("/usr")
    assert places[-1] == Path("/usr/lib/modules")
    ours = places[:-1]
    assert not [one for one in ours for other in ours if one != other and one.is_relative_to(other)]
    assert any(checkout.resolve().is_relative_to(place) for place in ours)


def test_tools_that_were_unpacked_lie_below_what_is_installed(cache: Path, tmp_path: Path) -> None:
    tree(cache / "guest-tools", "usr/bin/aplay")
    assert shares(tmp_path, tmp_path)[0].sources == (Path("/usr"), cache / "guest-tools" / "usr")


def machine(folder: Path) -> Machine:
    return Machine(
        kernel=folder / "vmlinuz",
        initramfs=folder / "initramfs",
        console=folder / "console",
        folders={"share0": Path("/usr")},
        usb={1: folder / "1.usb", 6: folder / "6.usb"},
        channels={name: folder / name for name in ("report", "output", "hand")},
    )


def test_qemu_never_asks_for_kvm_and_writes_to_nothing(tmp_path: Path) -> None:
    argv = machine(tmp_path).argv(Tool(Path("/usr/bin/qemu")))
    assert argv[argv.index("-machine") + 1].endswith("accel=tcg")
    assert "-L" not in argv
    (shared,) = [word for word in argv if word.startswith("local,")]
    assert "readonly=on" in shared


def test_each_device_is_in_its_own_port(tmp_path: Path) -> None:
    argv = machine(tmp_path).argv(Tool(Path("/usr/bin/qemu")))
    ports = [word for word in argv if word.startswith("usb-redir")]
    assert ports == ["usb-redir,chardev=socket1,bus=usb1.0,port=1",
                     "usb-redir,chardev=socket6,bus=usb3.0,port=2"]  # fmt: skip


def test_an_unpacked_qemu_finds_its_firmware_and_its_modules(tmp_path: Path) -> None:
    tree(tmp_path, "usr/lib/x86_64-linux-gnu/qemu/hw-usb-redirect.so")
    qemu = Tool(tmp_path / "usr/bin/qemu", {"LD_LIBRARY_PATH": "x"}, tmp_path)
    assert qemu_environment(qemu)["QEMU_MODULE_DIR"].startswith(str(tmp_path))
    assert str(tmp_path / "usr/share/seabios") in machine(tmp_path).argv(qemu)
    assert qemu_environment(Tool(Path("/usr/bin/qemu"))) == {}


def test_a_command_takes_along_what_tests_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "1")
    monkeypatch.setenv("OPENTURRET_SECRET", "no")
    told = json.loads(Command(("true",), Path("/x"), 1.0, {"A": "b"}).described([1, 6]))
    assert (told["argv"], told["cwd"], told["usb"]) == (["true"], "/x", ["1-1", "3-2"])
    assert told["env"]["CI"] == "1"
    assert told["env"]["A"] == "b"
    assert "OPENTURRET_SECRET" not in told["env"]


async def test_the_twins_are_in_their_ports_and_the_hand_works_them(tmp_path: Path) -> None:
    async with Twins(tmp_path) as twins:
        assert sorted(twins.ports) == [1, 2, 3, 4, 5, 6]
        for path in twins.ports.values():
            reader, writer = await asyncio.open_unix_connection(str(path))
            assert b"OpenTurret" in await reader.readexactly(76)
            writer.close()
        hand = await WireHand.connect(twins.hand)
        for position in PLACES:
            assert await hand.lamps(position) == {}
        await hand.close()


PLAYS = """\
#!{python}
import socket, sys, time
paths = {{w.split(",path=")[0].split("id=")[1]: w.split("path=")[1]
         for w in sys.argv if w.startswith("socket,id=")}}
ends = {{name: socket.socket(socket.AF_UNIX) for name in ("report", "output")}}
for name, end in ends.items():
    end.connect(paths[name])
ends["output"].sendall(b"what the command said")
ends["report"].sendall({said!r})
for end in ends.values():
    end.close()
"""


def play(cache: Path, monkeypatch: pytest.MonkeyPatch, said: bytes) -> Outside:
    """A program in the place of QEMU that tells a story on the same sockets."""
    root = cache / "guest" / "kernel"
    tree(root, "boot/vmlinuz-6.1.0-1-amd64")
    modules = root / "lib" / "modules" / "6.1.0-1-amd64"
    names = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console")
    tree(modules, *(f"{name}.ko" for name in names))
    (modules / "modules.dep").write_text("".join(f"{name}.ko:\n" for name in names))
    qemu = cache / "qemu"
    qemu.write_text(PLAYS.format(python=sys.executable, said=said))
    qemu.chmod(0o755)
    monkeypatch.setattr(guests, "find_qemu", lambda: Tool(qemu))
    monkeypatch.setattr(guests, "tool", lambda _name: Tool(qemu))
    return Outside(cache, {}, cache / "hand", io.BytesIO(), lambda _text: None)


async def test_the_status_and_the_output_of_the_command_come_out(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = play(cache, monkeypatch, b"booted\ndevices\nexit 7\n")
    assert await run(Command(("true",), cache, 30.0), outside) == 7
    assert isinstance(outside.output, io.BytesIO)
    assert outside.output.getvalue() == b"what the command said"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"", "QEMU ended with 0"),
        (b"booted\n", "QEMU ended with 0"),
        (b"booted\nbroken no USB device on 2-2\n", "no USB device on 2-2"),
        (b"devices\n", "broke off: devices"),
    ],
)
async def test_a_guest_that_breaks_off_is_told_of(
    cache: Path, monkeypatch: pytest.MonkeyPatch, said: bytes, told: str
) -> None:
    outside = play(cache, monkeypatch, said)
    with pytest.raises(GuestError, match=told):
        await run(Command(("true",), cache, 30.0), outside)
