"""The public headers, what cffi makes of them, and the types that Python is told."""

import re
from pathlib import Path

from openturret.c_ext._engine import lib
from openturret.c_ext.engine_build import declarations
from openturret.c_ext.engine_stub import stub

C_EXT = Path(__file__).parents[2] / "c_ext"


def declared_functions() -> set[str]:
    header = re.sub(r"/\*.*?\*/", "", declarations(C_EXT), flags=re.DOTALL)
    return set(re.findall(r"\b(ot_\w+)\(", header))


def test_every_declared_function_is_built() -> None:
    assert declared_functions() == {name for name in dir(lib) if name.startswith("ot_")}


def test_the_types_that_python_is_told_are_those_of_the_headers() -> None:
    assert (C_EXT / "_engine.pyi").read_text() == stub(C_EXT), "run: make docs"
