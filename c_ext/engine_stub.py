"""Writes ``_engine.pyi``: what mypy is told about the C that cffi wraps.

    python -m openturret.c_ext.engine_stub        (part of `make docs`)

The public headers are the only source.  An opaque struct ``ot_leg`` becomes ``LegHandle``, an open
one ``ot_leg_stats`` becomes ``LegStats``, an enumerator a class variable of ``_Lib``.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from pycparser import c_ast, c_parser

from .engine_build import declarations

HERE = Path(__file__).parent
PRELUDE = "".join(
    f"typedef {kind} {name};"
    for name, kind in {
        "int8_t": "signed char", "uint8_t": "unsigned char", "int16_t": "short",
        "uint16_t": "unsigned short", "int32_t": "int", "uint32_t": "unsigned",
        "int64_t": "long", "uint64_t": "unsigned long", "size_t": "unsigned long",
    }.items()
)  # fmt: skip
ARRAYS = ("uint8_t", "int16_t", "uint32_t", "int32_t", "uint64_t", "float")
HEAD = '''"""Generated from the public headers by engine_stub.py: do not edit."""

from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar, overload

from _typeshed import ReadableBuffer

T = TypeVar("T")

class CData:
    """An array or pointer of cffi; indexing gives what it points to."""

    def __len__(self) -> int: ...

class Out(CData, Generic[T]):
    """A pointer that a function of the engine fills."""

    def __getitem__(self, index: int) -> T: ...

class Numbers(CData):
    """An array of numbers."""

    def __getitem__(self, index: int) -> int: ...
    def __setitem__(self, index: int, value: int) -> None: ...

'''
FFI = """class _Ffi:
    NULL: Any
    @staticmethod
    def gc(cdata: T, destructor: Callable[[T], None]) -> T: ...
    @staticmethod
    def from_buffer(cdecl: str, python_buffer: ReadableBuffer) -> CData: ...
    @staticmethod
    def string(cdata: CData) -> bytes: ...
    @staticmethod
    def buffer(cdata: CData, size: int = -1) -> memoryview: ...
"""
NEW = """    @overload
    @staticmethod
    def new(cdecl: Literal["{cdecl}"]{init}) -> {result}: ...
"""


class Header:
    """The declarations, sorted by what they are."""

    def __init__(self, text: str) -> None:
        self.structs: dict[str, c_ast.Struct] = {}
        self.opaque: set[str] = set()
        self.constants: list[str] = []
        self.functions: list[c_ast.Decl] = []
        parsed = c_parser.CParser().parse(PRELUDE + re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL))
        for node in parsed.ext:
            self._take(node)

    def _take(self, node: c_ast.Node) -> None:
        inner = node.type
        if isinstance(inner, c_ast.FuncDecl):
            self.functions.append(node)
        elif isinstance(inner, c_ast.Enum):
            self.constants += [each.name for each in inner.values.enumerators]
        elif isinstance(node, c_ast.Typedef) and isinstance(inner.type, c_ast.Enum):
            self.constants += [each.name for each in inner.type.values.enumerators]
        elif isinstance(node, c_ast.Typedef) and isinstance(inner.type, c_ast.Struct):
            if inner.type.decls:
                self.structs[node.name] = inner.type
            else:
                self.opaque.add(node.name)

    def class_of(self, name: str) -> str:
        """Returns the Python name of a struct.

        Raises:
            KeyError: The headers do not declare it.
        """
        camel = "".join(word.title() for word in name.removeprefix("ot_").split("_"))
        if name in self.structs:
            return camel
        if name in self.opaque:
            return f"{camel}Handle"
        raise KeyError(name)

    def _is_struct(self, name: str) -> bool:
        return name in self.structs or name in self.opaque

    def type_of(self, node: c_ast.Node, *, parameter: bool) -> str:
        """Returns how a C type looks from Python."""
        if isinstance(node, c_ast.ArrayDecl):
            return f"list[{self.type_of(node.type, parameter=False)}]"
        if isinstance(node, c_ast.PtrDecl):
            return self._pointer(node.type, parameter=parameter)
        name = node.type.names[-1]
        if self._is_struct(name):
            return self.class_of(name)
        return {"void": "None", "float": "float", "double": "float"}.get(name, "int")

    def _pointer(self, target: c_ast.Node, *, parameter: bool) -> str:
        if isinstance(target, c_ast.PtrDecl):
            return f"Out[{self.class_of(target.type.type.names[-1])}]"
        name = target.type.names[-1]
        if self._is_struct(name):
            return self.class_of(name)
        constant = parameter and "const" in target.quals
        if constant and name == "char":
            return "bytes"
        return "CData | bytes" if constant and name == "uint8_t" else "CData"

    def lines(self) -> Iterator[str]:
        """Writes the whole stub."""
        yield HEAD
        for name in sorted(self.opaque):
            yield f"class {self.class_of(name)}(CData): ...\n"
        for name, struct in self.structs.items():
            yield f"\nclass {self.class_of(name)}(CData):\n"
            for each in struct.decls:
                yield f"    {each.name}: {self.type_of(each.type, parameter=False)}\n"
        yield f"\n{FFI}"
        yield from self._news()
        yield "\nclass _Lib:\n"
        yield from (f"    {name}: int\n" for name in self.constants)
        yield from (self._function(node) for node in self.functions)
        yield "\nffi: _Ffi\nlib: _Lib\n"

    def _news(self) -> Iterator[str]:
        for name in self.structs:
            yield NEW.format(cdecl=f"{name} *", init="", result=self.class_of(name))
        for name in sorted(self.opaque):
            yield NEW.format(cdecl=f"{name} **", init="", result=f"Out[{self.class_of(name)}]")
        for name in ARRAYS:
            init = ", init: int | bytes | list[int]"
            yield NEW.format(cdecl=f"{name}[]", init=init, result="Numbers")
        yield NEW.format(cdecl="char[]", init=", init: bytes", result="CData")

    def _function(self, node: c_ast.Decl) -> str:
        parameters = [
            f"{each.name}_: {self.type_of(each.type, parameter=True)}"
            if each.name in {"in", "from"}
            else f"{each.name}: {self.type_of(each.type, parameter=True)}"
            for each in (node.type.args.params if node.type.args else [])
            if each.name
        ]
        listed = ", ".join([*parameters, "/"] if parameters else [])
        result = self.type_of(node.type.type, parameter=False)
        return f"    @staticmethod\n    def {node.name}({listed}) -> {result}: ...\n"


def stub(folder: Path = HERE) -> str:
    """Returns the text of ``_engine.pyi`` for the headers in a folder."""
    return "".join(Header(declarations(folder)).lines())


if __name__ == "__main__":
    (HERE / "_engine.pyi").write_text(stub())
