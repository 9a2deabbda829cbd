"""Descriptors as a host's tools print them, and a walk that shares nothing with the builders."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.emulated.usb import audio_descriptors as uac
from openturret.drivers.emulated.usb import descriptors
from openturret.drivers.emulated.usb.audio import AudioFunction, AudioShape
from openturret.drivers.emulated.usb.audio_descriptors import Terminal
from openturret.drivers.emulated.usb.descriptors import Identity, InterfaceClass, Transfer
from openturret.drivers.emulated.usb.device import CompositeDevice
from openturret.drivers.emulated.usb.gooseneck import GooseneckModel
from openturret.drivers.emulated.usb.handset import HandsetModel
from openturret.drivers.emulated.usb.model import Setup
from openturret.drivers.emulated.usb.panel import PanelModel
from openturret.drivers.emulated.usb.peripheral import Peripheral
from openturret.drivers.emulated.usb.speaker import SpeakerModel
from openturret.drivers.emulated.usb.speakerphone import SpeakerphoneModel

DATA = Path(__file__).parent / "data"
MODELS = (HandsetModel(), SpeakerphoneModel(), GooseneckModel(), SpeakerModel(), PanelModel())


def test_a_device_descriptor() -> None:
    identity = Identity(0x1209, 0x7701, "Handset", "HS-1", bcd_device=0x0203)
    expected = "12 01 0002 00 00 00 40 0912 0177 0302 01 02 03 01"
    assert descriptors.device(identity, 1, 2, 3) == bytes.fromhex(expected)


def test_an_interface_and_its_endpoints() -> None:
    interface = descriptors.interface(3, InterfaceClass(3), endpoints=2, name=4)
    assert interface == bytes.fromhex("09 04 03 00 02 03 00 00 04")
    pipe = descriptors.endpoint(0x83, Transfer.INTERRUPT, 64, 4)
    assert pipe == bytes.fromhex("07 05 83 03 4000 04")
    assert descriptors.audio_endpoint(0x82, 96) == bytes.fromhex("09 05 82 0d 6000 01 00 00")


def test_a_hid_descriptor_announces_the_report_descriptor() -> None:
    assert descriptors.hid(0x0123) == bytes.fromhex("09 21 1101 00 01 22 2301")


def test_the_audio_descriptors_of_the_class_definition() -> None:
    assert uac.input_terminal(1, Terminal.USB_STREAMING) == bytes.fromhex(
        "0c 24 02 01 0101 00 01 0000 00 00"
    )
    assert uac.output_terminal(3, Terminal.HANDSET, 8, 4) == bytes.fromhex(
        "09 24 03 03 0104 04 08 00"
    )
    assert uac.feature_unit(2, 1, 3, 5) == bytes.fromhex("09 24 06 02 01 01 03 00 05")
    assert uac.mixer_unit(8, (2, 7)) == bytes.fromhex("0d 24 04 08 02 02 07 01 0000 00 00 00")
    assert uac.pcm_format((8000, 48000)) == bytes.fromhex("0e 24 02 01 01 02 10 02 401f00 80bb00")


def test_text_longer_than_a_string_descriptor_is_cut_at_a_character() -> None:
    octets = descriptors.string("€" * 200)
    assert octets[0] == len(octets) == 254
    assert octets[2:].decode("utf-16-le") == "€" * 126


@given(st.text(max_size=300))
def test_every_text_makes_a_string_descriptor(text: str) -> None:
    octets = descriptors.string(text)
    assert octets[0] == len(octets) <= 254
    assert octets[1] == 3


@pytest.mark.parametrize("octets", ["00", "0104", "0904", "020402", "ff"])
def test_octets_that_are_no_descriptors_are_not_split(octets: str) -> None:
    with pytest.raises(ValueError, match="descriptor at"):
        list(descriptors.split(bytes.fromhex(octets)))


def captured(name: str) -> bytes:
    lines = (DATA / f"{name}.hex").read_text().splitlines()
    return bytes.fromhex("".join(line.partition("#")[0] for line in lines))


def test_a_configuration_to_the_octet() -> None:
    assert HandsetModel().configuration_descriptor() == captured("handset")


@pytest.mark.parametrize(
    ("name", "model", "interface"),
    [
        ("handset", HandsetModel(), 3),
        ("speakerphone", SpeakerphoneModel(), 3),
        ("gooseneck", GooseneckModel(), 2),
        ("speaker", SpeakerModel(channels=2), 2),
        ("panel", PanelModel(keys=10), 0),
    ],
)
def test_a_report_descriptor_to_the_octet(name: str, model: Peripheral, interface: int) -> None:
    reports = captured(f"{name}-reports")
    model.control(Setup(0x00, 9, 1, 0, 0), b"")
    assert model.control(Setup(0x81, 6, 0x2200, interface, 4096), b"") == reports
    hid = model.control(Setup(0x81, 6, 0x2100, interface, 255), b"")
    assert int.from_bytes(hid[7:9], "little") == len(reports)
    assert hid in walk(model.configuration_descriptor())


def walk(octets: bytes) -> list[bytes]:
    found = []
    while octets:
        assert 2 <= octets[0] <= len(octets)
        found.append(octets[: octets[0]])
        octets = octets[octets[0] :]
    return found


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_a_configuration_keeps_its_promises(model: Peripheral) -> None:
    head, *rest = walk(model.configuration_descriptor())
    total, interfaces = struct.unpack_from("<HB", head, 2)
    numbers = {each[2] for each in rest if each[1] == 4}
    assert total == len(head) + sum(map(len, rest))
    assert numbers == set(range(interfaces))
    promised = sum(each[4] for each in rest if each[1] == 4)
    addresses = [each[2] for each in rest if each[1] == 5]
    assert len(addresses) == promised == len(set(addresses))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_what_an_audio_unit_is_fed_from_is_there(model: Peripheral) -> None:
    rest = walk(model.configuration_descriptor())
    units = [each for each in rest if each[1] == 0x24 and each[2] != 1]
    control = units[: next((i for i, each in enumerate(units) if each[2:5] == b"\2\1\1"), 0)]
    numbers = [each[3] for each in control]
    assert len(set(numbers)) == len(numbers)
    pairs = {each[3]: each[6] for each in control if each[2] in (2, 3)}
    for unit in control:
        assert sources(unit) <= set(numbers)
    assert all(pairs[pair] == number for number, pair in pairs.items() if pair)


def sources(unit: bytes) -> set[int]:
    """Returns what feeds a unit or terminal, by its subtype (UAC 1.0 table A-5)."""
    match unit[2]:
        case 3:
            return {unit[7]}
        case 4:
            return set(unit[5 : 5 + unit[4]])
        case 6:
            return {unit[4]}
    return set()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_the_audio_header_counts_its_units(model: Peripheral) -> None:
    rest = walk(model.configuration_descriptor())
    for place, each in enumerate(rest):
        if each[1] == 0x24 and each[2] == 1 and rest[place - 1][6] == 1:
            end = next(i for i in range(place, len(rest)) if rest[i][1] == 4)
            assert int.from_bytes(each[5:7], "little") == sum(map(len, rest[place:end]))
            assert list(each[8:]) == list(range(1, each[7] + 1))


NAMELESS = Identity(1, 2, "", "", manufacturer="")


def test_a_text_is_kept_once_and_an_empty_one_not_at_all() -> None:
    twice = Identity(1, 2, "Same", "Same", manufacturer="")
    assert CompositeDevice(twice, []).device_descriptor()[14:17] == b"\0\1\1"
    assert CompositeDevice(NAMELESS, []).device_descriptor()[14:17] == bytes(3)


def test_two_functions_share_nothing() -> None:
    shape = AudioShape(microphone=Terminal.MICROPHONE)
    other = AudioShape(microphone=Terminal.MICROPHONE, microphone_endpoint=5)
    functions = [AudioFunction(each, muted=lambda: False) for each in (shape, other)]
    rest = walk(CompositeDevice(NAMELESS, functions).configuration_descriptor())
    assert {each[2] for each in rest if each[1] == 4} == {0, 1, 2, 3}
    assert [each[2] for each in rest if each[1] == 5] == [0x82, 0x85]
