"""Every example in a docstring is run, in every module whose requirements are installed."""

import doctest
import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDERS = ("boot", "drivers", "firmware", "hal", "lab")
ELSEWHERE = () if importlib.util.find_spec("labgrid") else ("openturret.lab.rig.",)
"""What is tried in an environment of its own, `tox run -e rig`."""


def module_names() -> list[str]:
    """Names from the files, so that nothing is imported while tests are collected."""
    names = [name for folder in FOLDERS for name in _names_under(folder)]
    return [name for name in names if not name.startswith(ELSEWHERE)]


def _names_under(folder: str) -> Iterator[str]:
    root = importlib.import_module(f"openturret.{folder}")
    for place in root.__path__:
        for path in sorted(Path(place).rglob("*.py")):
            parts = path.relative_to(place).with_suffix("").parts
            if path.stem not in {"__init__", "__main__"} and not path.stem.endswith("_build"):
                yield ".".join(("openturret", folder, *parts))


@pytest.mark.parametrize("name", module_names())
def test_the_examples_in_its_docstrings_hold(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("openturret"):
            raise
        pytest.skip(f"{error.name} is not installed; the extras unit, rig and bench bring it")
    assert doctest.testmod(module).failed == 0
