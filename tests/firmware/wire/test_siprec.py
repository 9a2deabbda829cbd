"""Recording metadata: round trips, other people's documents, and hostile ones."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.firmware.wire.errors import MalformedError, TooLargeError, WireError
from openturret.firmware.wire.siprec import (
    NAMESPACE,
    Call,
    Metadata,
    Participant,
    Stream,
    identifier,
)

START = datetime(2026, 11, 22, 21, 0, 0, 123_000, UTC)
METADATA = Metadata(
    calls=(
        Call(
            identifier("call"),
            "a84b4c76@pbx",
            START,
            START,
            unit="TP-0001",
            user="alice",
            line="2001",
            device="handset-left",
            direction="out",
            codec="PCMU",
            mix="handsets",
            recorder="a",
            participants=(identifier("alice"), identifier("bob")),
        ),
        Call(identifier("channel"), line="Hoot <1> & Co"),
    ),
    participants=(
        Participant(identifier("alice"), "sip:1001@turret.example", "Alice"),
        Participant(identifier("bob"), "sip:2001@turret.example"),
    ),
    streams=(Stream(identifier("h"), "handsets"), Stream(identifier("s"), "speakers-1")),
    senders=((identifier("alice"), identifier("h")), (identifier("bob"), identifier("h"))),
)
# After the example of RFC 7865 section 9.1, with the extension of somebody else inside.
FOREIGN = b"""<?xml version="1.0" encoding="UTF-8"?>
<recording xmlns='urn:ietf:params:xml:ns:recording:1'>
  <datamode>complete</datamode>
  <group group_id="7+OTCyoxTmqmqyA/1weDAg=="><associate-time>2010-12-16T23:41:07Z</associate-time>
    <call-center xmlns='urn:ietf:params:xml:ns:callcenter'><at>sip:a@b</at></call-center>
  </group>
  <session session_id="hVpd7YQgRW2nD22h7q60JQ==">
    <sipSessionID>ab30317f1a784dc48ff824d0d3715d86;remote=47755a9de7794ba387653f2099600ef2</sipSessionID>
    <group-ref>7+OTCyoxTmqmqyA/1weDAg==</group-ref>
  </session>
  <participant participant_id="srfBElmCRp2QB23b7Mpk0w==">
    <nameID aor="sip:bob@biloxi.com"><name xml:lang="it">Bob</name></nameID>
  </participant>
  <stream stream_id="UAAMm5GRQKSCMVvLyl4rFw==" session_id="hVpd7YQgRW2nD22h7q60JQ==">
    <label>96</label>
  </stream>
  <participantsessionassoc participant_id="srfBElmCRp2QB23b7Mpk0w=="
      session_id="hVpd7YQgRW2nD22h7q60JQ==">
    <associate-time>2010-12-16T23:41:07Z</associate-time>
  </participantsessionassoc>
  <participantstreamassoc participant_id="srfBElmCRp2QB23b7Mpk0w==">
    <send>UAAMm5GRQKSCMVvLyl4rFw==</send><recv>8zc6e0lYTlWIINA6GR+3ag==</recv>
  </participantstreamassoc>
</recording>"""


def test_metadata_survives_a_round_trip() -> None:
    assert Metadata.parse(bytes(METADATA)) == METADATA


def test_the_document_is_recording_metadata() -> None:
    root = ET.fromstring(bytes(METADATA))
    assert root.tag == f"{{{NAMESPACE}}}recording"
    assert len(root.findall(f"{{{NAMESPACE}}}session")) == 2


def test_somebody_elses_document_is_read() -> None:
    metadata = Metadata.parse(FOREIGN)
    (call,) = metadata.calls
    assert call.participants == ("srfBElmCRp2QB23b7Mpk0w==",)
    assert metadata.participants[0].name == "Bob"
    assert metadata.streams == (
        Stream("UAAMm5GRQKSCMVvLyl4rFw==", "96", "hVpd7YQgRW2nD22h7q60JQ=="),
    )
    assert metadata.senders == (("srfBElmCRp2QB23b7Mpk0w==", "UAAMm5GRQKSCMVvLyl4rFw=="),)


def test_an_identifier_is_a_uuid_in_base64() -> None:
    assert len(identifier("anything")) == 24
    assert identifier("a", "b") != identifier("ab")


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<recording/>",
        b"<!DOCTYPE recording><recording xmlns='urn:ietf:params:xml:ns:recording:1'/>",
        b'<!DOCTYPE r [<!ENTITY a "x"><!ENTITY b "&a;&a;">]><r>&b;</r>',
        b'<!DOCTYPE r SYSTEM "file:///etc/passwd"><r/>',
        FOREIGN.replace(b'session_id="hVpd7YQgRW2nD22h7q60JQ=="', b"", 1),
        FOREIGN[:-1],
    ],
)
def test_what_is_no_metadata_is_refused(document: bytes) -> None:
    with pytest.raises(MalformedError):
        Metadata.parse(document)


@pytest.mark.parametrize(
    "document",
    [b"<a>" * 17 + b"</a>" * 17, b"<r>" + b"<a/>" * 5000 + b"</r>", b" " * 300_000],
)
def test_what_is_too_much_is_refused(document: bytes) -> None:
    with pytest.raises(TooLargeError):
        Metadata.parse(document)


def test_cut_at_every_length_is_a_value_or_a_typed_error() -> None:
    whole = bytes(METADATA)
    for length in range(len(whole)):
        with pytest.raises(WireError):
            Metadata.parse(whole[:length])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_typed_error(data: bytes) -> None:
    with pytest.raises(WireError):
        Metadata.parse(data)


@given(st.text(), st.text(), st.text())
def test_any_text_makes_a_document_that_can_be_read(line: str, name: str, aor: str) -> None:
    participant = Participant("p", aor, name)
    written = bytes(Metadata(calls=(Call("s", line=line),), participants=(participant,)))
    assert len(Metadata.parse(written).participants) == 1
