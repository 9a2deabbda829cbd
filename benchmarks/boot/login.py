"""A login at slapd beside ldapwhoami, over a link of 40 ms, and with a dead first directory.

    python benchmarks/boot/users/login.py [--runs 9] [--quick] [--json]

A login of ours goes from the first packet of TCP to the directory's yes, in a process that is there
already, as the agent is; a run of ldapwhoami is a process from its start to its end, which takes it
some 20 ms longer than it has to, and it asks who it is after the bind.  After 10 s it is ended.
Dead is a port that refuses, an address where nobody is, or a slapd that is frozen while its port
still accepts.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.figures import Figure, Missing, Row, note, tell
from openturret.boot.fetch.tls import client_context
from openturret.boot.users.directory import Directory, DirectoryServer
from openturret.lab import namespace
from openturret.lab.certificates import Authority
from openturret.lab.delay import FAR_ADDRESS, NEAR_ADDRESS, Way, delayed_link
from openturret.lab.directory import DirectoryUser, directory_service, load
from openturret.lab.directory.slapd import PEOPLE
from openturret.lab.errors import ToolMissingError
from openturret.lab.plan import Host
from openturret.lab.tools import tool

BENCHMARK: Final = "login"
NAME: Final = "ldap.turret.example"
PORT: Final = 636
USER: Final = DirectoryUser("alice", "correct horse", "Alice Martin", "1001")
NOBODY: Final = "10.77.0.9"
READY_S: Final = 15.0
ENDLESS_S: Final = 10.0
"""A peer that takes longer is said to have no end."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Directories in the order in which they are asked."""

    where: str
    ca: Path
    addresses: tuple[str, ...]


async def ours(scene: Scene) -> None:
    """As a unit does it, to the directory's yes."""
    directory = Directory(
        client_context(scene.ca), dn_template=f"uid={{user}},{PEOPLE}", count=lambda _: None
    )
    servers = [DirectoryServer(NAME, IPv4Address(address), PORT) for address in scene.addresses]
    async with directory.login(servers, USER.user, USER.password):
        pass


def ldapwhoami(scene: Scene) -> None:
    """With its certificate checks on; the certificate carries the addresses, too."""
    program = tool("ldapwhoami")
    urls = " ".join(f"ldaps://{address}:{PORT}" for address in scene.addresses)
    environment = {
        **program.environment(), "LDAPTLS_CACERT": str(scene.ca), "LDAPTLS_REQCERT": "demand",
    }  # fmt: skip
    argv = [str(program.path), "-x", "-H", urls, "-o", "nettimeout=2", "-D",
            f"uid={USER.user},{PEOPLE}", "-w", USER.password]  # fmt: skip
    subprocess.run(argv, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=ENDLESS_S)


def measure(scene: Scene, runs: int) -> Iterator[Row]:
    """Milliseconds of each run of both, in turns."""
    taken: dict[str, list[float]] = {"ours": [], "ldapwhoami": []}
    for _ in range(runs):
        start = time.perf_counter()
        asyncio.run(ours(scene))
        taken["ours"].append(time.perf_counter() - start)
        try:
            start = time.perf_counter()
            ldapwhoami(scene)
            taken["ldapwhoami"].append(time.perf_counter() - start)
        except subprocess.TimeoutExpired:
            taken["ldapwhoami"].append(ENDLESS_S)
        note(f"  {scene.where}: " + ", ".join(f"{k} {v[-1]:.3f} s" for k, v in taken.items()))
    for name, seconds in taken.items():
        milliseconds = [1000 * taken_s for taken_s in seconds]
        yield Figure.of(BENCHMARK, f"{scene.where}: {name}", 1, milliseconds, "ms")


@dataclass(frozen=True, slots=True)
class Site:
    """Where directories are made."""

    folder: Path
    authority: Authority

    @contextmanager
    def slapd(self, address: str, command: Sequence[str] = ()) -> Iterator[subprocess.Popen[bytes]]:
        """A directory with one person, from the moment on at which it listens."""
        folder = self.folder / address
        certificate = self.authority.issue(address, [NAME], addresses=[address])
        load(folder, authority=self.authority.path, certificate=certificate, users=[USER])
        service = directory_service("ldap", Host("ldap", "", address), folder, port=PORT)
        environment = {**tool("slapd").environment(), **service.env}
        argv = [*command, *service.argv]
        quiet = subprocess.DEVNULL
        with subprocess.Popen(argv, env=environment, stdout=quiet, stderr=quiet) as process:
            try:
                wait_until_listening(process.pid)
                yield process
            finally:
                process.send_signal(signal.SIGCONT)
                process.terminate()


def wait_until_listening(pid: int) -> None:
    """Reads the table of TCP sockets in the process's own network."""
    due = time.monotonic() + READY_S
    while f":{PORT:04X} 00000000:0000 0A" not in Path(f"/proc/{pid}/net/tcp").read_text():
        if time.monotonic() > due:
            raise TimeoutError("slapd does not listen")
        time.sleep(0.01)


def scenes(site: Site, runs: int, delay_ms: float) -> Iterator[Row]:
    """Everything that is measured."""
    ca = site.authority.path
    with site.slapd("127.0.0.1"):
        yield from measure(Scene("loopback", ca, ("127.0.0.1",)), runs)
    with (
        delayed_link(Way(delay_ms / 2)) as link,
        site.slapd(FAR_ADDRESS, link.command([])),
        site.slapd(NEAR_ADDRESS) as frozen,
    ):
        where = f"{delay_ms:g} ms"
        yield from measure(Scene(where, ca, (FAR_ADDRESS,)), runs)
        for cause, first in (("refuses", "127.0.0.1"), ("is nowhere", NOBODY)):
            scene = Scene(f"{where}, the first {cause}", ca, (first, FAR_ADDRESS))
            yield from measure(scene, runs)
        frozen.send_signal(signal.SIGSTOP)
        scene = Scene(f"{where}, the first is frozen", ca, (NEAR_ADDRESS, FAR_ADDRESS))
        yield from measure(scene, runs)


def missing() -> list[Row]:
    """What cannot be run here, and why."""
    rows: list[Row] = []
    for name in ("slapd", "slapadd", "ldapwhoami"):
        try:
            tool(name)
        except ToolMissingError as error:
            rows.append(Missing(BENCHMARK, name, str(error)))
    return rows


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    made.add_argument("--runs", type=int, default=9, help="of each in each scene")
    made.add_argument("--delay-ms", type=float, default=40, help="there and back")
    made.add_argument("--quick", action="store_true", help="once, to see that it works")
    made.add_argument("--json", action="store_true", help="one JSON array")
    return made


def main() -> int:
    """Run it."""
    options = parser().parse_args()
    if not namespace.inside():
        return namespace.enter([sys.executable, __file__, *sys.argv[1:]])
    subprocess.run([str(tool("ip").path), "link", "set", "lo", "up"], check=True)
    rows = missing()
    if not rows:
        with tempfile.TemporaryDirectory(prefix="ot-") as name:
            authority = Authority(Path(name) / "ca", now=datetime.now(UTC))
            site = Site(Path(name), authority)
            rows += scenes(site, 1 if options.quick else options.runs, options.delay_ms)
    tell(rows, as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
