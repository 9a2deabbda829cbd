"""What of this machine the guest may read, and where it finds it: at the same paths."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..tools import guest_tools

ETC_FILES = ("group", "hosts", "ld.so.cache", "nsswitch.conf", "passwd")
"""Of /etc the guest gets these, and the links of Debian's alternatives."""


@dataclass(frozen=True, slots=True)
class Share:
    """A folder that the guest sees read-only, below a layer that keeps its own writing.

    Attributes:
        place: where the guest has it.
        sources: folders of this machine; the first that has a name wins.
    """

    place: Path
    sources: tuple[Path, ...]


def shares(checkout: Path, modules: Path) -> tuple[Share, ...]:
    """Everything that a command of the checkout needs, no folder inside another.

    Args:
        checkout: the checkout.
        modules: ``lib/modules`` of the guest's kernel.
    """
    usr = Path("/usr")
    tools = guest_tools() / "usr"
    system = Share(usr, (usr, tools) if tools.is_dir() else (usr,))
    pythons = (Path(sys.prefix), Path(sys.base_prefix))
    others = _outermost([checkout, *pythons], usr)
    ours = tuple(Share(path, (path,)) for path in others)
    return (system, *ours, Share(usr / "lib" / "modules", (modules,)))


def _outermost(paths: Iterable[Path], usr: Path) -> list[Path]:
    found: list[Path] = []
    for path in sorted({path.resolve() for path in paths}, key=lambda path: len(path.parts)):
        if not any(path.is_relative_to(above) for above in (usr, *found)):
            found.append(path)
    return found
