"""docs/build-a-rig.md holds: the lines that follow those that the fixture runs, as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from openturret.lab.rig import classes

if TYPE_CHECKING:
    from tests.rig.conftest import Rig

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "build-a-rig.md").read_text(encoding="utf-8")
ENVIRONMENTS = ROOT / "lab" / "rig" / "environments"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LIMIT_S = 300.0


def blocks(kind: str) -> list[str]:
    return [body for found, body in BLOCK.findall(DOCUMENT) if found == kind]


@pytest.mark.bench
def test_the_first_test_calls_from_a_place_that_was_reserved(rig: Rig) -> None:
    (rig.folder / "test_first.py").write_text(blocks("python")[0])
    said = rig.do(blocks("bash")[2])
    assert "1 passed" in said
    assert rig.is_free("touchpro-1")
    assert rig.is_free("touchpro-2")


@pytest.mark.bench
def test_a_unit_is_worked_by_hand(rig: Rig) -> None:
    said = [rig.do(line) for line in blocks("bash")[3].splitlines()]
    assert "acquired place touchpro-1" in said[0]
    assert said[1].rstrip().endswith("is on")
    assert rig.is_free("touchpro-1")


@pytest.mark.bench
def test_the_contract_runs_at_a_place(rig: Rig) -> None:
    line = blocks("bash")[4].splitlines()[-1]
    said = rig.do(line.replace("tests/contract", f"{ROOT}/tests/contract"), limit_s=LIMIT_S)
    passed = re.search(r"(\d+) passed", said)
    assert passed is not None
    assert int(passed[1]) > 50
    assert "skipped" not in said
    assert rig.is_free("board-1")


@pytest.mark.parametrize("file", sorted(ENVIRONMENTS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_environment_names_drivers_that_there_are(file: Path) -> None:
    for target in environment(file)["targets"].values():
        ours = {name for name in target["drivers"] if name != "NetworkPowerDriver"}
        assert ours <= set(classes.__all__)


def test_every_resource_and_driver_has_its_row() -> None:
    rows = "\n".join(line for line in DOCUMENT.splitlines() if line.startswith("| "))
    unnamed = {name for name in classes.__all__ if f"`{name}`" not in rows}
    assert unnamed == {"NetworkUSBHandset", "TurretStrategy"}


def environment(file: Path) -> dict[str, dict[str, dict[str, dict[str, object]]]]:
    """An environment as it stands, its templates left alone."""
    text = file.read_text().replace("!template ", "")
    found: dict[str, dict[str, dict[str, dict[str, object]]]] = yaml.safe_load(text)
    return found
