"""Describes the media engine to cffi; setuptools runs this while building.

Run as a script it builds the module in place, beside this file.  Two variables are read:
``OPENTURRET_SANITIZE`` (such as ``address,undefined``) builds with sanitizers, and
``OPENTURRET_WERROR`` turns warnings of our own C into errors.
"""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from cffi import FFI

# setuptools executes this file with __file__ relative to the repository root and wants the
# sources so; as a script we compile in another folder and need them absolute.
HERE = Path(__file__).resolve().parent if __name__ == "__main__" else Path(__file__).parent
SANITIZE = os.environ.get("OPENTURRET_SANITIZE", "")
WERROR = os.environ.get("OPENTURRET_WERROR", "")
LIBRARIES = ["m", "opus", "spandsp", "speexdsp", "srtp2"]
BEGIN, END = "/* cdef: begin", "/* cdef: end */"


def public_headers(folder: Path = HERE) -> list[Path]:
    """Returns the headers that declare something for Python, each after those it includes."""
    found: list[Path] = []
    for path in sorted(folder.glob("*.h")):
        _add_header(path, found)
    return [path for path in found if BEGIN in path.read_text()]


def _add_header(path: Path, found: list[Path]) -> None:
    if path in found or not path.exists():
        return
    for included in re.findall(r'^#include "(.+)"', path.read_text(), flags=re.MULTILINE):
        _add_header(path.parent / included, found)
    found.append(path)


def declarations(folder: Path = HERE) -> str:
    """Returns the parts of a folder's public headers that cffi understands."""
    texts = (path.read_text() for path in public_headers(folder))
    parts = (text.partition(BEGIN)[2].partition(END)[0] for text in texts)
    return "\n".join(f"/*{part}" for part in parts)


def compile_flags() -> list[str]:
    """Returns the compiler's flags for this environment."""
    flags = ["-O3", "-std=gnu11", "-ffp-contract=off", "-fvisibility=hidden", "-Wall", "-Wextra"]
    flags += ["-Werror"] if WERROR else []
    if SANITIZE:
        flags += ["-O1", "-g", f"-fsanitize={SANITIZE}", "-fno-sanitize-recover=all"]
        flags += ["-fno-omit-frame-pointer", "-fno-wrapv"]
    return flags


def builder() -> FFI:
    """Returns what cffi compiles; setuptools calls this.  The sources are beside this file."""
    made = FFI()
    made.cdef(declarations())
    made.set_source(
        "openturret.c_ext._engine",
        "\n".join(f'#include "{header.name}"' for header in public_headers()),
        sources=[source.as_posix() for source in sorted(HERE.glob("[!_]*.c"))],
        include_dirs=[HERE.as_posix()],
        depends=[header.as_posix() for header in sorted(HERE.glob("*.h"))],
        define_macros=[("_GNU_SOURCE", "1")],
        libraries=LIBRARIES,
        extra_compile_args=compile_flags(),
        extra_link_args=[f"-fsanitize={SANITIZE}"] if SANITIZE else [],
        py_limited_api=True,
    )
    return made


def build_into(folder: Path) -> Path:
    """Compiles the module and leaves only ``_engine.abi3.so`` in `folder`."""
    with tempfile.TemporaryDirectory() as build:
        built = builder().compile(build, target="openturret/c_ext/_engine.abi3.so")
        target = folder / "_engine.abi3.so"
        partial = target.with_suffix(".partial")
        shutil.copy2(built, partial)
        partial.replace(target)
    return target


if __name__ == "__main__":
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    sys.stdout.write(f"{build_into(where)}\n")
