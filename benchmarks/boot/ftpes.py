"""64 MiB over FTPES, beside curl and lftp, from vsftpd that demands resumed TLS sessions.

    python benchmarks/boot/fetch/ftpes.py [--mib 64] [--runs 5] [--quick] [--json]

Over loopback, and over a link of 40 ms there and back that loses nothing or one frame in a
hundred.  A run of ours goes from the first packet of TCP to the last byte in a file, in a process
that is there already, as the agent is when it fetches; a run of a peer is a process from its start
to its end, which takes curl 10 ms and lftp 40 ms longer than it has to.  The runs of all three
take turns.  Where frames are lost the sender's congestion control decides: three runs there.

Every downloaded file is compared with what was served.
"""

from __future__ import annotations

import argparse
import contextlib
import filecmp
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.figures import Figure, Missing, Row, note, tell
from openturret.boot.fetch.ftpes import FtpesSession
from openturret.boot.fetch.tls import client_context
from openturret.boot.fetch.transport import Account, Server, Terms
from openturret.hal.clock import SystemClock
from openturret.lab import namespace
from openturret.lab.certificates import Authority
from openturret.lab.delay import FAR_ADDRESS, Way, delayed_link
from openturret.lab.errors import ToolMissingError
from openturret.lab.tools import tool

BENCHMARK: Final = "ftpes"
NAME: Final = "tss1.turret.example"
PORT: Final = 21
FILE: Final = "image"
MIB: Final = 1024 * 1024
READY_S: Final = 15.0
VSFTPD: Final = """\
listen=YES
listen_address={address}
anonymous_enable=YES
local_enable=NO
anon_root={tree}
anon_world_readable_only=NO
run_as_launching_user=YES
nopriv_user=root
ftp_username=root
secure_chroot_dir={folder}/empty
seccomp_sandbox=NO
background=NO
ssl_enable=YES
allow_anon_ssl=YES
force_anon_logins_ssl=YES
force_anon_data_ssl=YES
require_ssl_reuse=YES
ssl_ciphers=HIGH
rsa_cert_file={certificate}
rsa_private_key_file={certificate}
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a download comes from and goes to."""

    address: str
    ca: Path
    destination: Path


Download = Callable[[Scene], None]


def ours(scene: Scene) -> None:
    """As a unit does it, but for the hash."""
    server = Server(NAME, IPv4Address(scene.address), PORT)
    terms = Terms(client_context(scene.ca), SystemClock())
    account = Account("anonymous", "unit")
    with (
        FtpesSession.open(server, account, terms, count=lambda _: None) as session,
        scene.destination.open("wb") as file,
    ):
        for chunk in session.fetch(FILE):
            file.write(chunk)


def curl(scene: Scene) -> None:
    """With its certificate checks on."""
    run("curl", "--silent", "--show-error", "--ssl-reqd", "--cacert", str(scene.ca),
        "--resolve", f"{NAME}:{PORT}:{scene.address}", "--user", "anonymous:unit",
        "--output", str(scene.destination), f"ftp://{NAME}:{PORT}/{FILE}")  # fmt: skip


def lftp(scene: Scene) -> None:
    """By address, which the certificate carries too: lftp takes no other resolver."""
    settings = (
        "set cmd:fail-exit true; set xfer:clobber true; set ftp:ssl-force true; "
        "set ftp:ssl-protect-data true; set net:max-retries 1; "
        f"set ssl:ca-file {scene.ca}; get {FILE} -o {scene.destination}"
    )
    run("lftp", "--norc", "-u", "anonymous,unit", "-e", f"{settings}; quit",
        f"ftp://{scene.address}:{PORT}")  # fmt: skip


SUBJECTS: Final[Mapping[str, Download]] = {"ours": ours, "curl": curl, "lftp": lftp}


def run(name: str, *arguments: str) -> None:
    """A peer, to its end."""
    program = tool(name)
    subprocess.run([str(program.path), *arguments], env=program.environment(), check=True)


@contextlib.contextmanager
def vsftpd(folder: Path, tree: Path, certificate: Path, address: str,
           command: Callable[[Sequence[str]], Sequence[str]]) -> Iterator[None]:  # fmt: skip
    """A server, from the moment on at which it listens."""
    program = tool("vsftpd")
    configuration = folder / "vsftpd.conf"
    (folder / "empty").mkdir(exist_ok=True)
    configuration.write_text(
        VSFTPD.format(address=address, tree=tree, folder=folder, certificate=certificate)
    )
    argv = command([str(program.path), str(configuration)])
    with subprocess.Popen(argv, env=program.environment()) as process:
        try:
            wait_until_listening(process.pid)
            yield
        finally:
            process.terminate()


