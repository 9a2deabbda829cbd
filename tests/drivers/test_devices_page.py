"""docs/devices.md is what the code says."""

import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from openturret.drivers import devices_page
from openturret.hal.board import Capability, DeviceType
from openturret.hal.board_keys import MATCH_KEYS
from openturret.hal.registry import GROUP

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DRIVERS = [
    EntryPoint(name=name, value=value, group=GROUP)
    for name, value in PROJECT["entry-points"][GROUP].items()
]


def test_the_page_is_current() -> None:
    shown = (ROOT / "docs" / "devices.md").read_text(encoding="utf-8")
    assert shown == devices_page.page(DRIVERS), "run: make docs"


def test_every_type_capability_key_and_driver_has_its_row() -> None:
    page = devices_page.page(DRIVERS)
    rows = [*DeviceType, *Capability, *MATCH_KEYS, *{d.name.partition(".")[0] for d in DRIVERS}]
    assert all(f"\n| `{row}` | " in page for row in rows)


def test_a_driver_says_what_it_reaches_and_which_extra_it_needs() -> None:
    page = devices_page.page(DRIVERS)
    usb = next(line for line in page.splitlines() if line.startswith("| `usb` |"))
    assert "yes [rig]" in usb
    assert usb.endswith(
        "| Real USB devices: what is plugged in, and the telephony devices among it |"
    )
    assert '| text like `"1-1.2"` | any | Bus and port path on USB' in page
    assert "| `frame_ms` | 10, 20 | 20 |" in page


def test_a_stale_page_is_named_and_then_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert devices_page.main([str(tmp_path), "--check"], DRIVERS) == 1
    assert "devices.md: out of date" in capsys.readouterr().out
    assert devices_page.main([str(tmp_path)], DRIVERS) == 0
    assert devices_page.main([str(tmp_path), "--check"], DRIVERS) == 0
