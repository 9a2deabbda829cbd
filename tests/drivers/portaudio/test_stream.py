"""What PortAudio says by its error codes; a sound card that says them cannot be had here."""

import pyaudio
import pytest

from openturret.drivers.portaudio.formats import StreamFormat
from openturret.drivers.portaudio.stream import (
    Api,
    Direction,
    Handle,
    Plan,
    Stream,
    Target,
    device_format,
)
from openturret.hal.errors import DeviceGoneError

UNANTICIPATED_HOST_ERROR = -9999
TARGET = Target(Api.ALSA, "hw:1", "1209:7701")
KEPT = 1920


class Card(pyaudio.Stream):
    """A stream of a card that does as it is told."""

    def __init__(self, available: int, *, broken: bool = False) -> None:
        self.frames = available
        self.broken = broken
        self.written = b""
        self.closed = False
        self.started = 0

    def start_stream(self) -> None:
        self.started += 1

    def get_read_available(self) -> int:
        return self.frames

    def get_write_available(self) -> int:
        return self.frames

    def read(self, num_frames: int, exception_on_overflow: bool = True) -> bytes:
        self._say(closing=exception_on_overflow)
        return bytes(2 * num_frames)

    def write(
        self, frames: bytes, num_frames: int | None = None, exception_on_underflow: bool = False
    ) -> None:
        self._say(closing=exception_on_underflow)
        self.written += frames

    def close(self) -> None:
        self.closed = True

    def _say(self, *, closing: bool) -> None:
        assert not closing, "PyAudio would close the stream at the first xrun"
        if self.broken:
            raise OSError(UNANTICIPATED_HOST_ERROR, "as told")


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def unix(self) -> float:
        return self.now


def stream(
    card: Card, direction: Direction = Direction.CAPTURE, clock: Hands | None = None
) -> Stream:
    plan = Plan(TARGET, direction, StreamFormat(48_000))
    return Stream(plan, Handle(card, KEPT), clock or Hands())


def test_a_card_that_is_gone_is_noticed_when_it_is_asked() -> None:
    gone = Card(UNANTICIPATED_HOST_ERROR)
    with pytest.raises(DeviceGoneError, match="hw:1: PortAudio error -9999"):
        stream(gone).read(960)
    with pytest.raises(DeviceGoneError, match="hw:1: PortAudio error -9999"):
        stream(gone, Direction.PLAYBACK).write(bytes(1920))


def test_a_card_that_is_gone_is_noticed_when_it_is_read_or_written() -> None:
    with pytest.raises(DeviceGoneError, match="hw:1"):
        stream(Card(960, broken=True)).read(960)
    with pytest.raises(DeviceGoneError, match="hw:1"):
        stream(Card(960, broken=True), Direction.PLAYBACK).write(bytes(1920))


def test_a_stream_is_started_once_and_again_after_it_was_opened_again() -> None:
    card, fresh = Card(480), Card(480)
    found = stream(card)
    found.start()
    found.start()
    assert card.started == 1
    found.suspend()
    found.resume(lambda _plan: Handle(fresh, KEPT))
    assert fresh.started == 1


def test_a_stream_that_was_still_is_still_after_it_was_opened_again() -> None:
    fresh = Card(480)
    found = stream(Card(480))
    found.suspend()
    found.resume(lambda _plan: Handle(fresh, KEPT))
    assert fresh.started == 0


def test_what_is_there_is_read_and_no_more_than_asked_for() -> None:
    assert len(stream(Card(480)).read(960)) == 960
    assert len(stream(Card(1440)).read(960)) == 1920
    assert stream(Card(0, broken=True)).read(960) == b""


def test_what_fits_is_written_and_the_rest_is_left() -> None:
    card = Card(480)
    assert stream(card, Direction.PLAYBACK).write(bytes(1920)) == 960
    assert card.written == bytes(960)
    assert stream(Card(0, broken=True), Direction.PLAYBACK).write(bytes(1920)) == 0


def test_input_that_nobody_took_in_time_is_an_xrun() -> None:
    card, clock = Card(480), Hands()
    found = stream(card, clock=clock)
    found.read(480)
    clock.now += 0.039
    found.read(480)
    assert found.xruns == 0
    clock.now += 0.041
    found.read(480)
    assert found.xruns == 1
    card.frames = KEPT
    found.read(480)
    assert found.xruns == 2


def test_output_that_ran_dry_is_an_xrun_but_for_the_first() -> None:
    card = Card(KEPT)
    found = stream(card, Direction.PLAYBACK)
    found.write(bytes(1920))
    assert found.xruns == 0
    assert len(card.written) == 1920
    assert found.write(b"\1" * 1920) == 1920
    assert found.xruns == 1
    assert card.written[1920:] == bytes(KEPT) + b"\1" * 1920, "silence comes first, to be ahead"
    card.frames = KEPT - 480
    found.write(bytes(1920))
    assert found.xruns == 1


def test_a_suspended_stream_that_cannot_be_opened_again_is_gone() -> None:
    card = Card(960)
    found = stream(card)
    found.suspend()
    assert card.closed
    found.resume(refuse)
    with pytest.raises(DeviceGoneError, match="not open"):
        found.read(960)


def refuse(_plan: Plan) -> Handle:
    raise OSError("the device is in use")


def test_a_suspended_stream_goes_on_and_its_interruption_is_no_xrun() -> None:
    clock = Hands()
    found = stream(Card(480), clock=clock)
    found.read(480)
    found.suspend()
    clock.now += 1
    found.resume(lambda _plan: Handle(Card(960), KEPT))
    assert len(found.read(960)) == 1920
    assert found.xruns == 0


def test_a_stream_whose_server_is_gone_is_never_closed() -> None:
    card = Card(960)
    found = stream(card)
    found.suspend(abandon=True)
    found.resume(None)
    assert not card.closed


@pytest.mark.parametrize(("channels", "opened"), [(1, 1), (2, 2), (6, 2)])
def test_a_card_is_opened_mono_where_it_is_and_stereo_where_it_has_more(
    channels: int, opened: int
) -> None:
    assert device_format(Api.ALSA, 16_000, channels) == StreamFormat(16_000, opened)
