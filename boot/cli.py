"""The command ``turret boot``: runs the boot agent, or shows what one is doing."""

import argparse
import asyncio
import json
import logging
import random
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from ..hal.clock import SystemClock
from ..hal.wire.json_lines import JsonObject, JsonValue
from .agent import BootAgent
from .cache import read_bounded
from .control import ask
from .errors import BootError, ControlError
from .folder import StateFolder
from .identity import Identity
from .interface import IpInterface, run_ip
from .link import InterfacePorts
from .log import start_log
from .surroundings import Surroundings, surroundings

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_ATTENTION: Final = 4
_MAX_STATUS: Final = 1_048_576

_BOOT_HELP: Final = """\
Takes a unit from power-on to running, and keeps it so:

  link     waits for the cable
  dhcp     gets an address, for ever if need be; renews it
  dns      finds the servers' addresses
  tftp     asks where the TSS is (a hint, nothing more)
  tss      reaches the TSS over verified TLS
  trust    takes over only what the factory's root of trust signed
  slot     unpacks new firmware beside the old one
  matrix   starts the mixing matrix, OLDCB on TCP 4250
  runtime  starts signalling and panel, TCP 80

What the network cannot give is taken from what it gave last time, with an alarm.
SIGTERM stops agent, matrix and runtime; the address stays. A killed agent leaves
matrix and runtime alone, and the next agent takes them over.
"""
_BOOT_EPILOG: Final = """\
see also:  turret boot status --help
needs:     CAP_NET_RAW (DHCP) and CAP_NET_ADMIN (address and routes)
exit:      0 stopped by SIGTERM or SIGINT; 1 the factory folder is damaged; 2 usage
example:   turret boot --state /var/lib/turret --factory /factory --interface eth0
"""
_STATUS_EPILOG: Final = """\
exit:      0 running without alarm; 4 still booting, failed, or with alarms; 1 no agent
example:   turret boot status --state /var/lib/turret
"""

Say = Callable[[str], object]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs ``turret boot`` with these arguments and returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["status"]:
        return _status(_status_parser().parse_args(arguments[1:]), sys.stdout.write)
    return _boot(_boot_parser().parse_args(arguments))


def describe(status: JsonObject) -> str:
    """Returns a status as a table that a person can read, alarms and remedies included."""
    return "\n".join([_headline(status), "", *_stage_lines(status), *_alarm_lines(status), ""])


def _boot(options: argparse.Namespace) -> int:
    try:
        identity = Identity.read(options.factory)
    except BootError as error:
        sys.stderr.write(f"boot: {error}; {error.remedy}\n")
        return EXIT_FAILED
    folder = StateFolder(options.state.absolute())
    interface = IpInterface(options.interface, run_ip)
    ports = InterfacePorts(interface.name, interface.mac)
    around = surroundings(interface, ports, SystemClock(), random.SystemRandom())
    start_log(folder, identity.serial, around.redactor, verbose=options.verbose)
    try:
        asyncio.run(_run(BootAgent(identity, folder, _with_slots(around, options.slots))))
    except (BootError, OSError) as error:
        logging.getLogger(__name__).exception("the agent ends")
        sys.stderr.write(f"boot: {error}\n")
        return EXIT_FAILED
    return EXIT_OK


def _with_slots(around: Surroundings, keeper: str) -> Surroundings:
    if keeper == "files":
        return around
    from .slots.rauc import RaucSlots  # D-Bus is for units that have RAUC

    return replace(around, slots=lambda directory, _: RaucSlots(directory))


async def _run(agent: BootAgent) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await agent.run(stop)


def _status(options: argparse.Namespace, say: Say) -> int:
    folder = StateFolder(options.state)
    try:
        status = asyncio.run(ask(folder.socket, "status"))
    except ControlError as error:
        sys.stderr.write(f"boot: {error}; {error.remedy}\n")
        _show_last(folder, say, as_json=options.json)
        return EXIT_FAILED
    say(json.dumps(status, indent=1) + "\n" if options.json else describe(status))
    good = status.get("stage") == "running" and not status.get("alarms")
    return EXIT_OK if good else EXIT_ATTENTION


def _show_last(folder: StateFolder, say: Say, *, as_json: bool) -> None:
    """Shows what the last agent wrote before it went."""
    data = read_bounded(folder.status, _MAX_STATUS)
    if data is None:
        return
    say(data.decode() + "\n" if as_json else "as it was last:\n" + describe(json.loads(data)))


def _headline(status: JsonObject) -> str:
    words = [f"{status.get('model')} {status.get('serial')}: {status.get('stage')}"]
    words += [
        f"{name} {status[key]}"
        for key, name in (("firmware_version", "firmware"), ("config_version", "configuration"))
        if status.get(key) is not None
    ]
    return ", ".join(words)


def _stage_lines(status: JsonObject) -> Iterable[str]:
    yield f"{'stage':<10}{'state':<10}{'seconds':>9}{'round trips':>13}  detail"
    for stage in _objects(status.get("stages")):
        duration = stage.get("duration_s")
        seconds = f"{duration:.3f}" if isinstance(duration, float | int) else "-"
        yield (
            f"{stage.get('name')!s:<10}{stage.get('state')!s:<10}{seconds:>9}"
            f"{stage.get('round_trips')!s:>13}  {stage.get('detail')}"
        )
        if stage.get("error"):
            yield f"{'':<10}{stage['error']}"
            yield f"{'':<10}what to do: {stage.get('remedy')}"


def _alarm_lines(status: JsonObject) -> Iterable[str]:
    for alarm in _objects(status.get("alarms")):
        yield f"\nalarm {alarm.get('code')}: {alarm.get('message')}"
        yield f"      what to do: {alarm.get('remedy')}"


def _objects(value: JsonValue) -> list[JsonObject]:
    entries = value if isinstance(value, list) else []
    return [entry for entry in entries if isinstance(entry, dict)]


def _boot_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="turret boot",
        description=_BOOT_HELP,
        epilog=_BOOT_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--state", type=Path, required=True, help="folder that the unit writes")
    parser.add_argument("--factory", type=Path, required=True, help="folder from manufacture")
    parser.add_argument("--interface", default="eth0", help="network interface [%(default)s]")
    parser.add_argument(
        "--slots",
        choices=("files", "rauc"),
        default="files",
        help="who keeps the two firmwares: this agent, or RAUC with a bootloader [%(default)s]",
    )
    parser.add_argument("--verbose", action="store_true", help="log every packet's outcome")
    return parser


def _status_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="turret boot status",
        description="Shows the stages of a boot: durations, round trips, errors and remedies.",
        epilog=_STATUS_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--state", type=Path, required=True, help="the unit's state folder")
    parser.add_argument("--json", action="store_true", help="for machines")
    return parser
