"""The sequence itself, apart from what any device does."""

import logging

import pytest

from openturret.drivers.errors import FlashRefusedError
from openturret.drivers.flash.firmware import Firmware
from openturret.drivers.flash.flashing import Count, Orders, Progress, Result, Running, flash_all
from openturret.drivers.flash.version import Version

from .conftest import NEW, OLD, SimulatedPace


class Unit:
    """Does what it is told, unless it is to fail; keeps what it was asked."""

    def __init__(self, name: str, fault: Exception | None = None) -> None:
        self.name = name
        self.asked: list[str] = []
        self._fault = fault
        self._version = OLD

    def inspect(self, _firmware: Firmware) -> Running:
        self.asked.append("inspect")
        return Running(self._version)

    def detach(self) -> None:
        self.asked.append("detach")

    def erase(self) -> None:
        self.asked.append("erase")
        if self._fault is not None:
            raise self._fault

    def write(self, data: bytes, count: Count) -> None:
        self.asked.append("write")
        count(len(data))

    def verify(self, data: bytes, count: Count) -> None:
        self.asked.append("verify")
        count(len(data))

    def reboot(self) -> None:
        self.asked.append("reboot")
        self._version = NEW

    def confirm(self) -> Running:
        self.asked.append("confirm")
        return Running(self._version)

    def release(self) -> None:
        self.asked.append("release")


def silent(_progress: Progress) -> None:
    """Tells nobody."""


def test_every_unit_goes_through_all_phases_and_is_let_go(
    new: Firmware, pace: SimulatedPace
) -> None:
    units = [Unit(f"1-{number}") for number in range(1, 9)]
    outcomes = [future.result() for future in flash_all(units, new, pace, silent, Orders())]
    assert [(each.unit, each.result) for each in outcomes] == [
        (unit.name, Result.FLASHED) for unit in units
    ]
    phases = ["inspect", "detach", "erase", "write", "verify", "reboot", "confirm", "release"]
    assert all(unit.asked == phases for unit in units)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (FlashRefusedError("the device says no"), "the device says no"),
        (OSError(5, "input/output error"), "input/output error"),
        (ZeroDivisionError("ours"), "ZeroDivisionError: ours"),
    ],
)
def test_a_fault_of_any_kind_is_the_outcome_of_its_unit_alone(
    new: Firmware,
    pace: SimulatedPace,
    caplog: pytest.LogCaptureFixture,
    fault: Exception,
    words: str,
) -> None:
    units = [Unit("1-1"), Unit("1-2", fault), Unit("1-3")]
    caplog.set_level(logging.CRITICAL)
    outcomes = [future.result() for future in flash_all(units, new, pace, silent, Orders())]
    assert [each.result for each in outcomes] == [Result.FLASHED, Result.FAILED, Result.FLASHED]
    assert words in outcomes[1].error
    assert (outcomes[1].before, outcomes[1].running) == (OLD, None)
    assert units[1].asked[-2:] == ["erase", "release"]


def test_a_build_number_does_not_count_where_it_cannot_be_read_back(
    new: Firmware, pace: SimulatedPace
) -> None:
    unit = Unit("1-1")
    unit.reboot()
    [future] = flash_all([unit], new, pace, silent, Orders())
    assert future.result().result is Result.CURRENT
    assert Version(1, 1, 0, 7) > NEW
