"""Boots the guest, gives it the twins and a hand, runs a command in it, and ends it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import sys
import tempfile
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ..errors import GuestError
from ..tools import tool
from .initramfs import Entry, archive, file, folder, link, module_files
from .machine import PREFIX, Kernel, Machine, find_qemu, qemu_environment, sysfs_name
from .shares import ETC_FILES, Share, shares

EARLY_MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console")
BOOT_SECONDS = 180.0
END_SECONDS = 15.0
HAND = f"/dev/virtio-ports/{PREFIX}hand"
"""Where a test in the guest finds the hand outside."""

_HERE = Path(__file__).parent
_TAIL_BYTES = 3000
_PASSED_ON = ("CI", "LANG", "LC_ALL", "PYTHONPATH", "TZ")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
_FOLDERS = ("dev", "guest/written", "proc", "root", "run", "sys", "tmp", "usr", "var")
_MERGED = ("bin", "lib", "lib64", "sbin")


@dataclass(frozen=True, slots=True)
class Command:
    """What to run in the guest.

    Attributes:
        argv: the command line.
        cwd: where; a folder of the checkout.
        deadline_s: longest time from the end of booting to its end.
        env: variables beside those that every command gets.
    """

    argv: tuple[str, ...]
    cwd: Path
    deadline_s: float
    env: Mapping[str, str] = field(default_factory=dict)

    def described(self, ports: Iterable[int]) -> bytes:
        """The command as the guest's first process reads it, with the USB ports to wait for."""
        passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        env = {"HOME": "/root", "PATH": _PATH, **passed, **self.env}
        usb = [sysfs_name(port) for port in ports]
        description = {"argv": self.argv, "cwd": str(self.cwd), "env": env, "usb": usb}
        return json.dumps(description).encode()


@dataclass(frozen=True, slots=True)
class Outside:
    """What the guest meets of the world.

    Attributes:
        checkout: shared with it.
        usb: sockets of USB devices by the number of their port.
        hand: socket of whoever works them.
        output: takes what the command writes.
        progress: is told what the guest is doing, a line at a time.
    """

    checkout: Path
    usb: Mapping[int, Path]
    hand: Path
    output: BinaryIO
    progress: Callable[[str], None]


async def run(command: Command, outside: Outside) -> int:
    """Boot a guest, run a command in it, and return the exit status of the command.

    Raises:
        GuestError: the guest did not come up, broke off, or took longer than it may.
        ToolMissingError: QEMU or busybox is missing; says the remedy.
    """
    qemu, kernel = find_qemu(), Kernel.unpacked()
    with tempfile.TemporaryDirectory(prefix="ot-guest-") as name:
        place = Path(name)
        shared = shares(outside.checkout, kernel.modules)
        (place / "initramfs").write_bytes(
            first_files(kernel, shared, command.described(outside.usb))
        )
        machine = Machine(
            kernel=kernel.image,
            initramfs=place / "initramfs",
            console=place / "console",
            folders=_tagged(shared),
            usb=outside.usb,
            channels={"report": place / "r", "output": place / "o", "hand": outside.hand},
        )
        async with _channels(machine, outside) as reports:
            outside.progress(f"booting Debian's {kernel.release}")
            async with _running(machine.argv(qemu), qemu_environment(qemu), place) as ended:
                return await _Story(reports, outside.progress, machine.console).told(
                    command.deadline_s, ended
                )


def first_files(kernel: Kernel, shared: Sequence[Share], command: bytes) -> bytes:
    """The initramfs: what is needed until the shared folders are there."""
    return archive(
        [
            *map(folder, _FOLDERS),
            *(link(name, f"usr/{name}") for name in _MERGED),
            *_modules(kernel),
            *_etc(),
            file("guest/busybox", tool("busybox").path.read_bytes(), executable=True),
            file("guest/init", (_HERE / "init.sh").read_bytes(), executable=True),
            file("guest/shares", _share_list(shared).encode()),
            file("guest/environment", _environment().encode()),
            file("guest/command.json", command),
        ]
    )


def _modules(kernel: Kernel) -> Iterator[Entry]:
    root = kernel.modules / kernel.release
    paths = module_files((root / "modules.dep").read_text(), EARLY_MODULES)
    names = [Path(path).name for path in paths]
    for path, name in zip(paths, names, strict=True):
        yield file(f"guest/modules/{name}", (root / path).read_bytes())
    yield file("guest/modules/order", "".join(f"{name}\n" for name in names).encode())


