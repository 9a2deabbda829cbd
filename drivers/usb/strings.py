"""What a device says of itself: never trusted to be text, or to be short."""

from typing import Final

MAX_CHARACTERS: Final = 126
"""A string descriptor holds no more (USB 2.0 section 9.6.7)."""


def plain(said: str) -> str:
    """Returns the text within bounds, with U+FFFD for what a terminal or a log would obey."""
    return "".join(c if c.isprintable() else "\ufffd" for c in said[:MAX_CHARACTERS])
