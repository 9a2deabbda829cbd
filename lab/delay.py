"""A link that delays and loses frames, made of two cables and a relay; the kernel needs no netem.

```
 near (this namespace)          the relay's own namespace          far (a namespace of its own)
 10.77.0.1 near0 ═ veth ═ near1 ── delay, loss, queue ── far1 ═ veth ═ far0 10.77.0.2
```

`delayed_link` makes all of this, for a test or a benchmark that has one client and one server::

    with delayed_link(Way(delay_ms=20, loss=0.01)) as link:      # 40 ms there and back
        server = subprocess.Popen(link.command(["dnsmasq", …]))  # listens on FAR_ADDRESS
        …                                                        # this process is the client

`Relay` alone joins any two interfaces, so that a larger network can have such a link in it.
It is a small program in C (``delay.c``), compiled once and cached: a download fills a link faster
than Python can carry it.  The interfaces send every frame as a wire would: no offload lets one
of 64 kB through, whose loss would be that of forty.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .errors import NetworkError, ToolMissingError
from .tools import cache_folder, tool

NEAR_ADDRESS: Final = "10.77.0.1"
FAR_ADDRESS: Final = "10.77.0.2"
MTU_BYTES: Final = 1500

_SOURCE = Path(__file__).with_suffix(".c")
_FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror")
_NEAR_MAC, _FAR_MAC = "02:77:00:00:00:01", "02:77:00:00:00:02"
_ETHERNET_BYTES = 18
_MILLION = 1_000_000
_SIOCETHTOOL = 0x8946
_OFFLOADS = (0x15, 0x17, 0x19, 0x1F, 0x24, 0x2C)
"""Checksums in and out, scatter-gather, TSO, GSO, GRO: ETHTOOL_SRXCSUM and on (linux/ethtool.h)."""


@dataclass(frozen=True, slots=True)
class Way:
    """What happens to the frames that go one way.

    Attributes:
        delay_ms: how late each is; half of what a round trip takes longer.
        loss: the share that is lost, by chance and each for itself; 0 to 1.

    Raises:
        ValueError: one of them is out of range.
    """

    delay_ms: float = 0.0
    loss: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.delay_ms <= 60_000 and 0 <= self.loss <= 1):
            raise ValueError(f"{self}: delay_ms is 0 to 60000, loss is 0 to 1")

    @property
    def arguments(self) -> tuple[str, str]:
        """For the program: microseconds, and losses per million."""
        return str(round(self.delay_ms * 1000)), str(round(self.loss * _MILLION))


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the frames that went one way; `overflowed` found the queue full."""

    carried: int
    lost: int
    overflowed: int


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a relay carries.

    Attributes:
        queue_bytes: what waits in each direction at most; frames beyond are dropped. A link that
            is never to drop needs its rate times its delay.
        mtu_bytes: of the interfaces.
    """

    queue_bytes: int = 32 << 20
    mtu_bytes: int = MTU_BYTES


class Relay:
    """Joins two interfaces of this namespace, which it takes away and which end with it.

    Args:
        near: the name of an interface, an end of a veth pair.
        far: the name of another.
        there: for what goes from near to far.
        back: for what goes from far to near; the same by default.
        seed: of the losses; the same seed loses the same frames.
        limits: how much it carries.

    Raises:
        NetworkError: the kernel or iproute2 refused; the message is theirs.
        ToolMissingError: there is no C compiler.
    """

    def __init__(
        self,
        near: str,
        far: str,
        there: Way,
        back: Way | None = None,
        *,
        seed: int = 1,
        limits: Limits | None = None,
    ) -> None:
        limits = limits or Limits()
        size = (str(limits.mtu_bytes + _ETHERNET_BYTES), str(limits.queue_bytes))
        ways = (*there.arguments, *(back or there).arguments)
        self._process = subprocess.Popen(
            [str(_program()), near, far, *size, str(seed), *ways],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        try:
            self._expect("apart")
            _ip(*(f"link set {name} netns {self._process.pid}" for name in (near, far)))
            self._write("\n")
            self._expect("carrying")
        except BaseException:
            self._process.kill()
            self._process.communicate()
            raise

    def close(self) -> tuple[Counts, Counts]:
        """Ends it; returns what it did, there and back.

        Raises:
            NetworkError: it had ended by itself; the message says why.
        """
        said, complaint = self._process.communicate()
        if self._process.returncode:
            raise NetworkError(f"the relay ended: {complaint.strip()}")
        there, back = (Counts(*map(int, line.split())) for line in said.splitlines())
        return there, back

    def _write(self, text: str) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(text)
            self._process.stdin.flush()

    def _expect(self, word: str) -> None:
        said = self._process.stdout.readline().strip() if self._process.stdout else ""
        if said != word:
            complaint = self._process.stderr.read().strip() if self._process.stderr else ""
            raise NetworkError(f"the relay did not say {word!r}: {complaint}")


@dataclass(slots=True)
class DelayedLink:
    """A link from here to a namespace of its own.

    Attributes:
        pid: a process of the far namespace.
        counts: what the relay did, there and back; set when the link has ended.
    """

    pid: int
    counts: tuple[Counts, Counts] | None = field(default=None)

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs ``argv`` at the far end, as the process itself."""
        return [str(tool("nsenter").path), f"--net=/proc/{self.pid}/ns/net", "--", *argv]


