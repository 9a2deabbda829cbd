"""A process group: started apart from its starter, watched, and ended."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path


class Process:
    """One running process, ours or taken over, watched through its pidfd."""

    def __init__(self, pid: int, child: "subprocess.Popen[bytes] | None") -> None:
        """Takes over a process.

        Raises:
            ProcessLookupError: It is gone already.
        """
        self.pid = pid
        self._child = child
        self._pidfd = os.pidfd_open(pid)
        self._gone = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._pidfd, self._note_end)

    async def ended(self) -> int | None:
        """Returns when the process has ended; its exit code if it was our child."""
        await self._gone.wait()
        return self._child.wait() if self._child else None

    def _note_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        self._gone.set()

    async def stop(self, grace_s: float) -> None:
        """Asks the process group to end, and kills what is left of it when the grace is over."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)
        await self._end_within(grace_s)

    async def _end_within(self, grace_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self.ended()
        self._signal(signal.SIGKILL)
        await self.ended()

    async def abort(self, grace_s: float) -> None:
        """Ends a process that hangs: SIGABRT lets it write where it stands, SIGKILL ends the rest.

        A stopped process is woken for that.
        """
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, signal.SIGABRT)
        self._signal(signal.SIGCONT)
        await self._end_within(grace_s)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def close(self) -> None:
        """Frees the handle; the process is left as it is."""
        asyncio.get_running_loop().remove_reader(self._pidfd)
        with contextlib.suppress(OSError):
            os.close(self._pidfd)


def is_running(pid: int, command: Sequence[str]) -> bool:
    """Returns whether that process is the one that the command would start."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        return False
    return [word.decode("utf-8", "surrogateescape") for word in words][1:] == list(command[1:])
