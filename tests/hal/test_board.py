from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.hal import board
from openturret.hal.board import Capability, DeviceType, load_board, parse_board
from openturret.hal.errors import BoardError

MINIMAL = """board: touchpro
devices:
  handset-left:
    type: handset
    driver: emulated
    match: {vid: 0x1209, pid: 0x7701, port: "1-1"}
"""
FLEXPRO = (Path(board.__file__).parent / "boards" / "flexpro.yaml").read_text()


def test_a_device_is_read_with_its_match_and_its_types_capabilities() -> None:
    device = parse_board(MINIMAL.encode()).devices["handset-left"]
    assert device.type is DeviceType.HANDSET
    assert dict(device.match) == {"vid": 0x1209, "pid": 0x7701, "port": "1-1"}
    assert Capability.HOOK in device.capabilities
    assert Capability.KEYS not in device.capabilities
    assert device.frame_ms == 20


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("type: handset", "type: hand", 4, "use one of gooseneck, handset"),
        ("driver: emulated", "drivr: emulated", 5, "unknown key 'drivr'.*known keys are"),
        ("driver: emulated", "type: handset", 5, "stands twice; keep one"),
        ("driver: emulated", "driver: 12", 5, "driver is not text; put it in quotes"),
        ("driver: emulated", "driver: on", 5, "a bool stands where"),
        ("driver: emulated", "driver: [emulated]", 5, "a seq stands where"),
        ("    driver: emulated\n", "", 4, "key 'driver' is missing; add it"),
        ("handset-left", "Handset Left", 3, "is not a name; use small letters"),
        ("match: {", "match: [", 6, "not YAML"),
        ("match: {", "capabilities: [keys]\n    match: {", 6, "a handset has no keys"),
        ("match: {", "frame_ms: 15\n    match: {", 6, "frame_ms 15 is not possible; use 10"),
        ("board: touchpro", "board: &a touchpro", 1, "anchors and aliases are refused"),
        ("board: touchpro", "bord: touchpro", 1, "unknown key 'bord'"),
    ],
)
def test_a_mistake_is_refused_with_its_line_and_a_remedy(
    old: str, new: str, line: int, says: str
) -> None:
    with pytest.raises(BoardError, match=says) as caught:
        parse_board(MINIMAL.replace(old, new).encode())
    assert caught.value.line == line


@pytest.mark.parametrize(
    "text",
    [b"", b"- a", b"a", b"board: x", b"devices: {}", b"\xff\xfe\x00", b"a: \x00", b"[" * 60_000,
     b"board: !!python/object/apply:os.system [true]\ndevices: {}", b"#" * 70_000],
)  # fmt: skip
def test_what_is_not_a_board_is_refused(text: bytes) -> None:
    with pytest.raises(BoardError) as caught:
        parse_board(text)
    assert caught.value.remedy


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match=r"nothing\.yaml: No such file"):
        load_board(tmp_path / "nothing.yaml")


@given(st.binary(max_size=400))
def test_any_bytes_are_a_board_or_a_board_error(data: bytes) -> None:
    try:
        parse_board(data)
    except BoardError as error:
        if not error.remedy:
            raise


@given(st.data())
def test_any_damage_to_a_board_is_a_board_or_a_board_error(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([MINIMAL, FLEXPRO]))
    place = data.draw(st.integers(0, len(whole)))
    length = data.draw(st.integers(0, 20))
    insert = data.draw(st.text(max_size=8))
    damaged = whole[:place] + insert + whole[place + length :]
    try:
        parse_board(damaged.encode())
    except BoardError as error:
        if not error.remedy:
            raise
