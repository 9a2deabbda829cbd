"""The one public header, what cffi makes of it, and the types that Python is told."""

import re
from pathlib import Path

from openturret.c_ext._engine import lib

C_EXT = Path(__file__).parents[2] / "c_ext"


def declared_functions() -> set[str]:
    header = re.sub(r"/\*.*?\*/", "", (C_EXT / "engine.h").read_text(), flags=re.DOTALL)
    return set(re.findall(r"\b(ot_\w+)\(", header))


def test_every_declared_function_is_built() -> None:
    assert declared_functions() == {name for name in dir(lib) if name.startswith("ot_")}


def test_every_declared_function_and_constant_is_typed() -> None:
    stub = (C_EXT / "_engine.pyi").read_text()
    assert set(re.findall(r"def (ot_\w+)\(", stub)) == declared_functions()
    assert set(re.findall(r"^    (OT_\w+): int", stub, flags=re.MULTILINE)) == {
        name for name in dir(lib) if name.startswith("OT_")
    }
