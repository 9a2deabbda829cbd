"""The power switch: what goes over its wire, at both ends, and what must not break it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openturret.hal.wire.json_lines import MAX_LINE_BYTES, JsonObject, decode, encode
from openturret.lab.rig.errors import PowerError
from openturret.lab.rig.power import PowerSwitch

if TYPE_CHECKING:
    from tests.rig.conftest import Rig


def switch_of(rig: Rig, unit: str = "touchpro-2") -> PowerSwitch:
    exports = yaml.safe_load((rig.folder / "rig" / "floor.yaml").read_text())
    power = exports["touchpro-2"]["power"]
    return PowerSwitch(power["host"], power["port"], unit)


def said(rig: Rig, data: bytes) -> bytes:
    """What the floor answers to some bytes, to the end of the connection."""
    switch = switch_of(rig)
    with socket.create_connection((switch.host, switch.port), timeout=10.0) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            return b"".join(iter(lambda: connection.recv(4096), b""))
    return b""


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[PowerSwitch]:
    """A power switch behind which somebody says something else."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        server = threading.Thread(target=serve)
        server.start()
        yield PowerSwitch("127.0.0.1", listening.getsockname()[1], "touchpro-1")
        server.join()


@pytest.mark.bench
def test_a_unit_that_does_not_exist_is_refused_with_those_that_do(rig: Rig) -> None:
    with pytest.raises(PowerError, match="no unit 'flexpro-9'; there are touchpro-1, touchpro-2"):
        switch_of(rig, "flexpro-9").on()


@pytest.mark.bench
@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        ({"method": "explode", "params": {"unit": "touchpro-2"}}, "'explode' is not power_on"),
        ({"method": "power_on"}, "field 'params' is missing"),
        ({"method": 7, "params": {"unit": "touchpro-2"}}, "field 'method' is int"),
        ({"params": {"unit": "touchpro-2"}}, "field 'method' is missing"),
    ],
)
def test_a_request_that_is_none_is_answered(rig: Rig, request_: JsonObject, refusal: str) -> None:
    answer = decode(said(rig, encode(request_)))
    assert refusal in str(answer["error"])


@pytest.mark.bench
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_garbage_does_not_break_the_floor(rig: Rig, data: bytes) -> None:
    said(rig, data + b"\n")
    assert switch_of(rig).is_on() is False


@pytest.mark.bench
def test_a_line_without_an_end_is_not_kept(rig: Rig) -> None:
    assert said(rig, b"x" * (MAX_LINE_BYTES + 1)) == b""
    assert switch_of(rig).is_on() is False


def test_nobody_at_the_port_is_told_with_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(PowerError, match=rf"no power switch at 127.0.0.1:{port}.*turret rig up"):
        PowerSwitch("127.0.0.1", port, "touchpro-1").on()


@pytest.mark.parametrize(
    "answer",
    [b"", b"garbage\n", b'{"result":true}\n', b'{"result":{"on":1}}\n', b"{}\n", b"\n" * 9],
)
def test_an_answer_that_is_none_is_no_success(answer: bytes) -> None:
    with answering(answer) as switch, pytest.raises(PowerError, match="no power switch"):
        switch.on()


def test_an_answer_without_an_end_is_not_kept() -> None:
    with answering(b"x" * (MAX_LINE_BYTES + 1)) as switch, pytest.raises(PowerError):
        switch.is_on()
