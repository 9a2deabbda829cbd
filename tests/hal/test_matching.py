from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.hal import UsbDevice
from openturret.hal.board import DEFAULTS, Board, DeviceSpec, DeviceType
from openturret.hal.errors import MatchError
from openturret.hal.hardware import port_order
from openturret.hal.matching import Assignment, Finding, assign, find

LEFT = UsbDevice(0x1209, 0x7701, "1-1", serial="TP-0001")
RIGHT = UsbDevice(0x1209, 0x7701, "1-2", serial="TP-0002")
PHONE = UsbDevice(0x1209, 0x7702, "1-3")


def spec(position: str = "handset-left", /, **match: str | int) -> DeviceSpec:
    kind = DeviceType.HANDSET
    return DeviceSpec(position, kind, "usb", match, DEFAULTS[kind])


def board(*specs: DeviceSpec) -> Board:
    return Board("x", {each.position: each for each in specs})


HANDSETS = (
    spec("handset-left", vid=0x1209, pid=0x7701, port="1-1"),
    spec("handset-right", vid=0x1209, pid=0x7701, port="1-2"),
)


def took(found: Assignment) -> dict[str, str]:
    return {each.spec.position: each.device.port for each in found.verdicts if each.device}


@pytest.mark.parametrize(
    ("match", "port"),
    [
        ({"vid": 0x1209, "pid": 0x7701, "port": "1-2"}, "1-2"),
        ({"vid": 0x1209, "pid": 0x7701, "serial": "TP-0001"}, "1-1"),
        ({"vid": 0x1209, "pid": 0x7702}, "1-3"),
        ({"serial": "TP-0002"}, "1-2"),
        ({"port": "1-3"}, "1-3"),
        ({"vid": 0x1209, "pid": 0x7702, "name": "Handset 1"}, "1-3"),
    ],
)
def test_the_one_device_that_agrees_in_everything_is_found(
    match: dict[str, str | int], port: str
) -> None:
    assert find(spec(**match), [RIGHT, PHONE, LEFT]).port == port


