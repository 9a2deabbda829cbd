"""Runs a command in a network of its own: a loopback interface and one that leads nowhere.

Tests use it, so that the documented ports are free whatever else the machine does, and so
that nothing they send can leave it. The second interface is for programs that look for an
address that is not loopback::

    python -m openturret.lab.isolated pytest -q tests
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import NoReturn

from . import namespace
from .errors import LabError
from .tools import tool

_MODULE = "openturret.lab.isolated"
_INSIDE = "--inside"
_LINKS = """\
link set lo up
link add eth0 type veth peer name nowhere
address add 203.0.113.1/24 dev eth0
link set nowhere up
link set eth0 up
"""
"""203.0.113.0/24 is set aside for documentation (RFC 5737)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; its status, 1 when namespaces are forbidden here, 2 without a command."""
    command = list(sys.argv[1:] if argv is None else argv)
    if not command:
        sys.stderr.write(f"usage: python -m {_MODULE} COMMAND [ARGUMENT …]\n")
        return 2
    if command[0] == _INSIDE:
        _become(command[1:])
    try:
        namespace.check()
    except LabError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    inside = [sys.executable, "-m", _MODULE, _INSIDE, *command]
    return subprocess.run([tool("unshare").path, "-Urn", "--", *inside], check=False).returncode


def _become(command: Sequence[str]) -> NoReturn:
    """Bring the interfaces up and turn into the command."""
    subprocess.run([tool("ip").path, "-batch", "-"], input=_LINKS, text=True, check=True)
    os.execvp(command[0], [*command])


if __name__ == "__main__":
    sys.exit(main())
