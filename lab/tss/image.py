"""Packs the running checkout (or installation) into a firmware image.

The image is a wheel: unpacked into a slot, that folder on the Python path is the firmware.
Used where no wheel was built; what it holds is what a wheel of the same tree would, and the code
of its modules for the Python that packs it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import py_compile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import PublishError

_FLOORS = ("boot", "c_ext", "drivers", "firmware", "hal")
_SUFFIXES = {".py", ".pyi", ".so", ".yaml", ".typed", ".html", ".css", ".js", ".svg", ".json"}
_EPOCH = (1980, 1, 1, 0, 0, 0)


def pack_firmware(target: Path, *, version: str, source: Path | None = None) -> Path:
    """Write a firmware image.

    Args:
        target: the file to write.
        version: its version.
        source: the folder that holds the floors; that of this package by default.

    Returns:
        ``target``.

    Raises:
        PublishError: the folder holds no floors.
    """
    root = source or Path(__file__).resolve().parents[2]
    files = sorted(_files(root))
    if not files:
        raise PublishError(f"{root} holds none of {', '.join(_FLOORS)}")
    partial = target.with_suffix(".part")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in files:
            name = f"openturret/{path.relative_to(root).as_posix()}"
            _add(archive, name, path.read_bytes())
            if path.suffix == ".py":
                _add(archive, importlib.util.cache_from_source(name), _compiled(path, name))
        for name, text in _metadata(root, version).items():
            _add(archive, f"openturret-{version}.dist-info/{name}", text.encode())
    return partial.replace(target)


def _files(root: Path) -> Iterator[Path]:
    for floor in _FLOORS:
        for path in (root / floor).rglob("*"):
            if path.suffix in _SUFFIXES and "__pycache__" not in path.parts:
                yield path


def _compiled(path: Path, name: str) -> bytes:
    """The code of a module, so that no unit has to compile it; valid for as long as it is there."""
    with tempfile.NamedTemporaryFile(suffix=".pyc") as code:
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(str(path), code.name, name, doraise=True, invalidation_mode=mode)
        return Path(code.name).read_bytes()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)


def _metadata(root: Path, version: str) -> dict[str, str]:
    return {
        "METADATA": f"Metadata-Version: 2.1\nName: openturret\nVersion: {version}\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: openturret\nRoot-Is-Purelib: false\n",
        "entry_points.txt": _entry_points(root),
    }


def _entry_points(root: Path) -> str:
    """The drivers' names: the HAL looks its drivers up by them."""
    project = root / "pyproject.toml"
    if project.is_file():
        groups = tomllib.loads(project.read_text())["project"].get("entry-points", {})
    else:
        found = importlib.metadata.distribution("openturret").entry_points
        groups = {
            group: {point.name: point.value for point in found.select(group=group)}
            for group in found.groups
        }
    return "\n".join(f"[{group}]\n{_lines(points)}" for group, points in groups.items())


def _lines(points: dict[str, str]) -> str:
    return "".join(f"{name} = {value}\n" for name, value in points.items())
