"""The whole boot in a namespace: dnsmasq, an FTPES server, slapd, and a unit beside them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from openturret.boot.control import ask
from openturret.boot.document import Document
from openturret.boot.errors import ControlError
from openturret.boot.events import read_events
from openturret.boot.supervision.services import services
from openturret.lab.certificates import Authority
from openturret.lab.errors import ToolMissingError
from openturret.lab.tools import Tool, tool

if TYPE_CHECKING:
    from tests.boot.conftest import SignedTree, Tss

pytestmark = [pytest.mark.bench, pytest.mark.slow]

MAC = "02:54:50:00:00:01"
FOLDER = "02-54-50-00-00-01"
REGISTER_ROUND_TRIPS = 2  # the runtime adds them: REGISTER, and REGISTER with credentials
GATEWAY = "10.1.0.2"
COMMON = """
import asyncio, json, os, pathlib, sys
state = pathlib.Path(sys.argv[sys.argv.index("--state") + 1])
async def serve(name, port, answer):
    (state / f"{name}.started").open("a").write(f"{os.getpid()}\\n")
    async with await asyncio.start_server(answer, "127.0.0.1", port) as server:
        await server.serve_forever()
"""
MATRIX = """
ticks = 0
async def answer(reader, writer):
    global ticks
    while await reader.readline():
        ticks += TICKS_AT_ONCE
        result = {"ticks": {"ticks": ticks}, "legs": 0}
        writer.write(json.dumps({"id": 1, "result": result}).encode() + b"\\n")
    writer.close()
asyncio.run(serve("matrix", 4250, answer))
"""
RUNTIME = """
from openturret.firmware import VERSION
if (state / "fatal").exists() and (state / "fatal").read_text() == VERSION:
    raise SystemExit(3)
async def answer(reader, writer):
    writer.close()
async def main():
    reader, writer = await asyncio.open_unix_connection(state / "run" / "boot.sock")
    params = {"stage": "hal", "state": "done", "detail": "2 of 2 devices"}
    line = json.dumps({"id": 1, "method": "report", "params": params}).encode() + b"\\n"
    writer.write(line)
    await reader.readline()
    await serve("runtime", 80, answer)
asyncio.run(main())
"""


@dataclass
class World:
    """A client LAN with everything that a unit asks, and the unit."""

    folder: Path
    tree: SignedTree
    tss: Tss
    start_tss: Callable[..., Tss]
    agent: subprocess.Popen[bytes] | None = None
    heard: list[str] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def publish(
        self,
        version: int,
        firmware: str = "0.1.0",
        settings: Mapping[str, object] = MappingProxyType({}),
        *,
        ticks_at_once: int = 10,
    ) -> None:
        image = firmware_image(firmware, ticks_at_once=ticks_at_once)
        manifest = {
            "version": firmware,
            "file": f"openturret-{firmware}.whl",
            "sha256": hashlib.sha256(image).hexdigest(),
        }
        configuration = {
            "application.config.version": version,
            "application.boot.enrolment.enable": False,
            "application.directory.servers": ["ldaps://ldap.turret.example:636"],
            "application.syslog.server": f"{GATEWAY}:514",
            **settings,
        }
        self.tree.publish(
            {
                f"units/{FOLDER}/config.yaml": yaml.safe_dump(configuration).encode(),
                "firmware/touchpro/manifest.yaml": yaml.safe_dump(manifest).encode(),
                f"firmware/touchpro/openturret-{firmware}.whl": image,
                "profiles/alice.yaml": b"profile.user.name: Alice\n",
            }
        )

    def power_on(self, *, hasty: bool = False, **environment: str) -> None:
        state, factory = str(self.state), str(self.folder / "factory")
        command = ["-m", "openturret.boot", "--state", state, "--factory", factory]
        if hasty:
            command = [str(Path(__file__).with_name("hasty_agent.py")), state, factory]
        enter = ["nsenter", "--net=/run/netns/unit", "--", sys.executable]
        with (self.folder / "agent.out").open("ab") as out:
            self.agent = subprocess.Popen(
                [*enter, *command], stdout=out, stderr=out, env=os.environ | environment
            )

    def stop(self) -> int:
        if self.agent is None:
            return 0
        self.agent.terminate()
        code = self.agent.wait(timeout=20)
        self.agent = None
        return code

    async def status(self) -> dict[str, Any]:
        return dict(await ask(self.state / "run" / "boot.sock", "status"))

    async def until(
        self, wanted: Callable[[dict[str, Any]], bool], timeout_s: float = 20
    ) -> dict[str, Any]:
        status: dict[str, Any] = {}
        try:
            async with asyncio.timeout(timeout_s):
                while not (status and wanted(status)):
                    with contextlib.suppress(ControlError):
                        status = await self.status()
                    await asyncio.sleep(0.02)
        except TimeoutError:
            log = (self.folder / "agent.out").read_text()[-6000:]
            pytest.fail(f"not reached: {json.dumps(status, indent=1)}\n{log}")
        return status


def running(status: dict[str, Any]) -> bool:
    return bool(status["stage"] == "running")


def stage(status: dict[str, Any], name: str) -> dict[str, Any]:
    return next(dict(entry) for entry in status["stages"] if entry["name"] == name)


def resident_bytes(world: World) -> int:
    assert world.agent is not None
    pages = Path(f"/proc/{world.agent.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def alarms(status: dict[str, Any]) -> set[str]:
    return {alarm["code"] for alarm in status["alarms"]}


def firmware_image(version: str, *, ticks_at_once: int = 10) -> bytes:
    """A wheel whose matrix counts ticks when it is asked, and whose runtime says it has devices."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as wheel:
        matrix = f"TICKS_AT_ONCE = {ticks_at_once}\n{MATRIX}"
        for package, main in (("firmware", RUNTIME), ("firmware/matrix", matrix)):
            wheel.writestr(f"openturret/{package}/__init__.py", f"VERSION = {version!r}\n")
            wheel.writestr(f"openturret/{package}/__main__.py", COMMON + main)
    return data.getvalue()


def ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True)


@pytest.fixture(scope="module")
def lan() -> None:
    """A gateway interface here and a unit's interface in a namespace of its own."""
    for command in (
        "netns add unit",
        "link add gw0 type veth peer name eth0 netns unit",
        f"addr add {GATEWAY}/24 brd + dev gw0",
        "link set gw0 up",
        f"-n unit link set eth0 address {MAC}",
        "-n unit link set lo up",
    ):
        ip(command)


class Servers:
    """dnsmasq and slapd."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self._folder = folder
        self._tftp = folder / "tftp"
        (self._tftp / "units").mkdir(parents=True)
        hint = self._tftp / "units" / f"{FOLDER}.yaml"
        hint.write_text("tss.servers: [tss1.turret.example]\n")
        self._slapd = start_slapd(folder, authority)
        self.start_dnsmasq()

    def start_dnsmasq(self, *extra: str) -> None:
        self._dnsmasq = start_dnsmasq(self._folder, self._tftp, *extra)

    def stop_dnsmasq(self) -> None:
        self._dnsmasq.terminate()
        self._dnsmasq.wait()

    def close(self) -> None:
        self.stop_dnsmasq()
        self._slapd.terminate()
        self._slapd.wait()


@pytest.fixture
def servers(tmp_path: Path, authority: Authority, lan: None) -> Iterator[Servers]:
    servers = Servers(tmp_path, authority)
    yield servers
    servers.close()


def start_dnsmasq(folder: Path, tftp: Path, *extra: str) -> subprocess.Popen[bytes]:
    program = needed("dnsmasq")
    command = [
        str(program.path), "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
        "--interface=gw0", "--bind-interfaces", "--no-ping", "--user=root", "--group=root",
        "--dhcp-range=10.1.0.100,10.1.0.199,255.255.255.0,3600", "--dhcp-authoritative",
        f"--dhcp-leasefile={folder}/leases", "--dhcp-option=3,10.1.0.1",
        f"--dhcp-option=6,{GATEWAY}", f"--dhcp-option=66,{GATEWAY}", "--dhcp-option=150,10.1.0.2",
        f"--dhcp-option=vendor:OpenTurret,1,{GATEWAY}", "--dhcp-option=15,turret.example",
        f"--address=/tss1.turret.example/{GATEWAY}", f"--address=/ldap.turret.example/{GATEWAY}",
        "--enable-tftp", f"--tftp-root={tftp}", "--log-dhcp", *extra,
    ]  # fmt: skip
    with (folder / "dnsmasq.log").open("ab") as log:
        return subprocess.Popen(command, env=program.environment(), stdout=log, stderr=log)


def start_slapd(folder: Path, authority: Authority) -> subprocess.Popen[bytes]:
    program, slapadd = needed("slapd"), needed("slapadd")
    certificate = authority.issue("ldap", ["ldap.turret.example"])
    (folder / "ldap").mkdir(exist_ok=True)
    configuration = folder / "slapd.conf"
    schema = program.find("etc/ldap/schema")
    configuration.write_text(
        f"include {schema}/core.schema\ninclude {schema}/cosine.schema\n"
        f"include {schema}/inetorgperson.schema\n"
        f"modulepath {program.find('usr/lib/ldap')}\nmoduleload back_mdb\n"
        f"TLSCACertificateFile {authority.path}\nTLSCertificateFile {certificate.certificate}\n"
        f"TLSCertificateKeyFile {certificate.key}\ndatabase mdb\nsuffix dc=turret,dc=example\n"
        f"directory {folder}/ldap\naccess to attrs=userPassword by anonymous auth by * none\n"
        "access to * by users read by * none\n"
    )
    password = base64.b64encode(b"correct horse").decode()
    people = folder / "people.ldif"
    people.write_text(
        "dn: dc=turret,dc=example\nobjectClass: dcObject\nobjectClass: organization\n"
        "dc: turret\no: Turret\n\ndn: ou=people,dc=turret,dc=example\n"
        "objectClass: organizationalUnit\nou: people\n\n"
        "dn: uid=alice,ou=people,dc=turret,dc=example\nobjectClass: inetOrgPerson\nuid: alice\n"
        f"cn: Alice Martin\nsn: Martin\nuserPassword:: {password}\n"
    )
    add = [str(slapadd.path), "-q", "-f", str(configuration), "-l", str(people)]
    subprocess.run(add, env=slapadd.environment(), check=True)
    command = [
        str(program.path),
        "-h",
        f"ldaps://{GATEWAY}:636",
        "-f",
        str(configuration),
        "-d",
        "0",
    ]
    return subprocess.Popen(command, env=program.environment())


def needed(name: str) -> Tool:
    try:
        return tool(name)
    except ToolMissingError as error:
        pytest.skip(str(error))


@pytest.fixture
def world(
    tmp_path: Path,
    tree: SignedTree,
    start_tss: Callable[..., Tss],
    authority: Authority,
    servers: Servers,
) -> Iterator[World]:
    factory = tmp_path / "factory"
    factory.mkdir()
    facts = {"unit.model": "TouchPro", "unit.serial": "OT-0001", "unit.mac": MAC,
             "unit.firmware": "touchpro", "ftpes.username": MAC,
             "ftpes.password": "a long secret"}  # fmt: skip
    (factory / "identity.yaml").write_text(yaml.safe_dump(facts))
    (factory / "ca.pem").write_bytes(authority.path.read_bytes())
    (factory / "root.json").write_bytes(tree.root)
    (factory / "board.yaml").write_text("board: touchpro\n")
    world = World(tmp_path, tree, start_tss(address=GATEWAY, port=21, https_port=443), start_tss)
    world.publish(1)
    yield world
    world.stop()
    ip("-n unit addr flush dev eth0")


async def test_a_new_unit_boots_from_nothing(world: World) -> None:
    world.power_on()
    status = await world.until(running)
    assert not status["alarms"]
    assert [entry["state"] for entry in status["stages"][:9]] == ["done"] * 9
    trips = {entry["name"]: entry["round_trips"] for entry in status["stages"][:9]}
    assert trips == {"link": 0, "dhcp": 2, "dns": 1, "tftp": 1, "tss": 2, "trust": 4,
                     "slot": 4, "matrix": 0, "runtime": 0}  # fmt: skip
    assert sum(trips.values()) + REGISTER_ROUND_TRIPS <= 25
    assert resident_bytes(world) < 60 * 1024 * 1024
    assert status["config_version"] == 1
    assert status["firmware_version"] == "0.1.0"
    network = json.loads((world.state / "network.json").read_text())
    assert network["interface"] == "eth0"
    assert network["router"] == "10.1.0.1"
    assert stage(status, "dhcp")["detail"] == f"BOUND {network['address']}"
    assert world.stop() == 0


async def test_a_second_boot_confirms_its_lease_and_fetches_nothing_again(world: World) -> None:
    world.power_on()
    cold = await world.until(running)
    world.stop()
    ip("-n unit addr flush dev eth0")
    world.power_on()
    warm = await world.until(running)
    assert stage(warm, "dhcp")["round_trips"] == 1, "INIT-REBOOT needs no DISCOVER"
    assert stage(warm, "dhcp")["detail"] == stage(cold, "dhcp")["detail"]
    trips = {entry["name"]: entry["round_trips"] for entry in warm["stages"][:9]}
    assert trips == {"link": 0, "dhcp": 1, "dns": 0, "tftp": 0, "tss": 2, "trust": 1,
                     "slot": 0, "matrix": 0, "runtime": 0}, (
        "the TSS of last time says in one flight that nothing is new"
    )  # fmt: skip
    assert sum(trips.values()) + REGISTER_ROUND_TRIPS <= 8


async def test_without_a_tss_the_unit_boots_from_what_it_kept_and_asks_again(world: World) -> None:
    world.power_on()
    await world.until(running)
    world.stop()
    world.tss.close()
    world.power_on(hasty=True)
    status = await world.until(running)
    assert alarms(status) == {"tss.unavailable"}
    assert status["config_version"] == 1
    assert stage(status, "tss")["state"] == "failed"
    assert stage(status, "tss")["remedy"]
    world.tss = world.start_tss(address=GATEWAY, port=21, https_port=443)
    await world.until(lambda status: not status["alarms"])


async def test_what_comes_late_is_kept_and_said_to_wait_for_a_restart(world: World) -> None:
    world.power_on()
    await world.until(running)
    world.stop()
    world.tss.close()
    world.publish(1, firmware="0.2.0")
    world.power_on(hasty=True)
    await world.until(running)
    world.tss = world.start_tss(address=GATEWAY, port=21, https_port=443)
    status = await world.until(lambda status: alarms(status) == {"configuration.newer"})
    assert status["firmware_version"] == "0.1.0", "what runs"


async def test_what_was_logged_before_the_configuration_came_reaches_syslog(world: World) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind((GATEWAY, 514))
        sink.settimeout(10)
        world.power_on()
        await world.until(running)
        line = sink.recv(2048).decode()
        while "matrix: started" not in line:
            assert "OT-0001 boot" in line
            world.heard.append(line)
            line = sink.recv(2048).decode()
    for text in ("link: done", "dhcp: done", "trust: done"):
        assert sum(text in line for line in world.heard) == 1


@pytest.mark.parametrize("server", [7, "syslog.turret.example:514", "10.1.0.2:99999", ["x"]])
async def test_a_syslog_server_that_is_none_stops_no_boot(world: World, server: object) -> None:
    world.publish(2, settings={"application.syslog.server": server})
    world.power_on()
    await world.until(running)
    assert "application.syslog.server" in (world.state / "log" / "boot.log").read_text()


@pytest.mark.parametrize(
    ("settings", "port"),
    [
        ({}, 80),
        ({"application.web.port": 8080}, 8080),
        ({"application.web.port": "x"}, 80),
        ({"application.boot.startserver": False, "application.web.port": 8080}, None),
    ],
)
def test_the_runtime_is_ready_when_its_panel_answers_if_it_has_one(
    tmp_path: Path, settings: dict[str, object], port: int | None
) -> None:
    matrix, runtime = services(tmp_path, Document(settings))
    assert (matrix.ready_port, runtime.ready_port) == (4250, port)


@pytest.mark.parametrize(("enabled", "port"), [(True, None), (False, 4250), ("x", 4250)])
def test_a_matrix_beside_an_xma2_opens_no_port_to_wait_for(
    tmp_path: Path, enabled: object, port: int | None
) -> None:
    matrix, _ = services(tmp_path, Document({"application.xma.enable": enabled}))
    assert matrix.ready_port == port


async def test_an_interface_that_goes_down_while_dhcp_waits_is_asked_again(
    world: World, servers: Servers
) -> None:
    servers.stop_dnsmasq()
    world.power_on(hasty=True)
    await world.until(lambda status: bool(stage(status, "dhcp")["error"]))
    ip("-n unit link set eth0 down")
    await world.until(lambda status: "interface fails" in str(stage(status, "dhcp")["error"]))
    ip("-n unit link set eth0 up")
    servers.start_dnsmasq()
    assert not (await world.until(running))["alarms"]


async def test_a_forged_tree_changes_nothing(world: World) -> None:
    world.power_on()
    await world.until(running)
    world.stop()
    world.publish(2)
    forged = json.loads((world.tree.folder / "metadata" / "timestamp.json").read_text())
    forged["signed"]["version"] += 1
    (world.tree.folder / "metadata" / "timestamp.json").write_text(json.dumps(forged))
    world.power_on()
    status = await world.until(running)
    assert alarms(status) == {"tss.unavailable", "trust.refused"}
    assert "signature" in stage(status, "trust")["error"]
    assert status["config_version"] == 1


async def test_a_person_logs_in_and_out(world: World) -> None:
    world.power_on()
    await world.until(running)
    socket = world.state / "run" / "boot.sock"
    answer = await ask(socket, "login", user="alice", password="correct horse")
    assert (answer["user"], answer["name"]) == ("alice", "Alice Martin")
    profile = world.state / "profile" / "current.yaml"
    assert profile.read_bytes() == b"profile.user.name: Alice\n"
    status = await world.status()
    assert stage(status, "login")["round_trips"] == 3, "TCP, TLS, bind"
    assert stage(status, "profile")["state"] == "done"
    await ask(socket, "logout")
    assert not profile.exists()


async def test_who_is_logged_in_stays_so_and_lies_nowhere_plain_on_the_medium(
    world: World,
) -> None:
    world.power_on()
    await world.until(running)
    await ask(world.state / "run" / "boot.sock", "login", user="alice", password="correct horse")
    profile = world.state / "profile" / "current.yaml"
    assert world.stop() == 0
    assert not profile.exists(), "a clean stop leaves nothing in memory"
    for path in world.state.rglob("*"):
        assert not path.is_file() or b"profile.user.name" not in path.read_bytes(), path
    world.power_on()
    await world.until(running)
    assert profile.read_bytes() == b"profile.user.name: Alice\n"
    await ask(world.state / "run" / "boot.sock", "logout")


REFUSED = (
    ("alice", "wrong"), ("alice", ""), ("", "x"), ("mallory", "x"), ("alice,ou=people", "x"),
    ("*", "correct horse"), ("../alice", "correct horse"),
)  # fmt: skip


async def test_a_wrong_password_logs_nobody_in(world: World) -> None:
    world.power_on()
    await world.until(running)
    for user, password in REFUSED:
        with pytest.raises(ControlError, match=r"wrong|empty"):
            await ask(world.state / "run" / "boot.sock", "login", user=user, password=password)
        assert not (world.state / "profile" / "current.yaml").exists()
    for log in (world.state / "log").iterdir():
        assert "password=" not in log.read_text()


async def test_a_killed_runtime_comes_back_and_the_matrix_never_notices(world: World) -> None:
    world.power_on()
    await world.until(running)
    matrix = int((world.state / "run" / "matrix.pid").read_text())
    runtime = int((world.state / "run" / "runtime.pid").read_text())
    os.kill(runtime, signal.SIGKILL)
    started = world.state / "runtime.started"
    async with asyncio.timeout(2):
        while len(started.read_text().split()) < 2:
            await asyncio.sleep(0.01)
    assert int((world.state / "run" / "matrix.pid").read_text()) == matrix
    os.kill(matrix, 0)
    assert int((world.state / "run" / "runtime.pid").read_text()) != runtime


async def test_a_clean_stop_ends_both_services(world: World) -> None:
    world.power_on()
    await world.until(running)
    pids = [
        int((world.state / "run" / f"{name}.pid").read_text()) for name in ("matrix", "runtime")
    ]
    assert world.stop() == 0
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_killed_agent_leaves_voice_alone_and_the_next_one_takes_over(world: World) -> None:
    world.power_on()
    await world.until(running)
    names = ("matrix", "runtime")
    pids = [(world.state / "run" / f"{name}.pid").read_text() for name in names]
    assert world.agent is not None
    world.agent.kill()
    world.agent.wait()
    for pid in pids:
        os.kill(int(pid), 0)
    world.power_on()
    await world.until(running)
    assert pids == [(world.state / "run" / f"{name}.pid").read_text() for name in names]


async def test_new_firmware_is_unpacked_beside_the_old_and_started(world: World) -> None:
    world.power_on()
    await world.until(running)
    world.stop()
    world.publish(2, firmware="0.2.0")
    world.power_on()
    status = await world.until(running)
    assert status["firmware_version"] == "0.2.0"
    assert status["slots"]["b"]["version"] == "0.2.0"


def firmware_stage(status: dict[str, Any]) -> str:
    return str(next((e["state"] for e in status["stages"] if e["name"] == "health"), "none"))


async def test_firmware_that_is_healthy_is_committed(world: World) -> None:
    world.power_on(hasty=True)
    status = await world.until(lambda status: firmware_stage(status) == "done")
    assert status["slots"] == {"a": {"version": "0.1.0", "state": "good"}}
    assert not status["alarms"]


async def test_firmware_that_is_not_healthy_is_taken_back_and_not_tried_again(world: World) -> None:
    world.power_on(hasty=True)
    await world.until(lambda status: firmware_stage(status) == "done")
    world.stop()
    world.publish(2, firmware="0.2.0", ticks_at_once=0)
    world.power_on(hasty=True)
    status = await world.until(lambda status: alarms(status) == {"firmware.refused"})
    status = await world.until(lambda status: status["firmware_version"] == "0.1.0")
    assert "stands at tick 0" in status["alarms"][0]["message"]
    assert status["config_version"] == 2
    assert status["slots"] == {"a": {"version": "0.1.0", "state": "good"}}
    world.stop()
    world.power_on(hasty=True)
    status = await world.until(running)
    assert status["firmware_version"] == "0.1.0"
    assert alarms(status) == {"firmware.refused"}
    assert "was taken back" in status["alarms"][0]["message"]


async def test_a_start_that_ends_without_a_verdict_leads_back_to_the_old_firmware(
    world: World,
) -> None:
    world.power_on(hasty=True)
    await world.until(lambda status: firmware_stage(status) == "done")
    world.stop()
    world.publish(2, firmware="0.2.0")
    world.power_on()
    status = await world.until(running)
    assert status["firmware_version"] == "0.2.0"
    world.stop()
    world.power_on(hasty=True)
    status = await world.until(running)
    assert status["firmware_version"] == "0.1.0"
    assert alarms(status) == {"firmware.unconfirmed"}
    world.stop()
    world.power_on(hasty=True)
    status = await world.until(lambda status: firmware_stage(status) == "done")
    assert (status["firmware_version"], status["alarms"]) == ("0.2.0", [])


async def test_firmware_that_comes_late_is_tried_when_no_call_is_up_if_a_key_says_so(
    world: World,
) -> None:
    world.publish(1, settings={"application.boot.update": "idle"})
    world.power_on(hasty=True)
    await world.until(lambda status: firmware_stage(status) == "done")
    world.stop()
    world.tss.close()
    world.publish(2, firmware="0.2.0", settings={"application.boot.update": "idle"})
    world.power_on(hasty=True)
    await world.until(running)
    world.tss = world.start_tss(address=GATEWAY, port=21)
    status = await world.until(lambda status: status["slots"].get("b", {}).get("state") == "good")
    assert (status["firmware_version"], status["config_version"]) == ("0.2.0", 2)
    assert not status["alarms"]


async def test_an_agent_that_takes_over_does_not_start_newer_firmware(world: World) -> None:
    world.power_on(hasty=True)
    await world.until(lambda status: firmware_stage(status) == "done")
    assert world.agent is not None
    world.agent.kill()
    world.agent.wait()
    world.publish(2, firmware="0.2.0")
    pid = (world.state / "run" / "matrix.pid").read_text()
    world.power_on(hasty=True)
    status = await world.until(running)
    assert alarms(status) == {"configuration.newer"}
    assert status["firmware_version"] == "0.1.0"
    assert (world.state / "run" / "matrix.pid").read_text() == pid


async def test_without_dhcp_the_unit_keeps_trying_says_so_and_boots_when_it_answers(
    world: World, servers: Servers
) -> None:
    servers.stop_dnsmasq()
    world.power_on(hasty=True)
    status = await world.until(lambda status: bool(stage(status, "dhcp")["error"]))
    dhcp = stage(status, "dhcp")
    assert dhcp["state"] == "running"
    assert "no DHCP server answered" in dhcp["error"]
    assert dhcp["remedy"]
    assert "attempt" in dhcp["detail"]
    servers.start_dnsmasq()
    assert not (await world.until(running))["alarms"]


async def test_without_dhcp_a_stored_lease_is_used_with_an_alarm_until_it_is_confirmed(
    world: World, servers: Servers
) -> None:
    world.power_on()
    first = await world.until(running)
    world.stop()
    servers.stop_dnsmasq()
    servers.start_dnsmasq("--no-dhcp-interface=gw0")
    world.power_on(hasty=True)
    status = await world.until(running)
    assert alarms(status) == {"dhcp.unconfirmed"}
    assert stage(status, "dhcp")["detail"].split()[1] == stage(first, "dhcp")["detail"].split()[1]
    servers.stop_dnsmasq()
    servers.start_dnsmasq()
    await world.until(lambda status: not status["alarms"])


async def test_a_profile_that_was_kept_serves_when_the_tss_is_gone(world: World) -> None:
    world.power_on()
    await world.until(running)
    socket = world.state / "run" / "boot.sock"
    await ask(socket, "login", user="alice", password="correct horse")
    await ask(socket, "logout")
    world.tss.close()
    await ask(socket, "login", user="alice", password="correct horse")
    assert alarms(await world.status()) == {"profile.cached"}
    assert (world.state / "profile" / "current.yaml").exists()
    with pytest.raises(ControlError, match="wrong"):
        await ask(socket, "login", user="alice", password="guess")


async def browse(world: World, path: str = "/", *, request: str = "GET") -> str:
    """What the unit's own screen shows at a path; empty when nothing answers."""
    source = (
        "import socket, sys\n"
        "with socket.create_connection(('127.0.0.1', 80), 5) as http:\n"
        "    http.sendall(sys.argv[1].encode())\n"
        "    while data := http.recv(65536): sys.stdout.buffer.write(data)\n"
    )
    head = f"{request} {path} HTTP/1.1\r\nHost: unit\r\n\r\n"
    enter = ["nsenter", "--net=/run/netns/unit", "--", sys.executable, "-c", source, head]
    process = await asyncio.create_subprocess_exec(
        *enter, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    return (await process.communicate())[0].decode()


def kill_runtime(world: World) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(int((world.state / "run" / "runtime.pid").read_text()), signal.SIGKILL)


async def test_the_panel_shows_the_boot_before_the_runtime_is_there(
    world: World, servers: Servers
) -> None:
    servers.stop_dnsmasq()
    world.power_on(hasty=True)
    await world.until(lambda status: bool(stage(status, "dhcp")["error"]))
    page = await browse(world)
    assert "TouchPro OT-0001: dhcp" in page
    assert "no DHCP server answered" in page
    assert "what to do: " in page
    servers.start_dnsmasq()
    await world.until(running)
    assert await browse(world) == "", "the runtime has the port, and says nothing"


async def test_a_runtime_that_keeps_dying_leads_to_safe_mode_and_a_person_ends_it(
    world: World,
) -> None:
    world.power_on(hasty=True)
    await world.until(lambda status: firmware_stage(status) == "done")
    matrix = (world.state / "run" / "matrix.pid").read_text()
    (world.state / "fatal").write_text("0.1.0")
    kill_runtime(world)
    status = await world.until(lambda status: bool(status["stage"] == "safe mode"))
    assert alarms(status) == {"safe.mode"}
    assert "runtime ended with 3" in status["alarms"][0]["message"]
    while not (page := await browse(world)):
        await asyncio.sleep(0)
    assert "safe mode" in page
    assert "5th time within 10 minutes" in page
    assert (world.state / "run" / "matrix.pid").read_text() == matrix, "voice goes on"
    (world.state / "fatal").unlink()
    assert "303 See Other" in await browse(world, "/retry", request="POST")
    started = world.state / "runtime.started"
    async with asyncio.timeout(20):
        while len(started.read_text().split()) < 2:
            await asyncio.sleep(0.02)
    events = read_events(world.state / "log" / "events.jsonl")
    ended = [event for event in events if event["event"] == "ended"]
    assert [event["stage"] for event in ended] == ["runtime"] * 5


async def test_new_firmware_ends_safe_mode_by_itself(world: World) -> None:
    world.power_on(hasty=True)
    await world.until(lambda status: firmware_stage(status) == "done")
    (world.state / "fatal").write_text("0.1.0")
    kill_runtime(world)
    await world.until(lambda status: bool(status["stage"] == "safe mode"))
    world.publish(2, firmware="0.2.0")
    await world.until(lambda status: bool(status["firmware_version"] == "0.2.0"))
    await world.until(lambda status: bool(stage(status, "hal")["state"] == "done"))


async def test_wherever_the_agent_dies_the_unit_boots_in_the_end(world: World) -> None:
    """It is started again, as systemd does; after five boots that did not last it is careful."""
    doomed = ("link", "dhcp", "tftp", "dns", "tss", "trust", "slot", "matrix", "runtime")
    world.publish(1, settings={"application.boot.health.timeout": 5})
    careful = 0
    for _ in range(len(doomed) + 1):
        world.power_on(hasty=True, SUICIDE=f"{','.join(doomed)}:9")
        assert world.agent is not None
        while world.agent.poll() is None:
            with contextlib.suppress(ControlError):
                status = await world.status()
                if running(status):
                    break
                if status["stage"] == "safe mode":
                    careful += 1
                    assert alarms(status) >= {"safe.mode"}
                    await ask(world.state / "run" / "boot.sock", "retry")
            await asyncio.sleep(0.02)
    assert {path.stem for path in world.state.glob("*.suicide")} == set(doomed)
    assert careful >= 3
    assert running(await world.status())
    for name in ("matrix", "runtime"):
        assert len(set((world.state / f"{name}.started").read_text().split())) <= 2


async def test_an_agent_that_is_stopped_for_a_while_goes_on_and_blames_nobody(
    world: World,
) -> None:
    world.power_on(hasty=True, SUICIDE=f"trust:{int(signal.SIGSTOP)}")
    assert world.agent is not None
    async with asyncio.timeout(20):
        while "T (stopped)" not in Path(f"/proc/{world.agent.pid}/status").read_text():
            await asyncio.sleep(0.02)
    world.agent.send_signal(signal.SIGCONT)
    await world.until(running)
    log = (world.state / "log" / "boot.log").read_text()
    assert "hangs" not in log


async def test_an_agent_under_systemd_says_that_it_is_ready_and_lives(
    world: World, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "systemd"))
        systemd.settimeout(20)
        world.power_on(NOTIFY_SOCKET=str(tmp_path / "systemd"), WATCHDOG_USEC="100000")
        heard = [await asyncio.to_thread(systemd.recv, 4096) for _ in range(3)]
        assert heard[0].startswith(b"READY=1")
        assert all(notice.startswith(b"WATCHDOG=1\nSTATUS=") for notice in heard[1:])
        while b"STATUS=running" not in await asyncio.to_thread(systemd.recv, 4096):
            continue


