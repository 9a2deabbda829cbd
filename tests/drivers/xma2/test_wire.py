import contextlib
import hashlib
import hmac
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.errors import ConsoleLineError
from openturret.drivers.xma2.wire import (
    Greeting,
    KeyNews,
    KnobNews,
    channel_line,
    decode,
    filter_line,
    parse_channel,
    parse_counter,
    parse_filter,
)
from openturret.hal.xma import RANGES, PortFilter, XmaChannel

HEX = st.from_regex(r"[0-9a-f]{32}", fullmatch=True)
NAMES = st.from_regex(r"[A-Z0-9.-]{1,32}", fullmatch=True)
GREETINGS = st.builds(Greeting, st.integers(0, 9999), HEX, NAMES, NAMES, st.integers(0, 99), HEX)
LABELS = st.text(max_size=32).filter(lambda text: text.isprintable() and text == text.strip(" "))
CHANNELS = st.builds(XmaChannel, st.integers(1, 32), st.booleans(), LABELS)
PARSERS = (
    Greeting.parse,
    KeyNews.parse,
    KnobNews.parse,
    parse_filter,
    parse_channel,
    parse_counter,
)
LINES = [
    "xma2 1 00112233445566778899aabbccddeeff XM-0007 1.4.0 8 ffeeddccbbaa99887766554433221100",
    "filter 0x2800 0xf800",
    "channel 3 on Desk hoot",
    "counter accepted 120",
    "key 3 down",
    "knob 3 -2",
]


@given(GREETINGS)
def test_every_greeting_survives_its_line(greeting: Greeting) -> None:
    assert Greeting.parse(str(greeting)) == greeting


@given(CHANNELS)
def test_every_channel_survives_its_line(channel: XmaChannel) -> None:
    assert parse_channel(decode(channel_line(channel).encode())) == channel


@given(st.integers(1, 32), st.booleans())
def test_every_key_survives_its_line(channel: int, pressed: bool) -> None:
    assert KeyNews.parse(str(KeyNews(channel, pressed))) == KeyNews(channel, pressed)


@given(st.integers(1, 32), st.integers(-100, 100).filter(bool))
def test_every_turn_survives_its_line(channel: int, steps: int) -> None:
    assert KnobNews.parse(str(KnobNews(channel, steps))) == KnobNews(channel, steps)


@pytest.mark.parametrize("ports", RANGES)
def test_every_documented_filter_survives_its_line(ports: PortFilter) -> None:
    assert parse_filter(filter_line(ports)) == ports


@pytest.mark.parametrize("line", LINES)
def test_a_line_cut_at_any_length_is_refused_or_says_less(line: str) -> None:
    whole = [parse for parse in PARSERS if _takes(parse, line)]
    assert len(whole) == 1
    for size in range(len(line)):
        with contextlib.suppress(ConsoleLineError):
            assert whole[0](line[:size]) != whole[0](line)


def _takes(parse: object, line: str) -> bool:
    try:
        parse(line)  # type: ignore[operator]
    except ConsoleLineError:
        return False
    return True


@given(st.text(max_size=80))
def test_noise_is_refused_and_nothing_else(noise: str) -> None:
    for parse in PARSERS:
        with contextlib.suppress(ConsoleLineError):
            parse(noise)


@given(st.binary(max_size=80))
def test_bytes_are_text_that_can_be_printed_or_refused(noise: bytes) -> None:
    with contextlib.suppress(ConsoleLineError):
        assert decode(noise).isprintable()


@pytest.mark.parametrize(
    ("parse", "line", "reason"),
    [
        (
            parse_filter,
            "filter 0x2900 0xf800",
            "is not aligned to netmask 0xf800, a block of 2048 ports; use 0x2800",
        ),
        (parse_filter, "filter 0x2800 0xf0f0", "is not contiguous"),
        (parse_filter, "filter 10240 0xf800", "is not a filter line"),
        (parse_channel, "channel 0 on", "channels are 1 to 32"),
        (parse_channel, "channel 33 on", "channels are 1 to 32"),
        (parse_channel, "channel 3 maybe", "is not a channel line"),
        (KnobNews.parse, "knob 3 +0", "a knob turns by 1 to 100 steps"),
        (KnobNews.parse, "knob 3 +101", "a knob turns by 1 to 100 steps"),
        (KeyNews.parse, "key 99 down", "channels are 1 to 32"),
        (parse_counter, "counter accepted -1", "is not a counter line"),
    ],
)
def test_a_refusal_says_why(parse: object, line: str, reason: str) -> None:
    with pytest.raises(ConsoleLineError, match=re.escape(reason)):
        parse(line)  # type: ignore[operator]


@pytest.mark.parametrize("label", ["x" * 33, "a\nb", " Desk", "\x1b[2J"])
def test_a_label_that_the_line_cannot_carry_is_refused(label: str) -> None:
    with pytest.raises(ConsoleLineError):
        channel_line(XmaChannel(3, enabled=True, label=label))


@pytest.mark.parametrize("line", [b"\xff", b"\x00", b"\x1b[2J", b"a\tb"])
def test_what_cannot_be_printed_is_refused(line: bytes) -> None:
    with pytest.raises(ConsoleLineError):
        decode(line)


def test_the_login_answers_the_challenge_of_this_session_of_this_module() -> None:
    greeting = Greeting.parse(LINES[0])
    said = b"00112233445566778899aabbccddeeff:ffeeddccbbaa99887766554433221100:XM-0007"
    assert greeting.answer(b"secret") == hmac.new(b"secret", said, hashlib.sha256).hexdigest()
