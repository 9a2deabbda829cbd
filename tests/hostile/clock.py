"""A clock that runs fast where a test shall not wait for a server that drips."""

import itertools
import time
from collections.abc import Iterator


class Clock:
    """The system's clock until it is told to hurry: then every look at it takes a second."""

    def __init__(self) -> None:
        self._looks: Iterator[int] = itertools.repeat(0)

    def hurry(self) -> None:
        self._looks = itertools.count()

    def monotonic(self) -> float:
        return time.monotonic() + next(self._looks)

    def unix(self) -> float:
        return time.time()
