from __future__ import annotations

import signal
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from openturret.lab.rig._labgrid import Place
from openturret.lab.rig.lease import TAG, Leases

if TYPE_CHECKING:
    from tests.rig.conftest import Rig

TOKEN = "W7HQ2IFN0E"


def held(beat: int, *, token: str = TOKEN, reservation: str | None = TOKEN) -> dict[str, Place]:
    tags = {TAG: f"{token.lower()}_{beat}"}
    place = SimpleNamespace(name="desk", acquired="a/b", reservation=reservation, tags=tags)
    return {"desk": cast(Place, place)}


def test_a_lease_expires_when_it_stands_still() -> None:
    leases = Leases(lease_s=20.0)
    assert leases.expired(held(1), 100.0) == []
    assert leases.expired(held(1), 120.0) == []
    assert [place.name for place in leases.expired(held(1), 120.1)] == ["desk"]


def test_a_lease_that_is_renewed_does_not_expire() -> None:
    leases = Leases(lease_s=20.0)
    assert [leases.expired(held(beat), 19.0 * beat) for beat in range(9)] == [[]] * 9


def test_a_place_that_was_acquired_by_hand_is_left_alone_whatever_tag_it_kept() -> None:
    leases = Leases(lease_s=20.0)
    by_hand = held(1, reservation=None)
    by_another = held(1, reservation="AAAAAAAAAA")
    for places in (by_hand, by_another, {}):
        leases.expired(places, 0.0)
        assert leases.expired(places, 100.0) == []


def test_the_next_holder_begins_anew() -> None:
    leases = Leases(lease_s=20.0)
    leases.expired(held(1), 0.0)
    assert leases.expired(held(1, token="NEXT", reservation="NEXT"), 100.0) == []


def words(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "openturret.lab.cli", "rig", *arguments]


def hold(*arguments: str) -> list[str]:
    return words("hold", "--beat-s", "0.3", *arguments)


@pytest.mark.bench
def test_a_command_finds_its_place_and_its_status_is_passed_on(rig: Rig) -> None:
    script = "import os, sys; print('at', os.environ['LG_PLACE']); sys.exit(7)"
    done = rig.run(*hold("name=touchpro-2", "--", sys.executable, "-c", script))
    assert (done.returncode, done.stdout) == (7, "at touchpro-2\n")
    assert rig.is_free("touchpro-2")
    assert rig.client("reservations") == ""


@pytest.mark.bench
def test_a_holder_that_is_asked_to_stop_lets_go(rig: Rig) -> None:
    script = "print('here', flush=True); import signal; signal.pause()"
    command = hold("name=touchpro-2", "--", sys.executable, "-c", script)
    with rig.running(*command) as holder:
        holder.wait_for("here")
        assert not rig.is_free("touchpro-2")
    assert rig.is_free("touchpro-2")


@pytest.mark.bench
def test_a_place_comes_back_by_itself_when_its_holder_is_killed(rig: Rig) -> None:
    script = "print('here', flush=True); import sys; sys.stdin.read()"
    command = hold("name=touchpro-2", "--", sys.executable, "-c", script)
    with rig.running(*words("janitor", "--lease-s", "1.5")) as watching:
        watching.wait_for("watching the places")
        with rig.running(*command) as holder:
            holder.wait_for("here")
            holder.process.send_signal(signal.SIGKILL)
            watching.wait_for("took touchpro-2 back")
    assert rig.is_free("touchpro-2")
    assert rig.client("reservations") == ""


@pytest.mark.bench
def test_a_place_whose_exporter_is_gone_is_not_given_out(rig: Rig) -> None:
    rig.client("-p", "ghost", "create")
    rig.client("-p", "ghost", "add-match", "nobody/nowhere/*")
    done = rig.run(*hold("name=ghost", "--", "true"))
    assert done.returncode == 1
    assert "nobody/nowhere/* has no matching remote resource" in done.stderr
    assert rig.client("reservations") == ""
    rig.client("-p", "ghost", "delete")


@pytest.mark.bench
def test_a_coordinator_that_does_not_answer_is_named(rig: Rig) -> None:
    done = rig.run(*hold("--coordinator", "127.0.0.1:9", "name=desk", "--", "true"))
    assert done.returncode == 1
    assert "no coordinator at 127.0.0.1:9" in done.stderr
