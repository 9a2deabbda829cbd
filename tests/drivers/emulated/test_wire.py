import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.emulated.wire import Change, ControlState, LampOrder
from openturret.hal.errors import FieldError
from openturret.hal.wire.json_lines import JsonObject, decode, encode

NAMES = st.text(min_size=1, max_size=64)
CHANGES = st.builds(Change, st.sampled_from(["hook", "ptt", "mute"]), st.booleans()) | st.builds(
    Change, st.just("key"), st.booleans(), NAMES
)
STATES = st.builds(
    ControlState, st.booleans(), st.booleans(), st.booleans(), st.frozensets(NAMES),
    st.frozensets(NAMES),
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=70),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
KEYS = st.sampled_from(["state", "event", "on", "key", "lamp", "lit", "off_hook", "keys"])


@given(STATES)
def test_a_state_survives_the_wire(state: ControlState) -> None:
    assert ControlState.parse(decode(encode(state.message()))) == state


@given(CHANGES)
def test_a_change_survives_the_wire(change: Change) -> None:
    assert Change.parse(decode(encode(change.message()))) == change


@given(NAMES, st.booleans())
def test_a_lamp_order_survives_the_wire(lamp: str, lit: bool) -> None:
    order = LampOrder(lamp, lit)
    assert LampOrder.parse(decode(encode(order.message()))) == order


@given(st.dictionaries(KEYS, JSON))
def test_nonsense_is_a_field_error(message: JsonObject) -> None:
    for kind in (ControlState, Change, LampOrder):
        try:
            kind.parse(message)
        except FieldError:
            continue


def test_a_change_is_seen_in_the_state_and_undone_by_its_opposite() -> None:
    state = ControlState()
    for change in (Change("hook", on=True), Change("ptt", on=True), Change("mute", on=True),
                   Change("key", on=True, key="a")):  # fmt: skip
        state = state.after(change)
    assert state == ControlState(True, True, True, frozenset("a"))
    assert state.after(Change("key", on=False, key="a")).keys == frozenset()


def test_an_unknown_event_is_refused_by_name() -> None:
    with pytest.raises(FieldError, match="'fire' is not known"):
        Change.parse({"event": "fire", "on": True})
