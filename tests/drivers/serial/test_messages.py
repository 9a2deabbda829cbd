import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.errors import FrameError
from openturret.drivers.serial.frame import Frame
from openturret.drivers.serial.messages import (
    MAX_KEYS,
    BoxState,
    Change,
    Introduction,
    LampOrder,
    parse_ring,
    ring_words,
)
from openturret.hal import Colour, RingLight

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,9}", fullmatch=True)
CHANGES = st.one_of(
    st.builds(Change, st.sampled_from(["ptt", "latch", "mute"]), st.booleans()),
    st.builds(Change, st.just("key"), st.booleans(), NAMES),
)
LIGHTS = st.builds(RingLight, st.sampled_from(Colour), st.booleans())
STATES = st.builds(
    BoxState, st.booleans(), st.booleans(), st.booleans(), st.frozensets(NAMES, max_size=5)
)
WORDS = st.lists(st.sampled_from(["0", "1", "2", "red", "blink", "key", "1.0"]), max_size=5)


@given(CHANGES)
def test_every_change_survives_its_frame(change: Change) -> None:
    assert Change.parse(Frame(1, change.what, change.words)) == change


@given(NAMES, st.booleans())
def test_every_lamp_order_survives_its_frame(lamp: str, lit: bool) -> None:
    order = LampOrder(lamp, lit)
    assert LampOrder.parse(Frame(1, "lamp", order.words)) == order


@given(LIGHTS)
def test_every_light_survives_its_frame(light: RingLight) -> None:
    assert parse_ring(Frame(1, "ring", ring_words(light))) == light


def test_an_introduction_survives_its_frame() -> None:
    who = Introduction(1, "gooseneck", "GN-0001", "1.2.0")
    assert Introduction.parse(Frame(1, "box", who.words)) == who


@given(st.sampled_from(["box", "ptt", "key", "ring", "lamp", "sing"]), WORDS)
def test_strange_words_are_refused_and_nothing_else(verb: str, words: list[str]) -> None:
    frame = Frame(1, verb, tuple(words))
    for parse in (Introduction.parse, Change.parse, LampOrder.parse, parse_ring):
        with contextlib.suppress(FrameError):
            parse(frame)


@pytest.mark.parametrize(
    ("verb", "words", "remedy"),
    [
        ("box", ("1", "gooseneck"), "not 'box PROTOCOL KIND SERIAL RELEASE'"),
        ("box", ("one", "gooseneck", "GN-1", "1.0"), "not 'box PROTOCOL KIND SERIAL RELEASE'"),
        ("ptt", ("2",), "'ptt 2' is no change of a switch or key"),
        ("key", ("line-1",), "'key line-1' is no change of a switch or key"),
        ("lamp", ("hold", "on"), "neither 'lamp NAME 0' nor 'lamp NAME 1'"),
        ("ring", ("red", "1"), "neither 'ring COLOUR steady' nor 'ring COLOUR blink'"),
        ("ring", ("blue", "blink"), "'blue' is no colour; use off, red, green, amber"),
    ],
)
def test_a_refusal_says_what_would_be_understood(
    verb: str, words: tuple[str, ...], remedy: str
) -> None:
    parse = {"box": Introduction.parse, "lamp": LampOrder.parse, "ring": parse_ring}
    with pytest.raises(FrameError, match=re.escape(remedy)):
        parse.get(verb, Change.parse)(Frame(1, verb, words))


@given(STATES, STATES)
def test_the_changes_since_a_state_lead_from_it(before: BoxState, after: BoxState) -> None:
    state = before
    for change in after.since(before):
        state = state.after(change)
    assert state == after
    assert after.since(after) == []


def test_a_box_that_holds_endless_keys_is_refused() -> None:
    state = BoxState(keys=frozenset(f"k{n}" for n in range(MAX_KEYS)))
    with pytest.raises(FrameError, match="more than 64 keys"):
        state.after(Change("key", on=True, key="one-more"))
