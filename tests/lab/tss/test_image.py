from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from openturret.lab.errors import PublishError
from openturret.lab.tss import pack_firmware


def test_an_image_holds_the_floors_of_a_unit_and_nothing_of_the_bench(tmp_path: Path) -> None:
    image = pack_firmware(tmp_path / "image.whl", version="9.9.9")
    names = zipfile.ZipFile(image).namelist()
    assert "openturret/hal/handset.py" in names
    assert "openturret-9.9.9.dist-info/entry_points.txt" in names
    assert not [name for name in names if name.startswith(("openturret/lab", "openturret/tests"))]


def test_an_unpacked_image_runs_from_its_slot(tmp_path: Path) -> None:
    image = pack_firmware(tmp_path / "image.whl", version="9.9.9")
    zipfile.ZipFile(image).extractall(tmp_path / "slot")
    program = "import openturret.hal as hal; print(hal.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(tmp_path / "slot")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(tmp_path / "slot"))


def test_the_same_tree_makes_the_same_image(tmp_path: Path) -> None:
    first = pack_firmware(tmp_path / "first.whl", version="1.0.0")
    second = pack_firmware(tmp_path / "second.whl", version="1.0.0")
    assert first.read_bytes() == second.read_bytes()


def test_an_empty_folder_makes_no_image(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="holds none of boot"):
        pack_firmware(tmp_path / "image.whl", version="1.0.0", source=tmp_path)


def test_the_code_of_every_module_is_in_it_and_runs(tmp_path: Path) -> None:
    packed = pack_firmware(tmp_path / "image.whl", version="1.0")
    with zipfile.ZipFile(packed) as image:
        names = set(image.namelist())
        image.extractall(tmp_path / "slot")
    modules = {name for name in names if name.endswith(".py")}
    assert {cache_from_source(name) for name in modules} <= names
    source = tmp_path / "slot" / "openturret" / "hal" / "backoff.py"
    source.write_text("no python\n")
    code = "import openturret.hal.backoff as used; print(used.__file__)"
    ran = subprocess.run(
        [sys.executable, "-S", "-c", code], env={"PYTHONPATH": str(tmp_path / "slot")},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.stdout.strip() == str(source)
