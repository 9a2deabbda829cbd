"""Copies a signed tree to where a TSS serves it, in the order in which units may see it."""

from __future__ import annotations

import filecmp
from pathlib import Path

from ..tss.content import copy_durably


def export(tree: Path, target: Path) -> int:
    """Copy what is new in a tree.

    Targets come first and ``timestamp.json`` last, so a unit that fetches meanwhile finds
    the old tree or the new one, and so does one that fetches after a copy was cut short.

    Args:
        tree: the published tree.
        target: the folder that a TSS serves; made when missing.

    Returns:
        How many files were copied.

    Raises:
        OSError: the target cannot be written.
    """
    files = [path for path in tree.rglob("*") if path.is_file() and not path.name.startswith(".")]
    copied = 0
    for path in sorted(files, key=lambda path: (_turn(tree, path), path)):
        there = target / path.relative_to(tree)
        if not there.is_file() or not filecmp.cmp(path, there, shallow=False):
            copy_durably(path, there)
            copied += 1
    return copied


def _turn(tree: Path, path: Path) -> int:
    """Targets, then metadata, and what names all others at the end."""
    if path.relative_to(tree).parts[0] == "targets":
        return 0
    return 2 if path.name == "timestamp.json" else 1
