"""Enters a user, network, mount and process namespace without any privilege.

``enter`` runs a command in the namespace and returns its exit status; ``inside`` tells
the command that it is there. Between the two stands a small init, because the first
process of a process namespace gets no default signals and must collect orphans::

    enter (waits, holds the lifeline) → unshare → init (this module) → the command

The lifeline is a pipe. When the one who entered goes away, for whatever reason, init
reads its end, asks the command to stop, and ends; the kernel then ends all the rest.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .errors import NamespaceError
from .tools import tool

_OUTSIDE = "OPENTURRET_OUTSIDE_NAMESPACE"
_UNSHARE = ("-Urnm", "-pf", "--mount-proc", "--kill-child")
_STOP_SECONDS = 10.0
_REMEDY = (
    "allow unprivileged user namespaces: `sysctl -w kernel.unprivileged_userns_clone=1` on the "
    "host (Ubuntu: `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`); in a container "
    "start it with `--security-opt seccomp=unconfined --security-opt apparmor=unconfined "
    "--security-opt systempaths=unconfined`, or `--privileged`"
)


def inside() -> bool:
    """Whether this process runs in a namespace that `enter` made."""
    outside = os.environ.get(_OUTSIDE)
    return outside is not None and outside != _user_namespace()


def check() -> None:
    """Make and leave an empty namespace.

    Raises:
        NamespaceError: the kernel or the container forbids it; the message says the remedy.
        ToolMissingError: unshare, nsenter, mount or ip is not installed.
    """
    for name in ("nsenter", "ip", "mount"):
        tool(name)
    trial = subprocess.run(_unshare(["true"]), capture_output=True, text=True, check=False)
    if trial.returncode:
        raise NamespaceError(f"namespaces are forbidden here ({trial.stderr.strip()}): {_REMEDY}")


def enter(
    argv: Sequence[str], *, pass_fds: Sequence[int] = (), env: Mapping[str, str] | None = None
) -> int:
    """Run a command in a new namespace and wait for it.

    SIGTERM to this process asks the command to stop; a key press of Ctrl-C reaches the
    command by itself, because it is in the same process group.

    Args:
        argv: the command.
        pass_fds: open files that it inherits, such as a socket that listens on the host.
        env: its environment; ours by default.

    Returns:
        The exit status of the command, 128 + n when signal n ended it.

    Raises:
        NamespaceError: namespaces are forbidden here.
        ToolMissingError: unshare, nsenter, mount or ip is not installed.
    """
    check()
    lifeline, held = os.pipe()
    try:
        with _signals_stop(held):
            process = spawn(argv, lifeline, pass_fds=pass_fds, env=env)
            return process.wait()
    finally:
        os.close(held)
        os.close(lifeline)


def spawn(
    argv: Sequence[str],
    lifeline: int,
    *,
    pass_fds: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
    stdin: int | None = None,
    stdout: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command in a new namespace.

    Args:
        argv: the command.
        lifeline: read end of a pipe; when it is written to or its last writer
            closes, the namespace ends.
        pass_fds: open files that the command inherits.
        env: its environment; ours by default.
        stdin: as for `subprocess.Popen`.
        stdout: as for `subprocess.Popen`.
    """
    outside = {_OUTSIDE: _user_namespace()}
    return subprocess.Popen(
        _unshare([sys.executable, "-m", __name__, str(lifeline), *argv]),
        pass_fds=[lifeline, *pass_fds],
        env={**(os.environ if env is None else env), **outside},
        stdin=stdin,
        stdout=stdout,
    )


def _unshare(argv: Sequence[str]) -> list[str]:
    return [str(tool("unshare").path), *_UNSHARE, *argv]


def _user_namespace() -> str:
    return str(Path("/proc/self/ns/user").readlink())


@contextlib.contextmanager
def _signals_stop(held: int) -> Iterator[None]:
    """SIGTERM and SIGHUP pull the lifeline; Ctrl-C is left to the command."""

    def pull(_number: int, _frame: object) -> None:
        os.write(held, b"stop")

    def leave(_number: int, _frame: object) -> None:
        """A handler, not SIG_IGN: that would be inherited by the command."""

    wanted = {signal.SIGTERM: pull, signal.SIGHUP: pull, signal.SIGINT: leave}
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _init(lifeline: int, argv: Sequence[str]) -> int:
    """The first process of the namespace: mounts, starts the command, collects orphans."""
    _mount_run()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    inherited = [fd for fd in _open_files() if fd not in (lifeline, woken, wake)]
    command = subprocess.Popen(argv, pass_fds=inherited)
    return _watch(command, lifeline, woken)


def _watch(command: subprocess.Popen[bytes], lifeline: int, woken: int) -> int:
    watched, limit = [lifeline, woken], None
    while True:
        ready, _, _ = select.select(watched, [], [], limit)
        status = _collect(command.pid)
        if status is not None:
            return status
        if not ready:
            return 128 + signal.SIGKILL
        if woken in ready:
            os.read(woken, 4096)
        if lifeline in ready:
            watched, limit = [woken], _STOP_SECONDS
            os.kill(command.pid, signal.SIGTERM)


def _collect(main: int) -> int | None:
    """Collect every child that ended; the status of ``main`` once it is among them."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return found
            if pid == main:
                code = os.waitstatus_to_exitcode(status)
                found = 128 - code if code < 0 else code
    return found


def _mount_run() -> None:
    """A private /run, where iproute2 keeps the names of the network namespaces."""
    subprocess.run([str(tool("mount").path), "-t", "tmpfs", "none", "/run"], check=True)
    Path("/run/netns").mkdir()


def _open_files() -> list[int]:
    listed = [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]
    return [fd for fd in listed if fd > 2 and _is_inherited(fd)]


def _is_inherited(descriptor: int) -> bool:
    try:
        return os.get_inheritable(descriptor)
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(_init(int(sys.argv[1]), sys.argv[2:]))