def wait_until_listening(pid: int) -> None:
    """Reads the table of TCP sockets in the process's own network."""
    due = time.monotonic() + READY_S
    while f":{PORT:04X} 00000000:0000 0A" not in Path(f"/proc/{pid}/net/tcp").read_text():
        if time.monotonic() > due:
            raise TimeoutError("vsftpd does not listen")
        time.sleep(0.01)


def measure(
    subjects: Sequence[str], scene: Scene, image: Path, runs: int
) -> dict[str, list[float]]:
    """Seconds of each run of each subject, in turns."""
    taken: dict[str, list[float]] = {name: [] for name in subjects}
    for number in range(runs):
        for name in subjects:
            scene.destination.unlink(missing_ok=True)
            start = time.perf_counter()
            SUBJECTS[name](scene)
            taken[name].append(time.perf_counter() - start)
            note(f"  run {number + 1} of {runs}: {name} {taken[name][-1]:.3f} s")
            if not filecmp.cmp(image, scene.destination, shallow=False):
                raise ValueError(f"{name} brought something else")
    return taken


@dataclass(frozen=True, slots=True)
class Site:
    """What all scenes share."""

    folder: Path
    tree: Path
    ca: Path
    certificate: Path
    mib: int
    runs: int

    def over_loopback(self, subjects: Sequence[str]) -> Iterator[Row]:
        """Without a relay."""
        with vsftpd(self.folder, self.tree, self.certificate, "127.0.0.1", lambda argv: argv):
            yield from self._rows("loopback", subjects, "127.0.0.1", self.runs)

    def over_link(self, subjects: Sequence[str], way: Way, runs: int) -> Iterator[Row]:
        """Through the relay."""
        where = f"{2 * way.delay_ms:g} ms, {way.loss:.0%} lost"
        with (
            delayed_link(way) as link,
            vsftpd(self.folder, self.tree, self.certificate, FAR_ADDRESS, link.command),
        ):
            yield from self._rows(where, subjects, FAR_ADDRESS, runs)

    def _rows(self, where: str, subjects: Sequence[str], address: str, runs: int) -> Iterator[Row]:
        note(f"{where}:")
        scene = Scene(address, self.ca, self.folder / "download")
        taken = measure(subjects, scene, self.tree / FILE, runs)
        for name, seconds in taken.items():
            yield Figure.of(BENCHMARK, f"{where}: {name}", self.mib, seconds, "s")


def available() -> tuple[list[str], list[Row]]:
    """The subjects that can be run here, and what is missing."""
    subjects, missing = ["ours"], list[Row]()
    for name in ("curl", "lftp"):
        try:
            tool(name)
            subjects.append(name)
        except ToolMissingError as error:
            missing.append(Missing(BENCHMARK, name, str(error)))
    return subjects, missing


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    made.add_argument("--mib", type=int, default=64, help="size of the file")
    made.add_argument("--runs", type=int, default=5, help="of each subject in each scene")
    made.add_argument("--delay-ms", type=float, default=40, help="there and back")
    made.add_argument("--quick", action="store_true", help="2 MiB, once, to see that it works")
    made.add_argument("--json", action="store_true", help="one JSON array")
    return made


def main() -> int:
    """Run it."""
    options = parser().parse_args()
    if not namespace.inside():
        return namespace.enter([sys.executable, __file__, *sys.argv[1:]])
    if options.quick:
        options.mib, options.runs = 2, 1
    run("ip", "link", "set", "lo", "up")
    subjects, rows = available()
    with tempfile.TemporaryDirectory(prefix="ot-") as name:
        folder = Path(name)
        authority = Authority(folder / "ca", now=datetime.now(UTC))
        certificate = authority.issue("tss1", [NAME], addresses=[FAR_ADDRESS, "127.0.0.1"]).both
        tree = folder / "tree"
        tree.mkdir()
        (tree / FILE).write_bytes(random.Random(1).randbytes(options.mib * MIB))
        site = Site(folder, tree, authority.path, certificate, options.mib, options.runs)
        rows += site.over_loopback(subjects)
        one_way_ms = options.delay_ms / 2
        rows += site.over_link(subjects, Way(one_way_ms), options.runs)
        rows += site.over_link(subjects, Way(one_way_ms, 0.01), min(3, options.runs))
    tell(rows, as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
