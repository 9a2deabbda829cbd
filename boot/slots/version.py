"""Which of two firmware versions is the newer one, in the order of PEP 440.

>>> sorted(["1.10", "1.9", "1.9rc1", "1.9.dev3", "1.9.post1"], key=order)
['1.9.dev3', '1.9rc1', '1.9', '1.9.post1', '1.10']
"""

import re
from typing import Final, TypeAlias

from ..errors import SlotError

MAX_LENGTH: Final = 64

Order: TypeAlias = tuple[object, ...]

_FORM = re.compile(
    r"([0-9]+(?:\.[0-9]+)*)"
    r"(?:(a|b|rc)([0-9]+))?(?:\.post([0-9]+))?(?:\.dev([0-9]+))?"
    r"(?:\+([0-9A-Za-z]+(?:\.[0-9A-Za-z]+)*))?"
)


def order(version: str) -> Order:
    """Returns what versions are compared by.

    Raises:
        SlotError: It is no version, such as ``1.2``, ``1.2rc1``, ``1.2.dev3`` or ``1.2+site4``,
            or is longer than 64 characters.
    """
    found = _FORM.fullmatch(version) if len(version) <= MAX_LENGTH else None
    if found is None:
        raise SlotError(f"{version[:80]!r} is not a version", "use one such as 1.2, 1.2rc1, 1.2+4")
    release, letter, number, post, dev, local = found.groups()
    return (
        _release(release),
        _stage(letter, number, early=dev is not None and post is None),
        -1 if post is None else int(post),
        (1, 0) if dev is None else (0, int(dev)),
        tuple(map(_part, local.split("."))) if local else (),
    )


def _release(text: str) -> tuple[int, ...]:
    """Returns the numbers without the zeros at their end: 1.0 is 1."""
    numbers = [int(number) for number in text.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _stage(letter: str | None, number: str | None, *, early: bool) -> tuple[str, int]:
    """Returns where a version stands before its release; one under development comes first."""
    if letter is not None and number is not None:
        return letter, int(number)
    return ("" if early else "z"), 0


def _part(text: str) -> tuple[int, int, str]:
    return (1, int(text), "") if text.isdigit() else (0, 0, text.lower())
