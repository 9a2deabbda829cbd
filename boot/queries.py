"""``turret boot status``, ``events`` and ``retry``: what a person asks a boot agent."""

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from ..hal.wire.json_lines import JsonObject
from .cache import read_bounded
from .control import ask
from .errors import ControlError
from .events import read_events
from .folder import StateFolder
from .table import describe

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_ATTENTION: Final = 4

LOOK_S: Final = 0.5
"""How often --watch and --follow look."""

_MAX_STATUS: Final = 1_048_576
_CLEAR: Final = "\x1b[H\x1b[2J"
_STATUS_EPILOG: Final = """\
exit:      0 running without alarm; 4 still booting, in safe mode, failed, or with alarms;
           1 no agent
example:   turret boot status --state /var/lib/turret
           turret boot status --state /var/lib/turret --watch
"""
_EVENTS_EPILOG: Final = """\
exit:      0; 1 there is no event log
example:   turret boot events --state /var/lib/turret --follow
           turret boot events --state /var/lib/turret --json | jq 'select(.event == "failed")'
"""
_RETRY_EPILOG: Final = """\
exit:      0; 1 no agent
example:   turret boot retry --state /var/lib/turret
"""

Say = Callable[[str], object]


def status(arguments: Sequence[str], say: Say) -> int:
    """Shows the stages of a boot, once or again and again; returns the exit code."""
    options = _status_parser().parse_args(arguments)
    folder = StateFolder(options.state)
    if not options.watch:
        return _status_once(folder, say, as_json=options.json)
    return _until_interrupted(lambda: _watch(folder, say, as_json=options.json))


def events(arguments: Sequence[str], say: Say) -> int:
    """Shows what happened, and with --follow what happens; returns the exit code."""
    options = _events_parser().parse_args(arguments)
    path = StateFolder(options.state).events
    if not path.exists() and not options.follow:
        sys.stderr.write(f"boot: there is no {path}; has a boot agent run here?\n")
        return EXIT_FAILED
    written = _as_line if options.json else _as_text
    for event in read_events(path):
        say(written(event))
    if options.follow:
        return _until_interrupted(lambda: _follow(path, lambda event: say(written(event))))
    return EXIT_OK


def retry(arguments: Sequence[str], say: Say) -> int:
    """Asks the agent not to wait any longer; returns the exit code."""
    options = _retry_parser().parse_args(arguments)
    try:
        asyncio.run(ask(StateFolder(options.state).socket, "retry"))
    except ControlError as error:
        return _refused(error)
    say("the agent tries again now\n")
    return EXIT_OK


def _status_once(folder: StateFolder, say: Say, *, as_json: bool) -> int:
    try:
        found = asyncio.run(ask(folder.socket, "status"))
    except ControlError as error:
        code = _refused(error)
        _show_last(folder, say, as_json=as_json)
        return code
    say(json.dumps(found, indent=1) + "\n" if as_json else describe(found))
    good = found.get("stage") == "running" and not found.get("alarms")
    return EXIT_OK if good else EXIT_ATTENTION


def _refused(error: ControlError) -> int:
    sys.stderr.write(f"boot: {error}; {error.remedy}\n")
    return EXIT_FAILED


def _show_last(folder: StateFolder, say: Say, *, as_json: bool) -> None:
    """Shows what the last agent wrote before it went."""
    data = read_bounded(folder.status, _MAX_STATUS)
    if data is None:
        return
    say(data.decode() + "\n" if as_json else "as it was last:\n" + describe(json.loads(data)))


def _watch(folder: StateFolder, say: Say, *, as_json: bool) -> None:
    """Shows the status whenever it has changed, for ever."""
    seen = b""
    while True:
        data = read_bounded(folder.status, _MAX_STATUS) or b""
        with contextlib.suppress(ValueError):
            if data != seen:
                found = json.loads(data)
                say(_as_line(found) if as_json else _screen() + describe(found))
                seen = data
        time.sleep(LOOK_S)


def _screen() -> str:
    return _CLEAR if sys.stdout.isatty() else "\n"


def _follow(path: Path, show: Callable[[JsonObject], object]) -> None:
    """Shows every event that is written from now on, for ever."""
    size = path.stat().st_size if path.exists() else 0
    while True:
        time.sleep(LOOK_S)
        now = path.stat().st_size if path.exists() else 0
        for event in _since(path, size if now >= size else 0):
            show(event)
        size = now


def _since(path: Path, offset: int) -> Iterator[JsonObject]:
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(offset)
        for line in file.read(_MAX_STATUS).splitlines():
            with contextlib.suppress(ValueError):
                yield json.loads(line)


def _until_interrupted(work: Callable[[], None]) -> int:
    with contextlib.suppress(KeyboardInterrupt):
        work()
    return EXIT_OK


def _as_line(shown: JsonObject) -> str:
    return json.dumps(shown, ensure_ascii=False) + "\n"


def _as_text(event: JsonObject) -> str:
    """Returns an event as a line for people; the remedy of what went wrong on a second one."""
    head = f"{event.get('time', ''):<30}{event.get('stage', ''):<10}{event.get('event', ''):<14}"
    words = [str(event.get("message") or event.get("detail") or event.get("code") or "")]
    if "duration_s" in event:
        words.append(f"({event['duration_s']:.3f} s, {event.get('round_trips', 0)} round trips)")
    remedy = f"{'':<54}what to do: {event['remedy']}\n" if event.get("remedy") else ""
    return f"{head}{' '.join(words)}".rstrip() + "\n" + remedy


def _parser(name: str, description: str, epilog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"turret boot {name}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--state", type=Path, required=True, help="the unit's state folder")
    return parser


def _status_parser() -> argparse.ArgumentParser:
    words = "Shows the stages of a boot: durations, round trips, errors and remedies."
    parser = _parser("status", words, _STATUS_EPILOG)
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument("--watch", action="store_true", help="again whenever it changes")
    return parser


def _events_parser() -> argparse.ArgumentParser:
    words = "Shows what happened since the unit was made, or since the log was last moved aside."
    parser = _parser("events", words, _EVENTS_EPILOG)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--follow", action="store_true", help="and what happens from now on")
    return parser


def _retry_parser() -> argparse.ArgumentParser:
    words = "Tries again at once what the agent waits for: the TSS, or the end of safe mode."
    return _parser("retry", words, _RETRY_EPILOG)
