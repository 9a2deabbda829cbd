import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.firmware.config.errors import BadValueError, UnknownKeyError
from openturret.firmware.config.forms import Form
from openturret.firmware.config.key import Key, Kind, Source
from openturret.firmware.config.keys import KEYS, canonical, find, names, suggestion
from openturret.firmware.config.ports import PORTS

DOCUMENTED = {
    "application.boot.startserver",
    "application.global.snmp.enable",
    "application.global.snmp.read.community",
    "application.global.snmp.trap.community",
    "application.global.rpcapd.enable",
    "profile.setting.debuginfobutton.alwaysavailable",
    "application.xma.telnetaccess",
    "application.sip.connection.port",
    "application.sip.tlsconnection.port",
    "application.sip.websocket.listening.port",
    "application.sip.websocketsecure.listening.port",
    "profile.setting.broadcasting.enabled",
    "profile.setting.broadcasting.mcast",
    "application.mm.rtplowerport",
    "application.mm.rtpupperport",
    "application.xma.trafficin.portef",
    "application.xma.trafficin.netmask",
    "application.xma.trafficin.portrange",
    "application.mm.vie.rtplowerport",
    "application.mm.vie.rtpupperport",
}


def test_the_documented_keys_are_those_of_the_port_table() -> None:
    assert {key.name for key in KEYS if key.source is Source.DOCUMENTED} == DOCUMENTED


def test_no_name_is_used_twice() -> None:
    assert len(names()) == sum(1 + len(key.aliases) for key in KEYS)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_a_key_is_described_and_governs_a_port_that_exists(key: Key) -> None:
    assert key.description.endswith(".")
    assert key.port in {"", *(port.name for port in PORTS)}
    assert (key.indices is not None) == ("<n>" in key.name)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_a_default_is_a_value_that_the_key_takes(key: Key) -> None:
    default = key.default
    raw = default if isinstance(default, tuple) else str(default)
    assert key.parse(raw.lower() if key.kind is Kind.FLAG and isinstance(raw, str) else raw) == (
        default
    )


@pytest.mark.parametrize(
    "key", [key for key in KEYS if key.kind is Kind.INTEGER], ids=lambda key: key.name
)
def test_a_number_outside_its_bounds_is_refused(key: Key) -> None:
    assert key.minimum is not None
    assert key.maximum is not None
    assert key.parse(str(key.minimum)) == key.minimum
    assert key.parse(str(key.maximum)) == key.maximum
    with pytest.raises(BadValueError, match="must be a whole number"):
        key.parse(str(key.maximum + 1))
    with pytest.raises(BadValueError, match="must be a whole number"):
        key.parse(str(-1))


@pytest.mark.parametrize("text", ["1e3", "5060.0", "", " 5060", "0b1", "5_060", "05060", "true"])
def test_what_only_looks_like_a_number_is_refused(text: str) -> None:
    key = names()["application.sip.connection.port"]
    with pytest.raises(BadValueError, match="from 1 to 65535"):
        key.parse(text)


def test_a_mask_may_be_written_in_hexadecimal() -> None:
    assert names()["application.xma.trafficin.netmask"].parse("0xF800") == 0xF800


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        (Form.ADDRESS, "10.1.0.1", "10.1.0.256"),
        (Form.ENDPOINT, "tss1.turret.example:514", "10.11.0.10:70000"),
        (Form.SIP_URI, "sip:recorder@10.11.0.30:5060;transport=tcp", "sip:a b@10.11.0.30"),
        (Form.LDAPS_URL, "ldaps://ldap.turret.example:636", "ldap://ldap.turret.example:389"),
        (Form.USER_DN, "uid={user},ou=people", "uid=alice,ou=people"),
        (Form.MULTICAST, "239.1.1.1:9876", "10.1.1.1:9876"),
        (Form.DIAL, "+33123456789", "2001\r\nRoute: x"),
        (Form.NAME, "1001", "10 01"),
        (Form.CODEC, "G722", "G729"),
        (Form.TRANSPORT, "https", "tftp"),
        (Form.FREE, "Hoot of the desk", "two\nlines"),
    ],
)
def test_a_form_takes_the_good_and_refuses_the_bad(form: Form, good: str, bad: str) -> None:
    assert form.accepts(good)
    assert not form.accepts(bad)


@given(st.text(), st.sampled_from(Form))
def test_a_form_answers_for_any_text_and_lets_no_control_character_in(
    text: str, form: Form
) -> None:
    assert not form.accepts(text + "\n")
    assert isinstance(form.accepts(text), bool)


def refusal(key: Key, text: str) -> str | None:
    try:
        key.parse(text)
    except BadValueError as error:
        return str(error)
    return None


@given(st.text(), st.sampled_from(KEYS))
def test_any_text_is_a_value_or_a_refusal_that_hides_secrets(text: str, key: Key) -> None:
    said = refusal(key, text)
    assert said is None or key.allowed in said
    assert said is None or not (key.secret and len(text) > 8 and text in said)


@given(st.text(alphabet=string.ascii_lowercase + ".<>0123456789"))
def test_any_name_is_found_or_refused(name: str) -> None:
    assert find(name) is None or canonical(name)


def test_an_alias_is_the_key_that_it_stands_for() -> None:
    assert canonical("application.xma.trafficin.portref") == "application.xma.trafficin.portef"


def test_an_index_is_checked() -> None:
    assert find("profile.speaker.32.label") is not None
    for name in ("profile.speaker.0.label", "profile.speaker.33.label", "profile.speaker.label"):
        assert find(name) is None


def test_an_unknown_name_is_answered_with_what_was_meant() -> None:
    assert "profile.speaker.3.label" in suggestion("profile.speeker.3.label")
    with pytest.raises(UnknownKeyError, match=r"did you mean 'application\.sip\.pbx\.servers'"):
        canonical("application.sip.pbx.server")


def test_a_secret_is_never_shown() -> None:
    assert names()["profile.sip.password"].show("hunter2") == "(hidden)"