@pytest.fixture
def medium(world: World) -> Iterator[Path]:
    """A medium of its own, 16 MB, for the state folder."""
    world.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "state", world.state], check=True)
    yield world.state
    world.stop()
    subprocess.run(["umount", "--lazy", world.state], check=True)


async def browse_until(world: World, text: str) -> str:
    """The page of the boot once it shows a text."""
    page = ""
    async with asyncio.timeout(20):
        while text not in page:
            page = await browse(world)
    return page


async def test_a_full_medium_keeps_no_unit_from_running(world: World, medium: Path) -> None:
    world.power_on(hasty=True)
    await world.until(lambda status: firmware_stage(status) == "done")
    world.stop()
    world.publish(2)
    with contextlib.suppress(OSError), (medium / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(b"x" * 4096)
    world.power_on(hasty=True)
    status = await world.until(running)
    assert status["config_version"] == 1
    assert alarms(status)
    assert all("medium" in alarm["remedy"] for alarm in status["alarms"])
    (medium / "filler").unlink()
    await ask(medium / "run" / "boot.sock", "retry")
    await world.until(lambda status: "configuration.newer" in alarms(status))
    assert "tss.unavailable" not in alarms(await world.status())


async def test_a_medium_that_has_become_read_only_is_said_on_the_panel(
    world: World, medium: Path
) -> None:
    world.power_on(hasty=True)
    await world.until(lambda status: firmware_stage(status) == "done")
    world.stop()
    remount = ["mount", "-o", "remount,{}", str(medium)]
    subprocess.run([word.format("ro") for word in remount], check=True)
    world.power_on(hasty=True)
    page = await browse_until(world, "Read-only file system")
    assert "what to do: free or replace the medium" in page
    subprocess.run([word.format("rw") for word in remount], check=True)
    await browse(world, "/retry", request="POST")
    started = medium / "runtime.started"
    async with asyncio.timeout(20):
        while len(started.read_text().split()) < 2:
            await asyncio.sleep(0.02)


YEARS_S = 365 * 86_400.0


@pytest.mark.parametrize("offset_s", [-40 * YEARS_S, 12 * YEARS_S])
async def test_a_clock_that_jumps_costs_a_unit_that_has_something_no_boot(
    world: World, offset_s: float
) -> None:
    world.power_on(hasty=True)
    await world.until(running)
    world.stop()
    world.power_on(hasty=True, CLOCK_OFFSET_S=str(offset_s))
    status = await world.until(running)
    for alarm in status["alarms"]:
        assert alarm["remedy"]
    assert status["config_version"] == 1


async def test_no_secret_is_ever_written_or_shown(world: World) -> None:
    world.publish(2, settings={"application.global.snmp.read.community": "canary-community"})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind((GATEWAY, 514))
        sink.settimeout(0.2)
        world.power_on()
        await world.until(running)
        door = world.state / "run" / "boot.sock"
        await ask(door, "login", user="alice", password="correct horse")
        with pytest.raises(ControlError):
            await ask(door, "login", user="alice", password="canary-password")
        shown = json.dumps(await world.status())
        with contextlib.suppress(TimeoutError):
            while True:
                shown += sink.recv(4096).decode()
    for path in (world.folder / "agent.out", world.state / "status.json",
                 *(world.state / "log").iterdir()):  # fmt: skip
        shown += path.read_text()
    assert "login" in shown
    for secret in ("a long secret", "canary-community", "correct horse", "canary-password"):
        assert secret not in shown
