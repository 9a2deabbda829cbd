from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openturret.firmware.config import document
from openturret.firmware.config.errors import (
    BadFileError,
    BadValueError,
    ConfigError,
    ConflictError,
    UnknownKeyError,
)
from openturret.firmware.config.keys import KEYS
from openturret.firmware.config.store import Configuration, Origin, combine, load, parse_layer


def unit(text: str) -> Configuration:
    return combine(parse_layer(text, Origin.UNIT, "unit.yaml"))


def refusal(text: str) -> str | None:
    try:
        unit(text)
    except ConfigError as error:
        return str(error)
    return None


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_key_that_no_file_sets_has_its_default() -> None:
    configuration = load()
    assert configuration.integer("application.sip.connection.port") == 5060
    assert configuration.text("profile.speaker.7.uri") == ""
    assert configuration.explain("application.sip.connection.port").winner.origin is Origin.DEFAULT


def test_the_profile_wins_over_the_unit_and_both_are_explained(tmp_path: Path) -> None:
    unit_file = write(tmp_path / "unit.yaml", "# unit\nprofile.sip.domain: a.example\n")
    profile = write(tmp_path / "alice.yaml", "profile.sip.domain: b.example\n")
    configuration = load(unit_file, profile)
    assert configuration["profile.sip.domain"] == "b.example"
    explanation = configuration.explain("profile.sip.domain")
    assert [item.value for item in explanation.settings] == [
        "turret.example",
        "a.example",
        "b.example",
    ]
    assert explanation.settings[1].place == f"{unit_file} line 2"


def test_values_are_read_by_the_type_of_the_key_not_by_how_yaml_guesses() -> None:
    configuration = unit(
        "profile.speeddial.1.number: 0033123456789\n"
        "profile.speeddial.2.number: +33123\n"
        "profile.sip.username: 1001\n"
        "profile.sip.password: 12e4\n"
        "profile.user.name: No\n"
        "application.boot.startserver: off\n"
        "application.sip.pbx.servers: 10.11.0.20:5060\n"
    )
    assert configuration.indexed("profile.speeddial.<n>.number") == {
        1: "0033123456789",
        2: "+33123",
    }
    assert configuration.text("profile.sip.username") == "1001"
    assert configuration.text("profile.sip.password") == "12e4"
    assert configuration.text("profile.user.name") == "No"
    assert configuration.flag("application.boot.startserver") is False
    assert configuration.texts("application.sip.pbx.servers") == ("10.11.0.20:5060",)


def test_a_refusal_names_file_line_key_value_allowed_values_and_remedy() -> None:
    with pytest.raises(BadValueError) as refused:
        unit("application.boot.startserver: true\n\napplication.sip.connection.port: seventy\n")
    assert str(refused.value) == (
        "unit.yaml line 3: application.sip.connection.port: 'seventy' is not allowed: it must be "
        "a whole number from 1 to 65535; correct it, or remove the line for the default 5060"
    )


def test_all_wrong_values_of_a_file_are_named_at_once() -> None:
    with pytest.raises(BadValueError) as refused:
        unit("application.mm.rtplowerport: x\napplication.recording.policy: maybe\n")
    assert [line.split(":")[0] for line in str(refused.value).splitlines()] == [
        "unit.yaml line 1",
        "unit.yaml line 2",
    ]


def test_a_refused_secret_is_not_repeated_in_the_message() -> None:
    with pytest.raises(BadValueError) as refused:
        unit('profile.sip.password: "canary\\x07"\n')
    assert "canary" not in str(refused.value)


def test_an_unknown_key_is_kept_and_warned_about() -> None:
    configuration = unit("application.sip.conection.port: 5060\nvendor.thing: [a, b]\n")
    assert configuration.unknown["vendor.thing"] == ("a", "b")
    assert "unit.yaml line 1" in configuration.warnings[0]
    assert "did you mean 'application.sip.connection.port'" in configuration.warnings[0]


def test_asking_for_a_key_that_does_not_exist_says_so() -> None:
    with pytest.raises(UnknownKeyError, match="did you mean"):
        load()["application.sip.connection.ports"]


def test_asking_for_the_wrong_type_is_the_callers_mistake() -> None:
    with pytest.raises(TypeError):
        load().text("application.sip.connection.port")


def test_the_documented_and_the_plain_spelling_mean_the_same_and_exclude_each_other() -> None:
    assert unit("application.xma.trafficin.portref: 0x4000\n").integer(
        "application.xma.trafficin.portef"
    ) == (0x4000)
    with pytest.raises(BadValueError, match="means the same"):
        unit(
            "application.xma.trafficin.portref: 0x4000\napplication.xma.trafficin.portef: 0x4000\n"
        )


def test_a_profile_may_not_configure_the_unit() -> None:
    with pytest.raises(BadValueError, match="a profile may set keys of the user only"):
        parse_layer("application.sip.connection.port: 5080", Origin.PROFILE, "alice.yaml")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a.b: 1\na.b: 2\n", "line 2: a.b was set on line 1 already"),
        ("- a\n- b\n", "must be a list of `key: value` lines"),
        ("a: {b: c}\n", "one text or number"),
        ("a: [[b]]\n", "one text or number"),
        ("a: &x 1\nb: *x\n", "aliases are not used here"),
        ("[a]: b\n", "a key must be a name"),
        ("a: 'open\n", "line 2"),
        ("a: b\n---\nc: d\n", "line"),
        ("\x00", "unit.yaml"),
        ("a: " + "[" * 20_000, "nested too deeply"),
    ],
)
def test_what_is_not_a_flat_list_of_keys_is_refused(text: str, reason: str) -> None:
    with pytest.raises(BadFileError, match=reason.replace("[", r"\[").replace("]", r"\]")):
        unit(text)


