"""Runs the commands of a step, keeping their output in one log per step."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .errors import StepFailedError

TAIL_LINES = 15


class Shell:
    """Runs commands for one step; their output goes to its log."""

    def __init__(self, log: Path) -> None:
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")

    def run(
        self,
        *argv: str | Path,
        remedy: str,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Run a command to its end.

        Raises:
            StepFailedError: it could not be started or ended with an error.
        """
        with self._log.open("ab") as log:
            status = _status(argv, log.fileno(), cwd, env)
        if status:
            failure = f"{Path(argv[0]).name} failed (exit {status}); the end of {self._log}:"
            raise StepFailedError(f"{failure}\n{self._tail()}", remedy)

    def _tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join(f"    {line}" for line in lines)


def _status(
    argv: Sequence[str | Path], log: int, cwd: Path | None, env: Mapping[str, str] | None
) -> int:
    try:
        done = subprocess.run(
            [str(word) for word in argv],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            check=False,
        )
    except FileNotFoundError:
        os.write(log, f"{argv[0]}: not found\n".encode())
        return 127
    return done.returncode


def output_of(*argv: str | Path) -> str:
    """The standard output of a command, empty when it fails or does not exist."""
    try:
        done = subprocess.run(
            [str(word) for word in argv], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return done.stdout if done.returncode == 0 else ""