@pytest.mark.parametrize(
    ("match", "says"),
    [
        ({"vid": 0x1209, "pid": 0x7701, "port": "1-9"},
         r"handset-left: 1209:7701 TP-0001 on 1-1: it has port 1-1, the board says port 1-9\. "
         r"1209:7701 TP-0002 on 1-2: .*; plug it into the port of the board, or correct"),
        ({"vid": 0x1209, "pid": 0x7702, "serial": "A"},
         "it has serial none, the board says serial A; plug in the unit of that serial"),
        ({"vid": 0x046D, "pid": 0x0A44, "port": "1-3"},
         "1209:7702 on 1-3: it has vid 0x1209 pid 0x7702, the board says vid 0x046d pid 0x0a44; "
         "plug in the device of the board, or correct vid and pid there"),
        ({"vid": 0x046D, "pid": 0x0A44},
         "nothing that is plugged in has vid 0x046d pid 0x0a44; plug it in"),
        ({"vid": 0x1209, "pid": 0x7701},
         r"2 devices answer: 1209:7701 TP-0001 on 1-1, 1209:7701 TP-0002 on 1-2; "
         r'add its port to the match, as in port: "1-1"'),
        ({"socket": "/run/x"}, "does not look for it on USB; give its match vid and pid"),
        ({"url": "/dev/ttyACM0", "serial": "TP-0001"}, "does not look for it on USB"),
        ({}, "does not look for it on USB"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_the_difference_and_a_remedy(
    match: dict[str, str | int], says: str
) -> None:
    with pytest.raises(MatchError, match=says) as caught:
        find(spec(**match), [LEFT, RIGHT, PHONE])
    assert caught.value.remedy


def test_identical_handsets_are_told_apart_by_their_ports() -> None:
    found = assign(board(*HANDSETS), [RIGHT, LEFT])
    assert took(found) == {"handset-left": "1-1", "handset-right": "1-2"}
    assert found.spares == ()


def test_a_handset_in_the_wrong_port_is_left_with_the_reason() -> None:
    found = assign(board(*HANDSETS), [LEFT, replace(RIGHT, port="1-4")])
    right = found.verdicts[1]
    assert (right.finding, right.device) == (Finding.MISSING, None)
    assert "TP-0002 on 1-4: it has port 1-4, the board says port 1-2" in right.reason
    assert [(each.device.port, each.reason) for each in found.spares] == [
        ("1-4", "handset-right: the board says port 1-2")
    ]


def test_a_device_that_two_positions_ask_for_is_given_to_neither() -> None:
    twice = board(spec("handset-left", port="1-1"), spec("handset-right", serial="TP-0001"))
    found = assign(twice, [LEFT])
    assert {each.finding for each in found.verdicts} == {Finding.AMBIGUOUS}
    assert "1209:7701 TP-0001 on 1-1 answers to handset-right too" in found.verdicts[0].reason
    assert found.spares[0].reason == (
        "ambiguous: it is not the only one for handset-left, handset-right"
    )


def test_a_device_that_nobody_asks_for_is_named() -> None:
    found = assign(board(*HANDSETS), [UsbDevice(0x046D, 0xC077, "1-8")])
    assert found.spares[0].reason == "no position of the board asks for it"


def test_a_position_that_is_not_on_usb_is_left_to_its_driver() -> None:
    found = assign(board(spec(socket="/run/x")), [LEFT])
    assert [each.finding for each in found.verdicts] == [Finding.ELSEWHERE]


def test_a_long_row_of_alike_devices_is_named_in_part() -> None:
    many = [replace(LEFT, port=f"1-{number}") for number in range(1, 12)]
    with pytest.raises(MatchError, match=r"11 devices answer: .*on 1-1, .*on 1-2, .*and 8 more"):
        find(spec(vid=0x1209, pid=0x7701), many)


def test_only_what_differs_least_is_named() -> None:
    wanted = spec(vid=0x1209, pid=0x7701, serial="TP-0001", port="1-3")
    with pytest.raises(MatchError) as caught:
        find(wanted, [LEFT, RIGHT, PHONE])
    assert str(caught.value) == (
        "handset-left: 1209:7701 TP-0001 on 1-1: it has port 1-1, the board says port 1-3; "
        "plug it into the port of the board, or correct the board's port"
    )


def test_ports_are_sorted_as_people_count() -> None:
    ports = ["2-1", "1-10", "1-2.10", "1-2", "1-2.9"]
    assert sorted(ports, key=port_order) == ["1-2", "1-2.9", "1-2.10", "1-10", "2-1"]


PORTS = st.sampled_from(["1-1", "1-2", "1-2.1", "2-1"])
SERIALS = st.sampled_from(["", "A", "B"])
PIDS = st.sampled_from([0x7701, 0x7702])
DEVICES = st.lists(
    st.builds(UsbDevice, st.just(0x1209), PIDS, PORTS, SERIALS),
    max_size=4,
    unique_by=lambda device: device.port,
)
MATCHES = st.fixed_dictionaries(
    {},
    optional={
        "vid": st.just(0x1209), "pid": PIDS, "port": PORTS, "serial": st.sampled_from(["A", "B"])
    },
)  # fmt: skip


@given(DEVICES, st.lists(MATCHES, min_size=1, max_size=4), st.randoms())
def test_the_order_in_which_devices_are_listed_never_matters(
    present: Sequence[UsbDevice], matches: Sequence[dict[str, str | int]], rng: Random
) -> None:
    described = board(*(spec(f"handset-{n}", **match) for n, match in enumerate(matches)))
    shuffled = list(present)
    rng.shuffle(shuffled)
    assert assign(described, shuffled) == assign(described, present)


@given(DEVICES, st.lists(MATCHES, min_size=1, max_size=4))
def test_every_device_is_taken_once_or_left_and_every_taker_had_no_choice(
    present: Sequence[UsbDevice], matches: Sequence[dict[str, str | int]]
) -> None:
    described = board(*(spec(f"handset-{n}", **match) for n, match in enumerate(matches)))
    found = assign(described, present)
    taken = [each.device for each in found.verdicts if each.device]
    left = [each.device for each in found.spares]
    assert sorted(device.port for device in (*taken, *left)) == sorted(d.port for d in present)
    for verdict in found.verdicts:
        wanted = verdict.spec.match
        answering = [d for d in present if all(getattr(d, k) == v for k, v in wanted.items())]
        if verdict.device:
            assert answering == [verdict.device]
            assert not verdict.reason
        else:
            assert verdict.reason
            assert verdict.remedy


@given(DEVICES, MATCHES)
def test_what_is_found_alone_is_what_a_board_of_one_position_takes(
    present: Sequence[UsbDevice], match: dict[str, str | int]
) -> None:
    verdict = assign(board(spec(**match)), present).verdicts[0]
    if verdict.device:
        assert find(spec(**match), present) == verdict.device
        return
    with pytest.raises(MatchError) as caught:
        find(spec(**match), present)
    assert str(caught.value) == f"handset-left: {verdict.reason}; {verdict.remedy}"
