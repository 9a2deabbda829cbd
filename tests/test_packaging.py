"""The package list in pyproject.toml must match the folders on disk."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("boot", "c_ext", "drivers", "firmware", "hal", "lab")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_folder_with_an_init_is_shipped() -> None:
    shipped = set(PROJECT["tool"]["setuptools"]["packages"])
    found = {
        ".".join(("openturret", *init.parent.relative_to(ROOT).parts))
        for folder in FOLDERS
        for init in (ROOT / folder).rglob("__init__.py")
    }
    assert shipped == found


@pytest.mark.parametrize("folder", FOLDERS)
def test_static_tools_see_every_folder(folder: str) -> None:
    assert (ROOT / ".pkg" / "openturret" / folder).resolve() == ROOT / folder


def test_every_driver_entry_point_names_a_module_that_is_there() -> None:
    drivers = PROJECT["project"]["entry-points"]["openturret.drivers"]
    modules = {value.partition(":")[0].removeprefix("openturret.") for value in drivers.values()}
    missing = {
        module
        for module in modules
        if not (ROOT / f"{module.replace('.', '/')}.py").exists()
        and not (ROOT / module.replace(".", "/") / "__init__.py").exists()
    }
    assert drivers
    assert not missing


def test_the_panel_ships_its_page() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["openturret.firmware.panel"]
    shipped = {path for pattern in patterns for path in (ROOT / "firmware/panel").glob(pattern)}
    assert {path.name for path in shipped} >= {"index.html", "panel.css", "panel.js"}


@pytest.mark.parametrize(
    "module", ["openturret.lab.cli", "openturret.firmware.config.cli", "openturret.hal.registry"]
)
def test_a_plain_installation_can_import_the_tools(module: str) -> None:
    extras = ("aiohttp", "cryptography", "numpy", "pjsua2", "sqlalchemy", "tuf")
    program = f"import sys\nfor name in {extras!r}: sys.modules[name] = None\nimport {module}\n"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
