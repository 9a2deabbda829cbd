"""Both ends of an exchange in one process, over a wire that loses what it is told to."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.errors import BoxRefusedError, FrameError
from openturret.drivers.serial.exchange import (
    LOST_TICKS,
    MAX_UNSAID,
    PULSE_TICKS,
    REPEAT_TICKS,
    Exchange,
)
from openturret.drivers.serial.frame import Frame
from openturret.hal.errors import DeviceGoneError


class End:
    def __init__(self, *, pulse: bool = False) -> None:
        self.wire: list[bytes] = []
        self.acted: list[str] = []
        self.exchange = Exchange(self.wire.append, pulse=pulse)

    def act(self, frame: Frame) -> None:
        if frame.verb == "sing":
            raise BoxRefusedError("cannot sing")
        self.acted.append(frame.text)

    def hear(self, far: "End", lost: list[bool] | None = None) -> None:
        lines, far.wire[:] = list(far.wire), []
        for line in lines:
            if not (lost and lost.pop()):
                self.exchange.take(Frame.parse(line.rstrip()), self.act)


def test_things_are_said_one_at_a_time_and_numbered() -> None:
    host, box = End(), End()
    host.exchange.say("lamp", "ring", "1")
    host.exchange.say("lamp", "ring", "0")
    assert host.wire == [bytes(Frame(1, "lamp", ("ring", "1")))]
    box.hear(host)
    assert box.wire == [bytes(Frame(1, "ack"))]
    host.hear(box)
    assert host.wire == [bytes(Frame(2, "lamp", ("ring", "0")))]


def test_a_repeat_is_answered_again_and_not_acted_on_again() -> None:
    host, box = End(), End()
    host.exchange.say("ping")
    box.hear(host)
    box.wire.clear()
    for _ in range(REPEAT_TICKS):
        host.exchange.tick()
    box.hear(host)
    assert box.acted == ["ping"]
    assert box.wire == [bytes(Frame(1, "ack"))]


def test_numbers_go_round_and_the_same_words_twice_are_two_things() -> None:
    host, box = End(), End()
    for _ in range(600):
        host.exchange.say("ping")
        box.hear(host)
        host.hear(box)
    assert len(box.acted) == 600


def test_what_is_refused_is_named_and_the_next_thing_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    host, box = End(), End()
    host.exchange.say("sing", "loudly")
    host.exchange.say("ping")
    box.hear(host)
    assert box.wire == [bytes(Frame(1, "no"))]
    host.hear(box)
    box.hear(host)
    assert box.acted == ["ping"]
    assert caplog.messages == ["the far end does not know 'sing loudly'"]


def test_a_far_end_that_does_not_answer_is_gone() -> None:
    host = End()
    host.exchange.say("ping")
    for _ in range(LOST_TICKS - 1):
        host.exchange.tick()
    assert len(host.wire) == 1 + (LOST_TICKS - 1) // REPEAT_TICKS
    with pytest.raises(DeviceGoneError, match=r"'ping' was not answered in 1\.0 s"):
        host.exchange.tick()


def test_the_pulse_is_said_when_nothing_else_is() -> None:
    host, box = End(pulse=True), End()
    for _ in range(PULSE_TICKS):
        assert host.wire == []
        host.exchange.tick()
    box.hear(host)
    assert box.acted == ["ping"]


def test_an_answer_to_something_else_settles_nothing() -> None:
    host = End()
    host.exchange.say("ping")
    host.exchange.take(Frame(9, "ack"), host.act)
    host.exchange.say("ping")
    assert len(host.wire) == 1


def test_what_waits_is_bounded() -> None:
    host = End()
    for _ in range(MAX_UNSAID + 1):
        host.exchange.say("ping")
    with pytest.raises(DeviceGoneError, match="wait for the answer"):
        host.exchange.say("ping")


def test_a_word_that_cannot_be_sent_is_refused_before_it_is_queued() -> None:
    host = End()
    with pytest.raises(FrameError):
        host.exchange.say("lamp", "two words", "1")
    assert host.wire == []


@given(st.lists(st.booleans(), max_size=60), st.lists(st.sampled_from("abc"), max_size=8))
def test_whatever_is_lost_everything_arrives_once_and_in_order(
    lost: list[bool], said: list[str]
) -> None:
    host, box = End(), End()
    for word in said:
        host.exchange.say("key", word, "1")
    for _ in range(200):
        box.hear(host, lost)
        host.hear(box, lost)
        if not host.wire and len(box.acted) == len(said):
            break
        try:
            host.exchange.tick()
        except DeviceGoneError:
            break
    expected = [f"key {word} 1" for word in said]
    assert box.acted == expected[: len(box.acted)]
    assert not lost or len(box.acted) <= len(said)


def test_numbers_are_1_to_255_and_1_again() -> None:
    host, box = End(), End()
    numbers = []
    for _ in range(256):
        host.exchange.say("ping")
        numbers.append(Frame.parse(host.wire[0].rstrip()).number)
        box.hear(host)
        host.hear(box)
    assert numbers == [*range(1, 256), 1]


def test_the_pulse_waits_from_the_last_answer_on() -> None:
    host, box = End(pulse=True), End()
    host.exchange.say("lamp", "ring", "1")
    for _ in range(REPEAT_TICKS - 1):
        host.exchange.tick()
    box.hear(host)
    host.hear(box)
    for _ in range(PULSE_TICKS - 1):
        host.exchange.tick()
    assert host.wire == []
    host.exchange.tick()
    assert host.wire == [bytes(Frame(2, "ping"))]
