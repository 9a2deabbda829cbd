"""What a site can be refused for.

::

    BundleError
    ├── BadSiteError      files of the site are wrong; has one sentence for each problem
    └── UnitListError     a unit is unknown, known already, or wrongly described
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import LabError


class BundleError(LabError, ValueError):
    """Something about a site that a person has to put right; the message says how.

    Attributes:
        problems: one sentence each: file, line, key, value, what is allowed, remedy.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class BadSiteError(BundleError):
    """Files of the site are missing or wrong; nothing was published."""


class UnitListError(BundleError):
    """A unit is unknown, known already, or its description is wrong."""
