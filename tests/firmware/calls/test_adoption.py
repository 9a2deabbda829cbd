"""What an adopted dialog answers, and what is sent inside it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from openturret.firmware.calls.adoption import (
    Adopted,
    Adoption,
    advance,
    answer_for,
    in_dialog,
    read_request,
    with_tag,
)
from openturret.firmware.calls.events import Dialog
from openturret.firmware.wire.sip import Headers, Request

DIALOG = Dialog(
    "abc@host",
    '"Alice" <sip:1001@turret.example>',
    "ours",
    "<sip:2001@turret.example>",
    "theirs",
    "sip:2001@10.20.0.10;ob",
    local_cseq=41,
    remote_cseq=7,
    route_set=("<sip:10.11.0.20;lr>",),
)
ADOPTED = Adopted("call-1", "pbx-1", DIALOG, {})


def request(method: str, cseq: int = 8, body: bytes = b"") -> Request:
    return Request(Headers.of(("CSeq", f"{cseq} {method}")), body, method=method, uri="sip:x@y")


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (request("BYE"), 200),
        (request("INVITE", body=b"v=0\r\n"), 488),
        (request("INVITE"), 488),
        (request("UPDATE", body=b"v=0\r\n"), 488),
        (request("UPDATE"), 200),
        (request("OPTIONS"), 200),
        (request("INFO"), 200),
        (request("REFER"), 405),
        (request("BYE", cseq=7), 500),
        (request("ACK", cseq=7), 0),
    ],
)
def test_a_request_inside_an_adopted_dialog_is_answered(asked: Request, status: int) -> None:
    assert answer_for(asked, ADOPTED) == status


def test_the_first_request_of_a_peer_may_have_any_number() -> None:
    fresh = advance(ADOPTED, -1)
    assert answer_for(request("BYE", cseq=0), fresh) == 200


def test_a_bye_goes_out_in_the_old_dialog() -> None:
    bye = in_dialog("BYE", DIALOG)
    assert (bye.method, bye.target, bye.cseq) == ("BYE", "sip:2001@10.20.0.10;ob", 42)
    assert bye.from_header == "Alice <sip:1001@turret.example>;tag=ours" or (
        bye.from_header == '"Alice" <sip:1001@turret.example>;tag=ours'
    )
    assert bye.to_header == "<sip:2001@turret.example>;tag=theirs"
    assert (bye.sip_call_id, bye.route_set) == ("abc@host", ("<sip:10.11.0.20;lr>",))


def test_a_request_that_refreshes_the_target_names_our_contact() -> None:
    dialog = replace(DIALOG, local_contact="<sip:1001@10.1.0.101:5060>")
    assert in_dialog("UPDATE", dialog).contact == "<sip:1001@10.1.0.101:5060>"
    assert in_dialog("BYE", dialog).contact == ""


def test_a_tag_replaces_the_one_that_is_there() -> None:
    assert with_tag("<sip:a@b>;tag=old", "new") == "<sip:a@b>;tag=new"


def test_a_dialog_is_found_by_all_three_of_its_parts() -> None:
    adoption = Adoption()
    adoption.keep(ADOPTED)
    assert adoption.find("abc@host", local_tag="ours", remote_tag="theirs") is ADOPTED
    assert adoption.find("abc@host", local_tag="theirs", remote_tag="ours") is None
    assert adoption.find("other", local_tag="ours", remote_tag="theirs") is None
    adoption.drop("call-1")
    adoption.drop("call-1")
    assert "call-1" not in adoption


@pytest.mark.parametrize("text", ["", "\x00", "SIP/2.0 200 OK\r\n\r\n", "BYE\r\n\r\n"])
def test_what_is_no_request_is_nothing(text: str) -> None:
    assert read_request(text) is None


def test_the_peers_options_are_read_whatever_their_case() -> None:
    dialog = Dialog("x", "", "", "", "", "", supported="100rel, Replaces")
    assert dialog.supports("replaces")
    assert not dialog.supports("timer")
