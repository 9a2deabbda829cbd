"""Session descriptions: values, the rewriting that the SIP agent does, and hostile bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.firmware.wire import sdp
from openturret.firmware.wire.errors import MalformedError, TooLargeError, WireError

PJSIP_OFFER = (
    "v=0\r\no=- 3941 3942 IN IP4 10.1.0.101\r\ns=pjmedia\r\nb=AS:84\r\nt=0 0\r\na=X-nat:0\r\n"
    "m=audio 40000 RTP/AVP 0 8 101\r\nc=IN IP4 10.1.0.101\r\nb=TIAS:64000\r\n"
    "a=rtcp:40001 IN IP4 10.1.0.101\r\na=sendrecv\r\na=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:8 PCMA/8000\r\na=ssrc:12345 cname:abc\r\na=rtpmap:101 telephone-event/8000\r\n"
    "a=fmtp:101 0-16\r\n"
)


def test_rewrite_changes_only_where_the_media_flows() -> None:
    rewritten = sdp.rewrite(PJSIP_OFFER, "192.0.2.9", [11002])
    assert rewritten == (
        "v=0\r\no=- 3941 3942 IN IP4 192.0.2.9\r\ns=pjmedia\r\nb=AS:84\r\nt=0 0\r\na=X-nat:0\r\n"
        "m=audio 11002 RTP/AVP 0 8 101\r\nc=IN IP4 192.0.2.9\r\nb=TIAS:64000\r\n"
        "a=sendrecv\r\na=rtpmap:0 PCMU/8000\r\n"
        "a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
        "a=fmtp:101 0-16\r\n"
    )


def test_rewrite_leaves_a_refused_line_refused() -> None:
    offer = PJSIP_OFFER + "m=video 0 RTP/AVP 31\r\n"
    assert sdp.rewrite(offer, "192.0.2.9", [11002]).endswith("m=video 0 RTP/AVP 31\r\n")


def test_rewrite_says_which_live_line_has_no_port() -> None:
    offer = PJSIP_OFFER + "m=audio 40002 RTP/AVP 0\r\n"
    with pytest.raises(MalformedError, match="media line 2 has no port"):
        sdp.rewrite(offer, "192.0.2.9", [11002])


def test_rewrite_labels_and_directs_the_streams_of_a_recording() -> None:
    offer = PJSIP_OFFER + "m=audio 40002 RTP/AVP 0\r\na=sendrecv\r\n"
    rewritten = sdp.rewrite(
        offer, "192.0.2.9", [11002, 11004], labels=["handsets", "speakers-1"], direction="sendonly"
    )
    media = sdp.SessionDescription.parse(rewritten.encode()).media
    assert [(each.label, each.direction, each.port) for each in media] == [
        ("handsets", "sendonly", 11002),
        ("speakers-1", "sendonly", 11004),
    ]
    assert "sendrecv" not in rewritten


WIDE_OFFER = (
    "v=0\r\no=- 1 1 IN IP4 10.1.0.101\r\ns=-\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 96 9 0 120 121\r\nc=IN IP4 10.1.0.101\r\na=sendrecv\r\n"
    "a=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\na=rtpmap:9 G722/8000\r\n"
    "a=rtpmap:120 telephone-event/48000\r\na=fmtp:120 0-16\r\n"
    "a=rtpmap:121 telephone-event/8000\r\na=fmtp:121 0-16\r\n"
)


def test_restrict_keeps_the_codecs_that_it_is_told_and_telephone_events() -> None:
    assert sdp.restrict(WIDE_OFFER, ["PCMU"]) == (
        "v=0\r\no=- 1 1 IN IP4 10.1.0.101\r\ns=-\r\nt=0 0\r\n"
        "m=audio 40000 RTP/AVP 0 120 121\r\nc=IN IP4 10.1.0.101\r\na=sendrecv\r\n"
        "a=rtpmap:120 telephone-event/48000\r\na=fmtp:120 0-16\r\n"
        "a=rtpmap:121 telephone-event/8000\r\na=fmtp:121 0-16\r\n"
    )
    opus = sdp.restrict(WIDE_OFFER, ["OPUS"])
    assert "RTP/AVP 96 120 121\r\n" in opus
    assert "a=fmtp:96 useinbandfec=1\r\n" in opus
    assert "G722" not in opus


def test_restrict_leaves_a_line_that_would_have_no_codec() -> None:
    video = WIDE_OFFER + "m=video 0 RTP/AVP 31\r\na=rtpmap:31 H261/90000\r\n"
    assert sdp.restrict(video, ["PCMU"]).endswith(
        "m=video 0 RTP/AVP 31\r\na=rtpmap:31 H261/90000\r\n"
    )
    assert sdp.restrict(WIDE_OFFER, ["ILBC"]) == WIDE_OFFER
    with pytest.raises(MalformedError):
        sdp.restrict("v=0\r\nnonsense\r\n", ["PCMU"])


def test_a_description_says_codecs_addresses_and_directions() -> None:
    description = sdp.SessionDescription.parse(PJSIP_OFFER.encode())
    (media,) = description.media
    assert media.codecs == (sdp.PCMU, sdp.PCMA, sdp.RtpMap(101, "telephone-event", 8000))
    assert description.address_of(media) == "10.1.0.101"
    assert description.direction_of(media) == "sendrecv"
    assert (media.rtcp_port, media.ptime_ms) == (40001, 20)


def test_static_payload_types_need_no_rtpmap() -> None:
    media = sdp.SessionDescription.parse(
        b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 8 0 96\r\n"
    ).media[0]
    assert media.codecs == (sdp.PCMA, sdp.PCMU)


def test_a_description_survives_a_round_trip() -> None:
    parsed = sdp.SessionDescription.parse(PJSIP_OFFER.encode())
    assert sdp.SessionDescription.parse(bytes(parsed)) == parsed


def test_an_address_is_missing_nowhere() -> None:
    description = sdp.SessionDescription.parse(
        b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n"
    )
    with pytest.raises(MalformedError, match="connection address"):
        description.address_of(description.media[0])


def test_too_many_media_are_refused() -> None:
    flood = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n" + "m=audio 9 RTP/AVP 0\r\n" * 65
    with pytest.raises(TooLargeError):
        sdp.SessionDescription.parse(flood.encode())


def test_cut_at_every_length_is_a_value_or_a_typed_error() -> None:
    whole = PJSIP_OFFER.encode()
    for length in range(len(whole)):
        _parse_or_refuse(whole[:length])


@given(st.binary(max_size=400))
def test_any_bytes_are_a_value_or_a_typed_error(data: bytes) -> None:
    _parse_or_refuse(data)


@given(st.lists(st.sampled_from(PJSIP_OFFER.split("\r\n")), max_size=30))
def test_shuffled_lines_are_a_value_or_a_typed_error(lines: list[str]) -> None:
    _parse_or_refuse("\r\n".join(lines).encode())


def _parse_or_refuse(data: bytes) -> None:
    try:
        description = sdp.SessionDescription.parse(data)
        for media in description.media:
            _ = (media.codecs, media.rtcp_port, media.ptime_ms, media.label)
    except WireError:
        return
    assert sdp.SessionDescription.parse(bytes(description)) == description