def _etc() -> Iterator[Entry]:
    for name in ETC_FILES:
        path = Path("/etc") / name
        if path.is_file():
            yield file(f"etc/{name}", path.read_bytes())
    for path in sorted(Path("/etc/alternatives").glob("*")):
        if path.is_symlink():
            yield link(f"etc/alternatives/{path.name}", str(path.readlink()))


def _share_list(shared: Sequence[Share]) -> str:
    tags = iter(_tagged(shared))
    lines = (f"{share.place} {' '.join(next(tags) for _ in share.sources)}\n" for share in shared)
    return "".join(lines)


def _tagged(shared: Iterable[Share]) -> dict[str, Path]:
    sources = (source for share in shared for source in share.sources)
    return {f"share{number}": source for number, source in enumerate(sources)}


def _environment() -> str:
    python, inside = shlex.quote(sys.executable), shlex.quote(str(_HERE / "inside.py"))
    return f"PATH={_PATH}\nexport PATH\nPYTHON={python}\nINSIDE={inside}\n"


@asynccontextmanager
async def _channels(machine: Machine, outside: Outside) -> AsyncIterator[asyncio.Queue[str]]:
    """Listens where QEMU's virtio ports lead: lines of reports, and the command's output."""
    reports: asyncio.Queue[str] = asyncio.Queue()

    async def report(reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            reports.put_nowait(line.decode(errors="replace").strip())

    async def output(reader: asyncio.StreamReader) -> None:
        while data := await reader.read(65_536):
            outside.output.write(data)
            outside.output.flush()

    async with (
        _listening(machine.channels["report"], report),
        _listening(machine.channels["output"], output),
    ):
        yield reports


@asynccontextmanager
async def _listening(
    path: Path, take: Callable[[asyncio.StreamReader], Awaitable[None]]
) -> AsyncIterator[None]:
    """Serves one connection; leaving waits until all that came through it was taken."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await take(reader)
        ended.set()

    server = await asyncio.start_unix_server(serve, str(path))
    try:
        yield
        await asyncio.wait_for(ended.wait(), END_SECONDS)
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def _running(
    argv: Sequence[str], env: Mapping[str, str], place: Path
) -> AsyncIterator[asyncio.Task[int]]:
    """QEMU, until it ends by itself or is no longer needed."""
    with (place / "qemu").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **env},
        )
    ended = asyncio.create_task(process.wait())
    try:
        yield ended
        await asyncio.wait([ended], timeout=END_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
        await ended


class _Story:
    """What the guest reports, as far as it goes."""

    def __init__(
        self, reports: asyncio.Queue[str], progress: Callable[[str], None], console: Path
    ) -> None:
        self._reports = reports
        self._progress = progress
        self._console = console
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()

    async def told(self, deadline_s: float, ended: asyncio.Task[int]) -> int:
        """The exit status of the command."""
        await self._expect("booted", BOOT_SECONDS, ended)
        self._progress(f"booted after {self._lap():.1f} s, loading drivers")
        await self._expect("devices", BOOT_SECONDS, ended)
        self._progress(f"drivers loaded after {self._lap():.1f} s, running the command")
        status = int(await self._expect("exit", deadline_s, ended))
        self._progress(f"the command ended with {status} after {self._lap():.1f} s")
        return status

    def _lap(self) -> float:
        since, self._since = self._since, self._loop.time()
        return self._since - since

    async def _expect(self, word: str, seconds: float, ended: asyncio.Task[int]) -> str:
        try:
            async with asyncio.timeout(seconds):
                line = await self._next(ended)
        except TimeoutError:
            raise GuestError(f"no {word!r} within {seconds:g} s; {self._tail()}") from None
        found, _, rest = line.partition(" ")
        if found != word:
            raise GuestError(f"the guest broke off: {line}; {self._tail()}")
        return rest

    async def _next(self, ended: asyncio.Task[int]) -> str:
        line = asyncio.create_task(self._reports.get())
        await asyncio.wait([line, ended], return_when=asyncio.FIRST_COMPLETED)
        if line.done():
            return line.result()
        line.cancel()
        return f"QEMU ended with {ended.result()}"

    def _tail(self) -> str:
        texts = [self._console.with_name("qemu"), self._console]
        ends = [path.read_bytes()[-_TAIL_BYTES:] for path in texts if path.exists()]
        return "the end of its console:\n" + b"".join(ends).decode(errors="replace")
