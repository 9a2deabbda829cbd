"""A plain `pip install .`: what it holds, what works, what says which extra to install."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

pytestmark = [pytest.mark.network, pytest.mark.slow]

ROOT = Path(__file__).parent.parent
DATA = {
    "openturret/c_ext/_engine.abi3.so",
    "openturret/c_ext/_engine.pyi",
    "openturret/firmware/calls/_library.pyi",
    "openturret/firmware/panel/static/index.html",
    "openturret/firmware/panel/static/panel.css",
    "openturret/firmware/panel/static/panel.js",
    "openturret/hal/boards/board.schema.json",
    "openturret/hal/boards/emulated.yaml",
    "openturret/hal/boards/touchpro.yaml",
    "openturret/lab/delay.c",
    "openturret/lab/pbx/kamailio.cfg",
    "openturret/lab/report/style.css",
}
"""What is not Python source, and what would be missed."""

FOLDERS = ("boot", "c_ext", "drivers", "firmware", "hal", "lab")


def sources(target: Path) -> Path:
    """A copy of what git would hand to a stranger, so that nothing is built into the checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, listed):
        if name.startswith(("tests/", ".pkg/")) or not (ROOT / name).is_file():
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target / name)
    return target


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(folder)]
    done = subprocess.run(
        [*command, str(sources(folder / "source"))], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The `bin` folder of an environment with the wheel and its own requirements, no extra."""
    folder = tmp_path_factory.mktemp("plain")
    venv.create(folder, with_pip=True, symlinks=True)
    done = subprocess.run(
        [str(folder / "bin" / "python"), "-m", "pip", "install", str(wheel)],
        capture_output=True, text=True, check=False, env=bare_environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    yield folder / "bin"
    shutil.rmtree(folder)


def bare_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def turret(installed: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(installed / "turret"), *words],
        capture_output=True, text=True, check=False, cwd=cwd, env=bare_environment(), timeout=60,
    )  # fmt: skip


def metadata(wheel: Path, name: str) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        path = next(item for item in archive.namelist() if item.endswith(f".dist-info/{name}"))
        return Parser().parsestr(archive.read(path).decode())


def test_the_wheel_holds_everything_that_is_not_python(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert names >= DATA | {f"openturret/{folder}/py.typed" for folder in FOLDERS}
    assert not any(name.endswith((".c", ".h", ".o", ".pyc")) for name in names - DATA)


def test_the_wheel_holds_every_python_source(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        shipped = set(archive.namelist())
    wanted = {
        f"openturret/{path.relative_to(ROOT).as_posix()}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if (path.parent / "__init__.py").exists()
    }
    assert wanted - shipped == set()


def test_one_wheel_serves_every_python_from_3_11_on(wheel: Path) -> None:
    assert "-cp311-abi3-" in wheel.name
    assert metadata(wheel, "METADATA")["Requires-Python"] == ">=3.11"


def test_the_metadata_says_licence_page_and_extras(wheel: Path) -> None:
    said = metadata(wheel, "METADATA")
    assert said["License-Expression"] == "GPL-2.0-or-later"
    assert said["Description-Content-Type"] == "text/markdown"
    assert str(said.get_payload()).startswith("# OpenTurret")
    assert set(said.get_all("Provides-Extra", [])) == {
        "unit",
        "rauc",
        "rig",
        "labgrid",
        "flash",
        "bench",
        "dev",
    }


@pytest.mark.parametrize(
    "name",
    [
        "hal.board",
        "hal.registry",
        "drivers.oldcb",
        "drivers.emulated.hardware",
        "c_ext.engine",
        "lab.tools",
        "firmware.matrix.matrix",
    ],
)
def test_hal_drivers_engine_and_tools_import(installed: Path, tmp_path: Path, name: str) -> None:
    done = subprocess.run(
        [str(installed / "python"), "-c", f"import openturret.{name}"],
        capture_output=True, text=True, check=False, cwd=tmp_path, env=bare_environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "words", [("--help",), ("ports",), ("config", "list"), ("matrix", "--help")]
)
def test_what_needs_no_extra_works(installed: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    done = turret(installed, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 5


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (("run", "--state", "state"), "unit"),
        (("boot", "--state", "state", "--factory", "factory", "--interface", "eth0"), "unit"),
        (("bench", "up"), "bench"),
        (("demo",), "dev"),
    ],
)
def test_what_needs_an_extra_says_which(
    installed: Path, tmp_path: Path, words: tuple[str, ...], extra: str
) -> None:
    done = turret(installed, *words, cwd=tmp_path)
    assert done.returncode == 3
    assert f"openturret[{extra}]" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
