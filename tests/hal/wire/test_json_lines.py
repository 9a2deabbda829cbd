import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.hal.errors import FieldError, LineTooLongError, NotJsonError, WireError
from openturret.hal.wire.json_lines import LineSplitter, decode, encode, field, optional

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
MESSAGES = st.dictionaries(st.text(), JSON, max_size=6)


@given(MESSAGES)
def test_what_is_encoded_comes_back(message: dict[str, object]) -> None:
    assert decode(encode(message).rstrip(b"\n")) == message


@given(st.lists(MESSAGES, max_size=5), st.integers(1, 40))
def test_lines_survive_any_cutting(messages: list[dict[str, object]], size: int) -> None:
    stream = b"".join(map(encode, messages))
    splitter = LineSplitter()
    pieces = (stream[start : start + size] for start in range(0, len(stream), size))
    assert [decode(line) for piece in pieces for line in splitter.feed(piece)] == messages


@given(st.binary(max_size=300))
def test_garbage_is_a_value_or_a_typed_error(data: bytes) -> None:
    try:
        for line in LineSplitter(64).feed(data):
            decode(line)
    except WireError:
        return


def test_every_cut_of_a_message_waits_for_the_rest() -> None:
    stream = encode({"id": 1, "method": "hello", "params": {"ü": [1.5, None, True]}})
    for cut in range(len(stream) - 1):
        assert list(LineSplitter().feed(stream[:cut])) == []


def test_an_unfinished_line_past_the_bound_is_refused() -> None:
    splitter = LineSplitter(10)
    assert list(splitter.feed(b"0123456789")) == []
    with pytest.raises(LineTooLongError):
        list(splitter.feed(b"0"))


def test_lines_before_an_overlong_one_are_still_delivered() -> None:
    lines = LineSplitter(4).feed(b"ab\ncd\n01234\n")
    assert [next(lines), next(lines)] == [b"ab", b"cd"]
    with pytest.raises(LineTooLongError):
        next(lines)


@pytest.mark.parametrize(
    "line",
    [b"[]", b"1", b'"x"', b"NaN", b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 1e999}', b"{",
     b"\xff\xfe", b'{"a": ' + b"[" * 50_000, b'{"a": ' + b"9" * 10_000 + b"}", b""],
)  # fmt: skip
def test_what_is_not_one_finite_object_is_refused(line: bytes) -> None:
    with pytest.raises(NotJsonError):
        decode(line)


@pytest.mark.parametrize("message", [{"a": float("nan")}, {"a": object()}, {"a": {1, 2}}])
def test_what_json_cannot_say_is_refused(message: dict[str, object]) -> None:
    with pytest.raises(NotJsonError):
        encode(message)


def test_a_message_larger_than_a_peer_accepts_is_refused() -> None:
    with pytest.raises(LineTooLongError):
        encode({"a": "x" * 100}, max_line_bytes=100)


def test_a_newline_inside_text_does_not_break_the_framing() -> None:
    assert encode({"a": "x\ny"}).count(b"\n") == 1
    assert json.loads(encode({"a": "x\ny"})) == {"a": "x\ny"}


def test_a_field_has_the_type_that_was_asked_for() -> None:
    message = decode(b'{"n": 1, "r": 1.5, "t": true, "s": "x", "l": [1], "o": {}, "z": null}')
    assert field(message, "n", int) == 1
    assert isinstance(field(message, "n", float), float)
    assert field(message, "t", bool) is True
    assert optional(message, "z", str) is None
    assert optional(message, "nowhere", str) is None
    for name, kind in (("t", int), ("t", float), ("n", bool), ("r", int), ("z", str), ("q", str)):
        with pytest.raises(FieldError, match=name):
            field(message, name, kind)  # type: ignore[type-var]


def test_a_number_too_large_for_a_float_is_a_field_error() -> None:
    with pytest.raises(FieldError):
        field({"n": 10**400}, "n", float)
