"""``turret rig``: finds who answers for a word after it and imports nobody else."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

_ROOM: Final = "openturret.lab.rig"
WORDS: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType(
    {
        "up": (f"{_ROOM}.up", "main", "emulated units on a bench, ready to be exported"),
        "export": (f"{_ROOM}.exporter", "main", "labgrid-exporter, which also knows our resources"),
        "hold": (f"{_ROOM}.lease_cli", "hold_main", "hold a place while a command runs"),
        "janitor": (f"{_ROOM}.lease_cli", "janitor_main", "take back what dead holders hold"),
    }
)
"""Module, function and summary by word."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``turret rig WORD …``; returns the exit status of whoever answers.

    Raises:
        LabgridMissingError: the word needs labgrid, which is not installed here.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] not in WORDS:
        _parser().parse_args(arguments)
    module, function, _ = WORDS[arguments[0]]
    run: Callable[[Sequence[str]], int] = getattr(importlib.import_module(module), function)
    return run(arguments[1:])


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, WORDS)) + 2
    words = "\n".join(f"  {word:<{width}}{summary}" for word, (_, _, summary) in WORDS.items())
    parser = argparse.ArgumentParser(
        prog="turret rig",
        description="Rigs that outgrow one machine, with labgrid (docs/build-a-rig.md).",
        epilog=f"words:\n{words}\n\n`turret rig WORD --help` teaches each of them.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("word", choices=list(WORDS))
    return parser


if __name__ == "__main__":
    sys.exit(main())
