"""What must hold between the keys of a board, each mistake with its line and its remedy."""

import pytest

from openturret.hal.board import Board, parse_board
from openturret.hal.errors import BoardError

USB = "vid: 0x1209, pid: 0x7701"


def board(*devices: str, name: str = "rig", top: str = "") -> Board:
    """Each device is one line, the first of them line 3 (4 with ``top``)."""
    head = f"board: {name}\n" + (f"{top}\n" if top else "") + "devices:\n"
    return parse_board((head + "".join(f"  {each}\n" for each in devices)).encode())


def handset(position: str, match: str, more: str = "") -> str:
    return f"{position}: {{type: handset, driver: usb, match: {{{match}}}{more}}}"


def speaker(number: int, channels: int) -> str:
    match = f'{USB}, port: "2-{number}"'
    return (
        f"speaker-{number}: "
        f"{{type: speaker, driver: usb, channels: {channels}, match: {{{match}}}}}"
    )


XMA = "xma-1: {type: xma2, driver: xma2, channels: 32, match: {url: 'socket://rig:4001'}}"


def test_every_key_is_read() -> None:
    more = ", frame_ms: 10, rate_hz: 16000, fallback: spare, optional: true"
    read = board(
        handset("main", f'{USB}, port: "1-1"', more),
        handset("spare", f'{USB}, port: "1-2", serial: "TP 2"'),
    )
    main = read.devices["main"]
    assert dict(main.usb) == {"vid": 0x1209, "pid": 0x7701, "port": "1-1"}
    assert (main.frame_ms, main.rate_hz, main.fallback) == (10, 16000, "spare")
    assert main.optional
    spare = read.devices["spare"]
    assert (spare.frame_ms, spare.rate_hz, spare.fallback, spare.channels) == (20, None, "", 1)
    assert not spare.optional


def test_an_xma2_is_read_with_its_console_its_number_and_its_matrix() -> None:
    match = '{url: "rfc2217://[::1]:4001", serial: "XM-0007", matrix: "192.0.2.7:4250"}'
    read = board(f"xma-1: {{type: xma2, driver: xma2, channels: 8, match: {match}}}")
    assert read.devices["xma-1"].match["matrix"] == "192.0.2.7:4250"
    assert read.devices["xma-1"].channels == 8
    assert not read.devices["xma-1"].usb


@pytest.mark.parametrize(
    ("match", "says"),
    [
        ("vid: 1209, pid: 0x7701", "vid 1209 is not a number like 0x1209; write it as lsusb"),
        ('vid: "0x1209", pid: 0x7701', "vid '0x1209' is not a number.*without quotes"),
        ("vid: 0x11209, pid: 0x7701", "vid 0x11209 is not a number"),
        ("vid: [], pid: 0x7701", "vid a seq is not a number"),
        ("vid: 0x1209", "vid and pid stand together; add the other one"),
        ("pid: 0x7701", "vid and pid stand together"),
        ("serial: 4711", "serial is not text; put it in quotes"),
        ("serial: ''", "serial is not text"),
        (f"serial: '{'x' * 127}'", "serial 'x+' is not possible; .* at most 126 characters"),
        ("port: 1.2", "a float stands where port belongs; quote text"),
        ("port: 1:2", "port is not text; put it in quotes"),
        ("port: usb1", "port 'usb1' is not possible; write it like \"1-1.2\""),
        ("port: 1-1.2.3.4.5.6.7.8", "port .* is not possible"),
        ("url: 'http://rig:4001'", "url .* is not possible; write it like /dev/ttyACM0 or rfc2217"),
        ("url: 'socket://rig'", "url .* is not possible"),
        ("url: 'socket://rig:65536'", "url .* is not possible"),
        ("url: 'socket://rig:0'", "url .* is not possible"),
        ("url: ttyACM0", "url .* is not possible"),
        ("socket: handset", "socket .* is not possible; write it like /run/openturret"),
        ("product: Handset", "unknown key 'product' in match; known keys are .*name.*serial"),
        ("url: /dev/ttyACM0, socket: /run/x", "url and socket are different places; keep one"),
        (f"{USB}, url: /dev/ttyACM0", "url and vid and pid are different places"),
        ('serial: "A", socket: /run/x', "socket and serial are different places"),
        ("matrix: '192.0.2.7:4250'", "a handset has no matrix; remove it"),
        ("secret: /etc/openturret/secrets/xma-1", "a handset has no secret; remove it"),
        ("secret: hunter2", "secret .* is not possible; write it like /etc/openturret"),
        ("port: '1-1', port: '1-2'", "'port' stands twice"),
    ],
)
def test_a_match_that_is_not_understood_is_refused(match: str, says: str) -> None:
    with pytest.raises(BoardError, match=says) as caught:
        board(handset("main", match))
    assert caught.value.line == 3
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (", rate_hz: 44100", "rate_hz 44100 is not possible; use 8000, 16000 or 48000"),
        (", rate_hz: '8000'", "rate_hz '8000' is not possible"),
        (", frame_ms: 010", "frame_ms 010 is not possible; use 10 or 20"),
        (f", frame_ms: {'9' * 5000}", "frame_ms 9+ is not possible"),
        (", frame_ms: {}", "frame_ms a map is not possible"),
        (", optional: maybe", "optional is neither true nor false; write true or false"),
        (", channels: 2", "a handset has no channels; remove the key"),
        (", capabilities: hook", r"capabilities is not a list; write \[capture, gain\]"),
        (", capabilities: [lift]", "capabilities 'lift' is not known; use one of capture"),
        (", capabilities: [hook, volume, keys]", "a handset has no keys; remove it or correct"),
        (", capabilities: [hook], rate_hz: 8000", "it has no audio, so no rate_hz; remove"),
        (", capabilities: [hook], fallback: main", "it has no audio, so no fallback"),
        (", fallback: nowhere", "its fallback nowhere is no position; use one of none"),
        (", fallback: main", "its fallbacks go round: main → main; remove one of them"),
        (", fallback: Main Handset", "fallback 'Main Handset' is not possible"),
    ],
)
def test_a_key_that_does_not_fit_is_refused(more: str, says: str) -> None:
    with pytest.raises(BoardError, match=says) as caught:
        board(handset("main", USB, more))
    assert caught.value.line == 3
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        (USB, USB, "handset-right: its match can take the same device as handset-left; "
                   'give both a port, as in port: "1-1", or both a serial'),
        (USB, f'{USB}, port: "1-1"', "can take the same device"),
        (f'{USB}, port: "1-1"', f'{USB}, port: "1-1"', "can take the same device"),
        (f'{USB}, port: "1-1"', f'{USB}, serial: "A"', "can take the same device"),
        ('port: "1-1"', 'serial: "A"', "can take the same device"),
        ("url: /dev/ttyACM0", "url: /dev/ttyACM0", "handset-left has the same url; give each"),
        ("socket: /run/x", "socket: /run/x", "handset-left has the same socket"),
        ("name: 'Handset 1'", "name: 'Handset 1'", "handset-left has the same name"),
    ],
)  # fmt: skip
def test_two_positions_that_could_take_one_device_are_refused(
    first: str, second: str, says: str
) -> None:
    with pytest.raises(BoardError, match=says) as caught:
        board(handset("handset-left", first), handset("handset-right", second))
    assert caught.value.line == 4


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (f'{USB}, port: "1-1"', f'{USB}, port: "1-2"'),
        (f'{USB}, serial: "A"', f'{USB}, serial: "B"'),
        (USB, "vid: 0x1209, pid: 0x7702"),
        (USB, "socket: /run/x"),
        ('url: /dev/ttyACM0, serial: "A"', 'serial: "A"'),
        ("url: /dev/ttyACM0", "url: /dev/ttyACM1"),
    ],
)
def test_two_positions_that_never_take_one_device_are_read(first: str, second: str) -> None:
    assert len(board(handset("a", first), handset("b", second)).devices) == 2


