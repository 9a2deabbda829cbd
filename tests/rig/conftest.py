"""One rig for all tests of this folder, started as docs/build-a-rig.md says, line by line.

A coordinator, a floor with two units, two exporters and a janitor, all on loopback and each
ended by its process id.  labgrid has an environment of its own (``tox run -e rig``); without it
nothing here is collected.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import pytest
import yaml

WITH_LABGRID = importlib.util.find_spec("labgrid") is not None
IN_GUEST = "OPENTURRET_HAND" in os.environ
collect_ignore_glob = [] if WITH_LABGRID else ["test_*.py"]
collect_ignore = [] if IN_GUEST else ["test_usb.py"]
if WITH_LABGRID:
    from openturret.lab.rig._labgrid import Environment, RemotePlaceManager, Target

BIN = Path(sys.executable).parent
READY_S = 60.0
DOCUMENT = Path(__file__).parents[2] / "docs" / "build-a-rig.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
READY = ("listening on", "ready to be switched on", "poll task", "poll task", "watching the places")
"""What each process of the document says when the next one may be started."""


def blocks(kind: str) -> list[str]:
    """The fenced blocks of the document, of a language."""
    found = BLOCK.findall(DOCUMENT.read_text(encoding="utf-8"))
    return [body for language, body in found if language == kind]


def commands(block: str) -> list[str]:
    """The lines of a block without their comments."""
    return [line.partition("  #")[0].strip() for line in block.splitlines()]


class Running:
    """A process whose output is read line by line until something is said."""

    def __init__(self, command: Sequence[str], *, folder: Path, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **env},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.name = " ".join(command)
        self.said: list[str] = []
        self._over = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, args=[self.process.stdout])
        self._reader.start()

    def wait_for(self, text: str) -> str:
        """The first line that holds a text."""
        with self._changed:
            self._changed.wait_for(lambda: self._has(text) or self._over, READY_S)
            if not self._has(text):
                pytest.fail(f"{self.name}: never said {text!r}:\n{''.join(self.said)}")
            return next(line for line in self.said if text in line)

    def wait_for_end(self) -> None:
        """Wait until it and everybody who inherited its output have ended."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._over, READY_S), self.name

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join()

    def _has(self, text: str) -> bool:
        return any(text in line for line in self.said)

    def _read(self, output: IO[str]) -> None:
        with output:
            for line in output:
                self._tell(line)
        self._over = True
        self._tell("")

    def _tell(self, line: str) -> None:
        with self._changed:
            self.said.append(line)
            self._changed.notify_all()


@contextlib.contextmanager
def running(command: Sequence[str], *, folder: Path, env: dict[str, str]) -> Iterator[Running]:
    process = Running(command, folder=folder, env=env)
    try:
        yield process
    finally:
        process.end()


@dataclasses.dataclass(frozen=True, slots=True)
class Rig:
    """What the tests know of the rig that runs.

    Attributes:
        folder: where commands of a user run.
        coordinator: its address.
    """

    folder: Path
    coordinator: str

    def client(self, *arguments: str) -> str:
        """Run labgrid-client; what it printed."""
        return self.do(shlex.join(["labgrid-client", *arguments]))

    def do(self, line: str, *, limit_s: float = 120.0) -> str:
        """Run a line of a shell that must succeed; what it printed."""
        done = self.run("sh", "-c", line, limit_s=limit_s)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    def run(self, *command: str, limit_s: float = 120.0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, env=self.environment(), timeout=limit_s,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def running(self, *command: str) -> contextlib.AbstractContextManager[Running]:
        """A command of a user that goes on until the end of the context."""
        return running(command, folder=self.folder, env=self.environment())

    @contextlib.contextmanager
    def target(self, place: str, drivers: dict[str, dict[str, str]]) -> Iterator[Target]:
        """The target of an environment at a place that is held."""
        main = {"resources": {"RemotePlace": {"name": place}}, "drivers": drivers}
        whole = {
            "imports": ["openturret.lab.rig.classes"],
            "options": {"coordinator_address": self.coordinator},
            "targets": {"main": main},
        }
        file = self.folder / "environment.yaml"
        file.write_text(yaml.safe_dump(whole, sort_keys=False))
        catch_up()
        environment = Environment(config_file=str(file))
        yield environment.get_target("main")
        environment.cleanup()

    @contextlib.contextmanager
    def holding(self, place: str) -> Iterator[str]:
        """Acquire a place by hand, and release it."""
        self.client("-p", place, "acquire")
        try:
            yield place
        finally:
            self.client("-p", place, "release")

    def is_free(self, place: str) -> bool:
        """Whether nobody holds a place and nothing of a lease is left at it."""
        shown = self.client("-p", place, "show")
        return "acquired: None" in shown and "lease_beat" not in shown

    def environment(self) -> dict[str, str]:
        """Of a user's shell."""
        return {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def catch_up() -> None:
    """Let labgrid's one session of this process hear what others did since it last listened."""
    manager = RemotePlaceManager.get()
    if manager.session is not None:
        manager.loop.run_until_complete(manager.session.sync_with_coordinator())


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    start, places, _, _, contract = map(commands, blocks("bash"))
    with tempfile.TemporaryDirectory(prefix="ot-") as folder, contextlib.ExitStack() as stack:
        found = Rig(Path(folder), coordinator="127.0.0.1:20408")
        for line, ready in zip(start, READY, strict=True):
            stack.enter_context(found.running(*shlex.split(line))).wait_for(ready)
        second = [line.replace("touchpro-1", "touchpro-2") for line in places]
        for line in [*places, *second, *contract[:-1]]:
            found.do(line)
        yield found


@pytest.fixture
def place(rig: Rig) -> Iterator[str]:
    """A unit's place that is ours for the length of a test."""
    with rig.holding("touchpro-1") as name:
        yield name
