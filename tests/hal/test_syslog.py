import logging
import re
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.hal.syslog import (
    MESSAGE_BYTES_MAX,
    RateLimit,
    Redactor,
    SyslogFormatter,
    SyslogHandler,
    connect,
    truncated,
)

RFC_5424 = re.compile(
    r"<(?P<pri>[0-9]{1,3})>1 "
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) "
    r"(?P<host>[\x21-\x7e]{1,255}) (?P<app>[\x21-\x7e]{1,48}) (?P<pid>[\x21-\x7e]{1,128}) "
    r"(?P<id>[\x21-\x7e]{1,32}) - (?P<msg>.*)"
)


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def record(text: str, level: int = logging.INFO, name: str = "turret.sip") -> logging.LogRecord:
    return logging.LogRecord(name, level, "", 0, text, None, None)


def formatted(text: str, level: int = logging.INFO, name: str = "turret.sip") -> str:
    return SyslogFormatter("TP-0001", "runtime", process=42).format(record(text, level, name))


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.DEBUG, 135), (logging.INFO, 134), (logging.WARNING, 132), (logging.ERROR, 131)],
)
def test_a_level_becomes_facility_and_severity(level: int, priority: int) -> None:
    match = RFC_5424.fullmatch(formatted("registered", level))
    assert match
    assert int(match["pri"]) == priority


@given(st.text(), st.text(min_size=1))
def test_whatever_is_logged_is_one_line_of_rfc_5424(text: str, name: str) -> None:
    match = RFC_5424.fullmatch(formatted(text.replace("%", "%%"), name=name))
    assert match
    assert not re.search(r"[\x00-\x1f]", match["msg"])


def test_text_that_is_not_ascii_is_marked_as_utf8() -> None:
    assert formatted("liaison coupée").split(" - ")[1].startswith("\ufeff")


def test_a_forged_line_stays_inside_its_message() -> None:
    assert formatted("user a\n<0>1 forged").endswith(r"user a\n<0>1 forged")


@pytest.mark.parametrize(
    "text",
    [
        "password=canary",
        "profile.sip.password: canary",
        "{'password': 'canary'}",
        '{"token": "canary"}',
        "Authorization: Bearer canary",
        'Authorization: Digest username="1001", response="canary"',
        "Cookie: canary",
        "the user typed canary",
    ],
)
def test_a_secret_never_leaves(text: str) -> None:
    redactor = Redactor()
    redactor.learn("canary")
    cleaned = SyslogFormatter("h", "a", process=1, redactor=redactor).format(record(text))
    assert "canary" not in cleaned


def test_a_secret_in_a_traceback_never_leaves() -> None:
    redactor = Redactor()
    redactor.learn("canary")
    try:
        int("canary")
    except ValueError as error:
        failed = record("failed", logging.ERROR)
        failed.exc_info = (ValueError, error, error.__traceback__)
    assert "canary" not in SyslogFormatter("h", "a", process=1, redactor=redactor).format(failed)


@given(st.text(max_size=50), st.integers(0, 60))
def test_a_cut_never_splits_a_character(text: str, size: int) -> None:
    data = truncated(text.encode(), size)
    assert len(data) <= size or data == text.encode()
    assert text.startswith(data.decode())


@pytest.fixture
def server() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 0))
    listener.settimeout(5)
    return listener


def handler_to(server: socket.socket, limit: RateLimit) -> SyslogHandler:
    handler = SyslogHandler(connect(f"127.0.0.1:{server.getsockname()[1]}"), limit)
    handler.setFormatter(SyslogFormatter("TP-0001", "runtime", process=42))
    return handler


def test_a_record_arrives_as_one_datagram(server: socket.socket) -> None:
    with server:
        handler = handler_to(server, RateLimit(1, 10, Seconds()))
        handler.handle(record("registered"))
        handler.close()
        assert server.recv(9000).endswith(b"turret.sip - registered")


def test_a_long_message_is_cut_to_what_every_receiver_takes(server: socket.socket) -> None:
    with server:
        handler = handler_to(server, RateLimit(1, 10, Seconds()))
        handler.handle(record("é" * 4000))
        handler.close()
        assert MESSAGE_BYTES_MAX - 1 <= len(server.recv(9000)) <= MESSAGE_BYTES_MAX


def test_a_flood_is_limited_and_what_was_left_out_is_said(server: socket.socket) -> None:
    seconds = Seconds()
    with server:
        handler = handler_to(server, RateLimit(rate_hz=1, burst=3, monotonic=seconds))
        for number in range(10):
            handler.handle(record(f"line {number}"))
        seconds.now = 1.0
        handler.handle(record("after"))
        handler.close()
        heard = [server.recv(9000).decode().split(" - ")[1] for _ in range(4)]
    assert heard == ["line 0", "line 1", "line 2", "after (7 earlier messages left out)"]


def test_a_server_that_is_gone_stops_nobody(server: socket.socket) -> None:
    handler = handler_to(server, RateLimit(1, 100, Seconds()))
    server.close()
    for number in range(5):
        handler.handle(record(f"line {number}"))
    handler.close()


def test_a_server_that_does_not_exist_is_an_error_to_the_caller() -> None:
    with pytest.raises(OSError, match=r".+"):
        connect("does-not-exist.invalid:514")


ELEMENT = re.compile(r'\[turret@32473( [a-z_]+="(?:[^"\\\]]|\\["\\\]])*")+\] ')


@given(st.dictionaries(st.sampled_from(["stage", "event", "file"]), st.text(), min_size=1))
def test_whatever_is_structured_is_one_element_of_rfc_5424(parameters: dict[str, str]) -> None:
    said = record("text")
    said.structured = parameters
    line = SyslogFormatter("TP-0001", "boot", process=42).format(said)
    assert ELEMENT.match(line.split(" ", 6)[6])
    assert line.endswith("] text")
    assert not re.search(r"[\x00-\x1f]", line)


def test_structured_data_says_no_secret_and_stays_whole() -> None:
    redactor = Redactor()
    redactor.learn("canary")
    said = record("text")
    said.structured = {"message": "canary" * 100, "remedy": "x" * 5000, "code": 7}
    line = SyslogFormatter("TP-0001", "boot", process=42, redactor=redactor).format(said)
    assert "canary" not in line
    assert 'code="7"] text' in line
    assert len(line) < MESSAGE_BYTES_MAX
