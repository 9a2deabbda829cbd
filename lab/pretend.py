"""Runs a daemon that insists on giving up its groups in a namespace where nobody may.

An unprivileged user namespace forbids setgroups(2), because leaving a group can open a file that
the group was refused (CVE-2014-8989).  Daemons that drop privileges take the refusal for an attack
and end.  A seccomp filter answers the call with success and does nothing, which is the truth for
all that they then do: the namespace maps one user with one group::

    python -m openturret.lab.pretend in.tftpd --foreground …
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Sequence
from typing import Final

_SETGROUPS: Final = {"x86_64": 116, "aarch64": 159}
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_LOAD_WORD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _SUCCEED = 0x7FFF0000, 0x00050000
"""SECCOMP_RET_ALLOW, and SECCOMP_RET_ERRNO with error 0 (linux/seccomp.h)."""


def pretend() -> None:
    """Lets setgroups(2) succeed without effect, for this process and what becomes of it.

    Raises:
        OSError: The kernel knows no filters, or this process is not root of its namespace.
    """
    number = _SETGROUPS[platform.machine()]
    steps = (
        (_LOAD_WORD, 0, 0, 0),  # the number of the system call
        (_JUMP_IF_EQUAL, 0, 1, number),
        (_RETURN, 0, 0, _SUCCEED),
        (_RETURN, 0, 0, _ALLOW),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HP", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp filter")


def command(argv: Sequence[str]) -> list[str]:
    """Returns the command line that runs ``argv`` so, as the process itself."""
    return [sys.executable, "-m", __name__, *argv]


if __name__ == "__main__":
    pretend()
    os.execvp(sys.argv[1], sys.argv[1:])