def test_fallbacks_that_go_round_are_refused_with_the_way() -> None:
    rounds = [
        handset("a", "socket: /a", ", fallback: b"),
        handset("b", "socket: /b", ", fallback: c"),
        handset("c", "socket: /c", ", fallback: b"),
    ]
    with pytest.raises(BoardError, match="a: its fallbacks go round: a → b → c → b"):
        board(*rounds)


def test_a_fallback_that_could_not_hear_is_refused() -> None:
    lines = (handset("main", "socket: /a", ", fallback: speaker-1"), speaker(1, 1))
    with pytest.raises(BoardError, match="its fallback speaker-1 has no capture; choose a device"):
        board(*lines)


def test_a_speaker_may_fall_back_to_a_speakerphone() -> None:
    phone = "phone: {type: speakerphone, driver: usb, match: {vid: 0x1209, pid: 0x7702}}"
    read = board(speaker(1, 1).replace("{type", "{fallback: phone, type"), phone)
    assert read.devices["speaker-1"].fallback == "phone"


@pytest.mark.parametrize(
    ("name", "top", "channels", "says"),
    [
        ("flexpro", "", (3, 1), "speaker-2: with it there are 4 speaker channels, 3 are allowed; "
                                "remove some, or set speaker_channels_limit"),
        ("flexpro", "speaker_channels_limit: 4", (3, 2), "5 speaker channels, 4 are allowed"),
        ("touchpro", "", (32, 1), "33 speaker channels, 32 are allowed; remove some$"),
        ("touchpro", "speaker_channels_limit: 0", (1,), "1 speaker channels, 0 are allowed"),
        ("touchpro", "speaker_channels_limit: 33", (1,), "33 is not possible; use 0 to 32"),
        ("touchpro", "", (33,), "channels 33 is not possible; use 1 to 32"),
        ("touchpro", "", (0,), "channels 0 is not possible; use 1 to 32"),
    ],
)  # fmt: skip
def test_more_speaker_channels_than_the_unit_may_have_are_refused(
    name: str, top: str, channels: tuple[int, ...], says: str
) -> None:
    speakers = [speaker(number, each) for number, each in enumerate(channels, 1)]
    with pytest.raises(BoardError, match=says):
        board(*speakers, name=name, top=top)


@pytest.mark.parametrize(
    ("name", "top"), [("flexpro", "speaker_channels_limit: 4"), ("touchpro", "")]
)
def test_as_many_speaker_channels_as_are_allowed_are_read(name: str, top: str) -> None:
    assert len(board(speaker(1, 3), speaker(2, 1), name=name, top=top).devices) == 2


def test_a_second_mixing_matrix_is_refused() -> None:
    xmas = [
        f"xma-{n}: {{type: xma2, driver: xma2, match: {{matrix: '192.0.2.{n}:4250'}}}}"
        for n in (1, 2)
    ]
    with pytest.raises(BoardError, match=r"xma-1 mixes already; .* remove matrix from one"):
        board(*xmas)
    one = board(xmas[1], handset("main", USB))
    assert one.mixer is one.devices["xma-2"]
    assert board(handset("main", USB)).mixer is None


def test_the_channels_of_an_xma2_are_its_own() -> None:
    assert board(speaker(1, 3), XMA, name="flexpro").devices["xma-1"].channels == 32


def test_more_devices_than_a_unit_has_are_refused() -> None:
    many = [handset(f"handset-{number}", f"socket: /run/{number}") for number in range(65)]
    with pytest.raises(BoardError, match="more than 64 devices; describe a second unit"):
        board(*many)
