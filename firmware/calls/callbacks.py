"""Callbacks that C++ calls: what they raise must not reach it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

logger = logging.getLogger(__name__)
P = ParamSpec("P")
S = TypeVar("S")


def guarded(
    callback: Callable[Concatenate[S, P], None],
) -> Callable[Concatenate[S, P], None]:
    """Logs what a callback raises instead of letting it into C++."""

    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            callback(self, *args, **kwargs)
        except Exception:
            logger.exception("%s", callback.__qualname__)

    functools.update_wrapper(call, callback)
    return call