@contextlib.contextmanager
def delayed_link(
    there: Way, back: Way | None = None, *, seed: int = 1, limits: Limits | None = None
) -> Iterator[DelayedLink]:
    """Make the link of this module's picture and take it down again.

    Both ends know each other's MAC address and have no IPv6, so there are no frames but those of
    what is tried.
    Run it inside a namespace (`openturret.lab.isolated`), one at a time.

    Raises:
        NetworkError: the kernel or iproute2 refused; the message is theirs.
        ToolMissingError: a program or the C compiler is not installed.
    """
    limits = limits or Limits()
    with own_namespace() as pid:
        _ip(*_cable("near0", "near1", limits), *_cable("far0", "far1", limits))
        for name in ("near0", "far0"):
            switch_offloads_off(name)
        _ip(f"link set far0 netns {pid}")
        link = DelayedLink(pid)
        relay = Relay("near1", "far1", there, back, seed=seed, limits=limits)
        try:
            _ip(*_end("near0", _NEAR_MAC, NEAR_ADDRESS, _FAR_MAC, FAR_ADDRESS))
            _ip(*_end("far0", _FAR_MAC, FAR_ADDRESS, _NEAR_MAC, NEAR_ADDRESS), link=link)
            yield link
        finally:
            link.counts = relay.close()
            with contextlib.suppress(NetworkError):  # gone already, with its end in the relay
                _ip("link delete near0")


@contextlib.contextmanager
def own_namespace() -> Iterator[int]:
    """A network namespace that ends with its process, and this with its standard input."""
    command = [str(tool("unshare").path), "--net", "--", "cat"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise NetworkError("the process was started without pipes")
        process.stdin.write("there\n")
        if process.stdout.readline() != "there\n":
            raise NetworkError(
                "a network namespace cannot be made here: use openturret.lab.isolated"
            )
        yield process.pid
        process.stdin.close()


def _cable(one: str, other: str, limits: Limits) -> list[str]:
    mtu = f"mtu {limits.mtu_bytes}"
    return [
        f"link add {one} {mtu} type veth peer name {other} {mtu}",
        f"link set {one} addrgenmode none",
        f"link set {other} addrgenmode none",
    ]


def _end(interface: str, mac: str, address: str, peer_mac: str, peer: str) -> list[str]:
    return [
        f"link set {interface} address {mac} up",
        f"address add {address}/24 dev {interface}",
        f"neighbour replace {peer} lladdr {peer_mac} dev {interface} nud permanent",
    ]


def _ip(*commands: str, link: DelayedLink | None = None) -> None:
    argv = [str(tool("ip").path), "-batch", "-"]
    batch = "".join(f"{command}\n" for command in commands)
    done = subprocess.run(
        link.command(argv) if link else argv, input=batch, capture_output=True, text=True
    )
    if done.returncode:
        raise NetworkError(f"ip: {done.stderr.strip()}")


def switch_offloads_off(interface: str) -> None:
    """Make an interface of this namespace send every frame as a wire would carry it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for offload in _OFFLOADS:
            value = ctypes.create_string_buffer(struct.pack("II", offload, 0))
            request = struct.pack("16sP", interface.encode(), ctypes.addressof(value))
            with contextlib.suppress(OSError):  # one that the interface does not have
                fcntl.ioctl(any_socket, _SIOCETHTOOL, request.ljust(40, b"\0"))


def _program() -> Path:
    """The relay, compiled unless this very source was before."""
    mark = hashlib.sha256(_SOURCE.read_bytes() + repr(_FLAGS).encode()).hexdigest()[:12]
    program = cache_folder() / f"delay-{mark}"
    if program.exists():
        return program
    compiler = shutil.which(os.environ.get("CC", "gcc"))
    if compiler is None:
        raise ToolMissingError(
            "no C compiler: run `make setup`, or `apt-get install gcc libc6-dev`"
        )
    program.parent.mkdir(parents=True, exist_ok=True)
    beside = program.with_name(f".{program.name}.{os.getpid()}")
    subprocess.run([compiler, *_FLAGS, "-o", str(beside), str(_SOURCE)], check=True)
    beside.replace(program)
    return program
