"""``turret demo``: tells the story on a fresh bench and ends with a table and a report."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ...hal.clock import SystemClock
from .. import namespace, plan
from ..bench import Bench
from ..errors import LabError
from ..forward import adopt, forward, listen
from ..report import Report, Span, clear_folder, write_report
from ..stopping import SIGNALS, stoppable
from ..timeline import Timeline
from ..verdict import Verdict, as_text
from .findings import Findings
from .judge import Judge
from .story import Story

PANEL_PORT = 8080
EXIT_UNTOLD = 2
EXIT_INTERRUPTED = 130
_EXAMPLES = """examples:
  turret demo                      the story, a table, and ./report/index.html
  turret demo --stay               then the bench stays up with a TouchPro and its panel
  turret demo --json               one JSON object on standard output, for machines
  turret demo --report /tmp/run-7  the report somewhere else
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration.

    Returns:
        The exit status: 0 when every line of the table passed, 1 when one failed, 2 when the
        story could not be told to its end, 130 when it was stopped.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(arguments)
    try:
        if namespace.inside():
            status = asyncio.run(stoppable(_run(options)))
            return EXIT_INTERRUPTED if status is None else status
        return _enter(options, arguments)
    except* (LabError, OSError) as errors:
        for error in errors.exceptions:
            sys.stderr.write(f"turret demo: {error}\n")
    return EXIT_UNTOLD


def _enter(options: argparse.Namespace, arguments: list[str]) -> int:
    command = [sys.executable, "-m", "openturret.lab.demo.cli", *arguments]
    if not options.stay:
        return namespace.enter(command)
    with _listen(options.port) as listening:
        command += ["--panel-socket", str(listening.fileno())]
        return namespace.enter(command, pass_fds=[listening.fileno()])


def _listen(port: int) -> socket.socket:
    try:
        return listen(port=port)
    except OSError:
        return listen()


async def _run(options: argparse.Namespace) -> int:
    say = _to_stderr if options.json else _to_stdout
    clear_folder(options.report)
    with tempfile.TemporaryDirectory(prefix="openturret-") as temporary:
        timeline = Timeline(SystemClock(), say)
        began = time.monotonic()
        bench = Bench(Path(temporary))
        async with bench:
            timeline.add("bench", f"up after {time.monotonic() - began:.1f} s")
            verdict = await _tell(bench, timeline, options)
            _print_verdict(verdict, timeline, options, say)
            if options.stay:
                await _stay(bench, options.panel_socket, say)
    return 0 if verdict.passed else 1


async def _tell(bench: Bench, timeline: Timeline, options: argparse.Namespace) -> Verdict:
    story = Story(bench, timeline, bench.folders["ears"])
    try:
        findings = await story.tell()
    except Exception:
        _keep_logs(bench, options.report)
        raise
    await _stop_captures(bench)
    judge = Judge(findings, bench)
    verdict = judge.judge()
    _write_report(judge, findings, timeline, options.report)
    return verdict


async def _stop_captures(bench: Bench) -> None:
    captures = [process for process in bench.processes if process.name.startswith("capture-")]
    await asyncio.gather(*(process.stop() for process in captures))


def _keep_logs(bench: Bench, folder: Path) -> None:
    """Leave every log and capture behind when the story broke off."""
    target = folder / "log"
    for name in ("log", "captures"):
        shutil.copytree(bench.folders[name], target, dirs_exist_ok=True)
    for unit in bench.units.values():
        if (unit.state / "log").is_dir():
            shutil.copytree(unit.state / "log", target / unit.name, dirs_exist_ok=True)
    sys.stderr.write(f"the story broke off; every log is in {target}\n")


def _write_report(judge: Judge, findings: Findings, timeline: Timeline, folder: Path) -> None:
    write_report(
        folder,
        Report(
            title="OpenTurret: first light",
            summary="One TouchPro booted from the network, made two calls, listened to three "
            "hoots, lost its control plane in mid-call and kept every word.",
            passed=judge.verdict.passed,
            rows=judge.verdict.rows,
            moments=timeline.moments,
            stages=_spans(findings),
            clips=list(judge.clips()),
            attachments=list(judge.attachments()),
        ),
    )


def _spans(findings: Findings) -> list[Span]:
    return [
        Span(stage["name"], stage["started"] - findings.powered_on_unix, stage["duration_s"])
        for stage in findings.stages
        if stage["started"] is not None and stage["duration_s"] is not None
    ]


def _print_verdict(
    verdict: Verdict, timeline: Timeline, options: argparse.Namespace, say: Callable[[str], None]
) -> None:
    page = (options.report / "index.html").resolve()
    if options.json:
        _to_stdout(json.dumps(_as_json(verdict, timeline, page), indent=1))
        return
    say(as_text(verdict.rows))
    failed = sum(not row.passed for row in verdict.rows)
    say(f"\n{'PASSED' if verdict.passed else f'FAILED: {failed} lines'}   report: {page}")


def _as_json(verdict: Verdict, timeline: Timeline, page: Path) -> dict[str, object]:
    return {
        "passed": verdict.passed,
        "report": str(page),
        "rows": [row.as_json() for row in verdict.rows],
        "timeline": [
            {"at_s": round(m.at_s, 3), "actor": m.actor, "text": m.text} for m in timeline.moments
        ],
    }


async def _stay(bench: Bench, descriptor: int, say: Callable[[str], None]) -> None:
    unit = bench.units["touchpro-1"]
    listening = adopt(descriptor)
    port = listening.getsockname()[1]
    person = plan.PEOPLE[0]
    server = await forward(listening, str(unit.address()), 80)
    say(f"\nthe panel: http://127.0.0.1:{port}/   log in as {person.user} / {person.password}")
    say(f"numbers that answer: {', '.join(party.number for party in plan.PARTIES)}; Ctrl-C ends it")
    stopped = asyncio.Event()
    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with server:
        await stopped.wait()


def _to_stdout(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _to_stderr(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="turret demo",
        description="An emulated TouchPro boots from the network, a dealer logs in, talks on two "
        "handsets and listens to three hoots; the runtime is killed in mid-call. Ends with a "
        "table of what was measured and a report to listen to. Needs no privilege.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--report", type=Path, default=Path("report"), help="folder of the report")
    parser.add_argument("--json", action="store_true", help="the result as one JSON object")
    parser.add_argument("--stay", action="store_true", help="keep the bench up, with the panel")
    parser.add_argument("--port", type=int, default=PANEL_PORT, help="the panel's port here (8080)")
    parser.add_argument("--panel-socket", type=int, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
