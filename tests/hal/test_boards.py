"""The boards that are shipped, and the schema that is published beside them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from openturret.hal import board, board_schema
from openturret.hal.board import MAX_BOARD_BYTES, DeviceType, load_board, parse_board
from openturret.hal.errors import BoardError

BOARDS = Path(board.__file__).parent / "boards"
SHIPPED = sorted(path.name for path in BOARDS.glob("*.yaml"))
VALIDATOR = Draft202012Validator(board_schema.schema())
GOOD = """board: rig
devices:
  main:
    type: handset
    driver: usb
    match: {vid: 0x1209, pid: 0x7701, serial: "TP 1", port: "1-1.2"}
    capabilities: [hook, capture, playback]
    frame_ms: 10
    rate_hz: 48000
    optional: true
  speaker-1: {type: speaker, driver: usb, channels: 3, match: {name: Speaker}, fallback: main}
  panel: {type: panel, driver: quiet}
  xma-1:
    type: xma2
    driver: xma2
    channels: 8
    match: {url: "rfc2217://[::1]:4001", serial: "XM-0007", matrix: "192.0.2.7:4250"}
speaker_channels_limit: 3
"""


def schema_accepts(text: str) -> bool:
    return VALIDATOR.is_valid(yaml.safe_load(text))


def parser_accepts(text: str) -> bool:
    try:
        parse_board(text.encode())
    except BoardError:
        return False
    return True


def test_these_boards_are_shipped() -> None:
    assert SHIPPED == ["emulated.yaml", "flexpro.yaml", "rig.yaml", "touchpro.yaml"]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_board_is_read_and_is_good_by_the_schema(name: str) -> None:
    text = (BOARDS / name).read_text()
    assert load_board(BOARDS / name).devices
    assert schema_accepts(text)
    assert text.startswith("# yaml-language-server: $schema=board.schema.json\n#\n# A ")


def test_a_touchpro_has_what_the_documents_say_on_real_and_on_emulated_hardware() -> None:
    real, emulated = (load_board(BOARDS / f"{name}.yaml") for name in ("touchpro", "emulated"))
    assert list(real.devices) == list(emulated.devices)
    types = [spec.type for spec in real.devices.values()]
    assert types.count(DeviceType.HANDSET) == 2
    assert {DeviceType.SPEAKERPHONE, DeviceType.GOOSENECK, DeviceType.SPEAKER} <= set(types)
    assert not any(spec.optional for spec in real.devices.values())


def test_a_flexpro_needs_neither_its_peripheral_kit_nor_an_xma2() -> None:
    flexpro = load_board(BOARDS / "flexpro.yaml").devices
    assert [spec.position for spec in flexpro.values() if not spec.optional] == ["headset"]
    assert flexpro["speaker-1"].channels == 3
    assert flexpro["xma-1"].type is DeviceType.XMA2


def test_the_published_schema_is_current_and_is_a_schema() -> None:
    published = board_schema.PATH.read_text(encoding="utf-8")
    assert published == board_schema.text(), "run: make docs"
    Draft202012Validator.check_schema(json.loads(published))


def test_a_stale_schema_is_named_and_then_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "board.schema.json"
    assert board_schema.main(["--check"], path) == 1
    assert "out of date" in capsys.readouterr().out
    assert board_schema.main([], path) == 0
    assert board_schema.main(["--check"], path) == 0
    assert path.read_text(encoding="utf-8") == board_schema.text()


def test_parser_and_schema_both_take_what_is_good() -> None:
    assert parser_accepts(GOOD)
    assert schema_accepts(GOOD)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("board: rig", "bord: rig"),
        ("board: rig", "board: 7"),
        ("type: handset", "type: hand"),
        ("    driver: usb\n", ""),
        ("driver: usb\n", "driver: -x\n"),
        ("vid: 0x1209, pid: 0x7701", "vid: 0x1209"),
        ("vid: 0x1209", "vid: 0x11209"),
        ("vid: 0x1209", 'vid: "1209"'),
        ('"TP 1"', "1"),
        ('"1-1.2"', '"usb1"'),
        ('port: "1-1.2"', "socket: /run/x"),
        ("rfc2217://[::1]:4001", "http://rig:4001"),
        ("rfc2217://[::1]:4001", "rfc2217://rig:65536"),
        ("192.0.2.7:4250", "192.0.2.7"),
        ("match: {url", "match: {socket: /run/x, url"),
        ("{name: Speaker}", "{name: Speaker, matrix: '192.0.2.7:4250'}"),
        ("{name: Speaker}", "{name: Speaker, secret: /run/x}"),
        ("{name: Speaker}", "{name: Speaker, product: x}"),
        ("[hook, capture, playback]", "[hook, keys]"),
        ("[hook, capture, playback]", "hook"),
        ("frame_ms: 10", "frame_ms: 15"),
        ("rate_hz: 48000", "rate_hz: 44100"),
        ("optional: true", "optional: 1"),
        ("optional: true", "channels: 2"),
        ("channels: 8", "channels: 33"),
        ("driver: quiet}", "driver: quiet, rate_hz: 8000}"),
        ("driver: quiet}", "driver: quiet, fallback: main}"),
        ("  panel:", "  Panel:"),
        ("speaker_channels_limit: 3", "speaker_channels_limit: 33"),
    ],
)
def test_parser_and_schema_refuse_the_same(old: str, new: str) -> None:
    bad = GOOD.replace(old, new, 1)
    assert bad != GOOD
    assert not schema_accepts(bad)
    assert not parser_accepts(bad)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("speaker_channels_limit: 3", "speaker_channels_limit: 2"),
        ("fallback: main", "fallback: nowhere"),
        ("vid: 0x1209", "vid: 4617"),
    ],
)
def test_what_only_the_parser_can_see_is_said_in_the_schemas_module(old: str, new: str) -> None:
    assert not parser_accepts(GOOD.replace(old, new, 1))
    assert schema_accepts(GOOD.replace(old, new, 1))


def without(text: str, line: int) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(lines[:line] + lines[line + 1 :])


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_board_without_any_of_its_lines_is_a_board_or_refused(name: str) -> None:
    text = (BOARDS / name).read_text()
    assert len(text) < MAX_BOARD_BYTES
    for line in range(len(text.splitlines())):
        cut = without(text, line)
        if parser_accepts(cut):
            assert schema_accepts(cut), line


def test_every_key_has_a_meaning_for_the_editors_that_show_it() -> None:
    published: Any = json.loads(board_schema.text())
    definitions = published["$defs"]
    for holder in (published, definitions["device"], definitions["match"]):
        assert all(key["description"] for key in holder["properties"].values())
