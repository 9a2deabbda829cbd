"""Device nodes: whether they may be opened, and what to do when they may not."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TypeAlias

Openable: TypeAlias = Callable[[Path], bool]

RULES: Final = "60-openturret.rules"
"""The udev rules that come with the USB drivers."""

_GROUPS: Final = {"snd": "audio", "tty": "dialout"}


def openable(node: Path) -> bool:
    """Whether this process may read and write the node."""
    return os.access(node, os.R_OK | os.W_OK)


def first_problem(nodes: Iterable[Path], may_open: Openable = openable) -> str:
    """Returns why the first bad node cannot be opened, with the remedy; "" when all can."""
    return next((_problem(node) for node in nodes if not may_open(node)), "")


def _problem(node: Path) -> str:
    if not node.exists():
        return f"{node} is missing; run where udev and the host's /dev are"
    return f"{node} may not be opened; {_remedy(node)}"


def _remedy(node: Path) -> str:
    for word, group in _GROUPS.items():
        if node.name.startswith(word) or node.parent.name == word:
            return f"add the user to the group: usermod -aG {group} USER, and log in again"
    return f"copy {RULES} to /etc/udev/rules.d, then udevadm control --reload; udevadm trigger"
