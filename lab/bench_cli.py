"""``turret bench up``: the bench alone, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from . import namespace, plan
from .bench import Bench
from .errors import LabError
from .stopping import stoppable

_EXAMPLES = """examples:
  turret bench up                         everything but a unit, until Ctrl-C
  turret bench up --power-on              and a TouchPro that boots from it
  turret bench up --json                  for machines: addresses and start-up times
  turret bench up --folder ./bench        keep what it writes (logs, recordings, captures)

While it runs, `nsenter` takes another terminal into a host of the bench; the command line
is printed. Nothing is started or changed on this machine itself.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the bench.

    Returns:
        The exit status: 0 after Ctrl-C, 1 when the bench could not come up.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(arguments)
    try:
        if namespace.inside():
            asyncio.run(stoppable(_run(options)))
            return 0
        return namespace.enter([sys.executable, "-m", "openturret.lab.bench_cli", *arguments])
    except* LabError as errors:
        for error in errors.exceptions:
            sys.stderr.write(f"turret bench: {error}\n")
    return 1


async def _run(options: argparse.Namespace) -> None:
    logging.basicConfig(level=logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="openturret-") as temporary:
        folder = options.folder or Path(temporary)
        say = _silent if options.json else _say
        bench = Bench(folder, firmware=options.firmware, units=options.units, say=say)
        async with bench:
            if options.power_on:
                await bench.power_on("touchpro-1")
            _say(_as_json(bench) if options.json else _as_text(bench))
            await asyncio.Event().wait()


def _as_json(bench: Bench) -> str:
    return json.dumps(
        {
            "folder": str(bench.folders.root),
            "addresses": bench.addresses(),
            "seconds": {name: round(value, 3) for name, value in bench.seconds.items()},
            "pids": {process.name: process.pid for process in bench.processes},
        }
    )


def _as_text(bench: Bench) -> str:
    hosts = [
        f"  {host.name:<11} {host.address:<11} {', '.join(host.domain_names)}"
        for host in plan.HOSTS
    ]
    people = [f"  {person.user} / {person.password} ({person.number})" for person in plan.PEOPLE]
    gateway = f"$(pgrep -f conf-file={bench.folders.root}/gateway)"
    return "\n".join(
        [
            f"the bench is up after {bench.seconds['all']:.1f} s; Ctrl-C ends it",
            *hosts,
            "people:",
            *people,
            f"files:  {bench.folders.root}",
            f'go in:  nsenter --target "{gateway}" --user --net --mount --pid bash',
        ]
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _silent(_text: str) -> None:
    """Says nothing: standard output belongs to the JSON."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="turret bench",
        description="Everything that a turret talks to, on this machine, in namespaces of its "
        "own: dnsmasq, two TSS, two Kamailio, two recorders, two slapd behind HAProxy, a TPO "
        "and two baresip. Needs no privilege.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", nargs="?", choices=["up"], default="up")
    parser.add_argument("--folder", type=Path, help="keep what it writes here")
    parser.add_argument("--firmware", type=Path, help="the firmware image (an openturret wheel)")
    parser.add_argument("--units", type=int, default=1, help="units on the client LAN")
    parser.add_argument("--power-on", action="store_true", help="power touchpro-1 on")
    parser.add_argument("--json", action="store_true", help="print one JSON object when it is up")
    return parser


if __name__ == "__main__":
    sys.exit(main())
