"""One thing that a unit asked of a node, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """A login or a file.

    Attributes:
        protocol: ``ftpes`` or ``https``.
        client: the address that asked.
        unit: the MAC that it logged in with, "" when it did not.
        what: the path, or ``login``.
        result: ``ok``, or why not, in a few words.
        octets: how many of a file were sent.
    """

    protocol: str
    client: str
    unit: str
    what: str
    result: str
    octets: int = 0


Tell = Callable[[Request], None]
"""Told every request, from any thread."""


def ignore(_request: Request) -> None:
    """Listens to nothing."""
