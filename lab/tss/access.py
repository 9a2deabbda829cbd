"""Who may read what of the published tree: one rule for FTPES and for HTTPS.

A unit reads the whole tree but the folders of other units.
"""

from __future__ import annotations

from pathlib import PurePosixPath

_UNITS = ("targets", "units")


def may_read(mac: str, path: str) -> bool:
    """Whether a unit may read a path of the tree.

    Args:
        mac: who asks.
        path: relative to the tree, with forward slashes.

    >>> may_read("02:54:50:00:00:01", "targets/units/02-54-50-00-00-01/config.yaml")
    True
    >>> may_read("02:54:50:00:00:01", "targets/units/02-54-50-00-00-02/config.yaml")
    False
    """
    parts = PurePosixPath(path).parts
    if ".." in parts or parts[:2] != _UNITS or len(parts) < 3:
        return ".." not in parts
    return parts[2] == mac.lower().replace(":", "-")
