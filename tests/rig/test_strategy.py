"""The strategy at a unit of the floor, through a place that is acquired."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from openturret.lab.listening import compare
from openturret.lab.rig._labgrid import StrategyError, Target
from openturret.lab.rig.classes import (
    EmulatedHandDriver,
    TurretStrategy,
    UnitPanelDriver,
    UnitPowerDriver,
)
from openturret.lab.rig.strategy import Status
from openturret.lab.speech import make_all

if TYPE_CHECKING:
    from tests.rig.conftest import Rig

pytestmark = pytest.mark.bench


def drivers(*, user: str = "alice", number: str = "2001") -> dict[str, dict[str, str]]:
    return {
        "UnitPowerDriver": {},
        "UnitPanelDriver": {"user": user, "password": "correct horse"},
        "EmulatedHandDriver": {},
        "TurretStrategy": {"number": number},
    }


@pytest.fixture
def target(rig: Rig, place: str) -> Iterator[Target]:
    with rig.target(place, drivers()) as found:
        yield found


def strategy_of(target: Target) -> TurretStrategy:
    return target.get_driver(TurretStrategy, activate=False)


def test_a_unit_climbs_to_a_call_and_the_far_end_is_heard(target: Target, tmp_path: Path) -> None:
    strategy = strategy_of(target)
    strategy.transition("in-call")
    assert strategy.status is Status.IN_CALL
    heard = tmp_path / "heard.wav"
    target.get_driver(EmulatedHandDriver).listen(heard, seconds=6.0)
    called, other = (
        compare(make_all()[party], heard).correlation for party in ("party-2001", "party-2002")
    )
    assert called > 2 * other, "it is not the voice of 2001, however busy this machine is"
    strategy.transition("off")


def test_each_rung_leads_down_again(target: Target) -> None:
    strategy, panel = strategy_of(target), target.get_driver(UnitPanelDriver)
    strategy.transition("in-call")
    strategy.transition("registered")
    assert panel.situation().startswith("its panel shows Alice Martin, 2 of 2 registrations")
    assert "handset" not in panel.situation()
    strategy.transition("booted")
    assert panel.situation() == "its panel answers; this session is not logged in"
    strategy.transition("off")
    assert "does not answer" in panel.situation()


def test_a_power_cycle_ends_a_call_and_the_unit_comes_back(target: Target) -> None:
    strategy, panel = strategy_of(target), target.get_driver(UnitPanelDriver)
    power = target.get_driver(UnitPowerDriver)
    strategy.transition("in-call")
    power.cycle()
    assert power.get()
    assert "does not answer" in panel.situation()
    panel.wait_until_up()
    assert "handset-left connected" not in panel.situation()
    strategy.force("booted")
    strategy.transition("off")
    assert not power.get()


def test_power_is_switched_as_often_as_one_likes(target: Target) -> None:
    power = target.get_driver(UnitPowerDriver)
    power.off()
    power.off()
    power.on()
    power.on()
    assert power.get()
    power.off()


def test_a_number_that_nobody_has_is_told_with_the_step_and_what_the_panel_shows(
    rig: Rig, place: str
) -> None:
    with rig.target(place, drivers(number="2999")) as target:
        strategy = strategy_of(target)
        with pytest.raises(StrategyError) as refused:
            strategy.transition("in-call")
        assert strategy.status is Status.UNKNOWN
        strategy.transition("off")
    assert "registered → in-call failed at calling 2999: 2999 answered 404" in refused.value.msg
    assert "2 of 2 registrations" in refused.value.msg


def test_a_user_whom_the_directory_refuses_is_told(rig: Rig, place: str) -> None:
    with rig.target(place, drivers(user="mallory")) as target:
        strategy = strategy_of(target)
        with pytest.raises(StrategyError, match="booted → registered failed at logging in"):
            strategy.transition("registered")
        strategy.transition("off")


def test_a_state_that_is_none_is_refused(target: Target) -> None:
    with pytest.raises(StrategyError, match="no state 'flying'; there are off, booted"):
        strategy_of(target).transition("flying")