def test_an_alias_bomb_is_refused_at_its_first_alias() -> None:
    bomb = "a: &a [x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)
    )
    with pytest.raises(BadFileError, match="line 2: aliases"):
        unit(bomb)


def test_a_tag_that_would_run_code_stays_text() -> None:
    configuration = unit(
        "profile.user.name: !!python/object/apply:os.system [true]\n".replace("[true]", "true")
    )
    assert configuration["profile.user.name"] == "true"


def test_a_file_that_is_too_large_or_missing_or_binary_is_refused(tmp_path: Path) -> None:
    big = write(tmp_path / "big.yaml", "#" * (document.SIZE_MAX + 1))
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (big, binary, tmp_path / "none.yaml"):
        with pytest.raises(BadFileError, match=path.name):
            load(path)


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert dict(load(write(tmp_path / "unit.yaml", "# nothing\n"))) == dict(load())


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda data: data.decode("latin-1")))
def test_any_text_is_a_configuration_or_a_typed_refusal(text: str) -> None:
    assert refusal(text) != ""


@given(
    st.dictionaries(
        st.sampled_from([key.name for key in KEYS if key.indices is None]),
        st.text(max_size=20) | st.integers() | st.booleans() | st.lists(st.text(max_size=9)),
        max_size=5,
    )
)
def test_any_values_for_known_keys_are_taken_or_refused_by_name(
    values: dict[str, object],
) -> None:
    said = refusal(yaml.safe_dump(values))
    assert said is None or any(name in said for name in values) or "want the same port" in said


@pytest.mark.parametrize("size", range(0, 120, 7))
def test_a_file_cut_anywhere_is_read_or_refused(size: int) -> None:
    text = (
        "application.sip.pbx.servers: ['10.11.0.20:5060', '10.12.0.20:5060']\n"
        'application.syslog.server: "10.11.0.10:514"\n'
    )
    assert "unit.yaml" in (refusal(text[:size]) or "unit.yaml")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("application.mm.rtplowerport: 11001\n", "even"),
        ("application.mm.rtpupperport: 10000\n", "above application.mm.rtplowerport"),
        (
            "application.sip.tlsconnection.port: 5060\n",
            "want the same port",
        ),
        ("application.mm.vie.rtplowerport: 12000\n", "want the same port"),
        ("application.sip.websocketsecure.listening.port: 80\n", "want the same port"),
        ("profile.setting.broadcasting.enabled: true\n", "names no group"),
        ("application.xma.enable: true\n", "application.mm.rtplowerport is 11000"),
        (
            "application.xma.enable: true\napplication.xma.trafficin.portrange: 1024\n",
            "application.xma.trafficin.portrange is 1024: .* of the XMA2 make it 2048",
        ),
        (
            "application.xma.enable: true\napplication.mm.rtplowerport: 10240\n",
            "application.mm.rtpupperport is 13000: .* of the XMA2 make it 12286",
        ),
        (
            "application.xma.enable: true\napplication.mm.rtpupperport: 12287\n",
            "application.mm.rtpupperport is 12287: .* make it 12286",
        ),
        (
            "application.xma.enable: true\napplication.xma.trafficin.netmask: 0xF0F0\n",
            "trafficin.netmask: netmask 0xf0f0 is not contiguous; use one like 0xF800",
        ),
        (
            "application.xma.enable: true\napplication.xma.trafficin.portref: 0x2900\n",
            "trafficin.portef: portref 0x2900 is not aligned to netmask 0xf800, a block of 2048 "
            "ports; use 0x2800",
        ),
    ],
)
def test_values_that_contradict_each_other_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ConflictError, match=reason):
        unit(text)


@pytest.mark.parametrize(
    ("portref", "netmask", "last"),
    [
        (0x2800, 0xF800, 12286),
        (0x2C00, 0xFC00, 12286),
        (0x4000, 0xF000, 20478),
        (0x4800, 0xF800, 20478),
        (0x8000, 0xF000, 36862),
        (0x8800, 0xF800, 36862),
    ],
)
def test_the_six_ranges_of_an_xma_are_valid_or_collide_only_with_video(
    portref: int, netmask: int, last: int
) -> None:
    configuration = unit(
        "application.xma.enable: true\n"
        f"application.xma.trafficin.portref: {portref:#x}\n"
        f"application.xma.trafficin.netmask: {netmask:#x}\n"
        f"application.xma.trafficin.portrange: {(~netmask & 0xFFFF) + 1}\n"
        f"application.mm.rtplowerport: {portref}\n"
        f"application.mm.rtpupperport: {last}\n"
    )
    assert configuration.integer("application.mm.rtpupperport") == last


def test_websocket_shares_the_port_of_web_administration() -> None:
    assert unit("application.sip.websocket.listening.port: 80\n")


def test_only_keys_that_wait_for_a_restart_are_said_to() -> None:
    old = unit("")
    new = unit("application.sip.connection.port: 5080\nprofile.user.name: Alice\n")
    assert old.restart_needed(new) == ("application.sip.connection.port",)
