from __future__ import annotations

import asyncio
import io
import json
import socket

import pytest

from openturret.lab.bench import Bench
from openturret.lab.syslog_sink import MalformedMessageError, SyslogMessage, SyslogSink

EXAMPLE = (
    b"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 "
    b'[exampleSDID@32473 iut="3" eventSource="Appli\\]cation"][x@1] \xef\xbb\xbfAn event'
)


def test_the_example_of_the_rfc_is_read_field_by_field() -> None:
    message = SyslogMessage.parse(EXAMPLE)
    assert (message.facility, message.severity) == (20, 5)
    assert message.host == "mymachine.example.com"
    assert message.message_id == "ID47"
    assert message.structured.endswith("[x@1]")
    assert message.message == "An event"


def test_a_message_without_structure_or_text() -> None:
    message = SyslogMessage.parse(b"<34>1 - - su - - -")
    assert (message.structured, message.message) == ("-", "")


@pytest.mark.parametrize("end", range(len(EXAMPLE)))
def test_a_cut_message_is_a_message_or_malformed(end: int) -> None:
    try:
        assert SyslogMessage.parse(EXAMPLE[:end]).host == "mymachine.example.com"
    except MalformedMessageError:
        assert not EXAMPLE[:end].endswith(b"An event")


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"<192>1 - - - - - -", b"<1>2 - - - - - -", b"\xff"]
)
def test_what_is_not_rfc_5424_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        SyslogMessage.parse(data)


def test_what_is_malformed_is_kept_too() -> None:
    file = io.StringIO()
    sink = SyslogSink(file, lambda: 12.5)
    sink.datagram_received(b"garbage \xff", ("10.0.0.1", 514))
    kept = json.loads(file.getvalue())
    assert kept == {"received": 12.5, "sender": "10.0.0.1", "malformed": "garbage \xff"}


@pytest.mark.bench
async def test_a_datagram_reaches_the_file(bench: Bench) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(EXAMPLE, ("10.11.0.10", 514))
    async with asyncio.timeout(5):
        while "evntslog" not in bench.folders.syslog.read_text():
            await asyncio.sleep(0.02)
    kept = json.loads(bench.folders.syslog.read_text().splitlines()[-1])
    assert kept["sender"] == "10.99.0.2"
