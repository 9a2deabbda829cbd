import logging
import re
import socket
from pathlib import Path

import pytest

from openturret.boot.log import (
    Backlog,
    Rfc5424Formatter,
    SyslogHandler,
    log_to_file,
    rotate,
    severity,
    syslog_address,
)

# RFC 5424 section 6: PRI VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID SD MSG
LINE = re.compile(
    r"<(?P<pri>\d{1,3})>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z OT-0001 boot \d+ dhcp - "
    r"(?P<text>.*)"
)


def record(level: int, text: str, *values: object) -> logging.LogRecord:
    return logging.LogRecord("openturret.boot.dhcp", level, __file__, 1, text, values, None)


def test_a_line_is_rfc_5424() -> None:
    line = Rfc5424Formatter("OT-0001", "boot").format(record(logging.WARNING, "lease %s", "x"))
    match = LINE.fullmatch(line)
    assert match is not None
    assert (match["pri"], match["text"]) == ("132", "lease x")


def test_what_a_server_said_cannot_forge_a_line() -> None:
    evil = "no\n<134>1 2026-01-01T00:00:00.000Z OT-0001 boot 1 x - all is well\x1b[2J"
    line = Rfc5424Formatter("OT-0001", "boot").format(record(logging.ERROR, "TSS: %s", evil))
    assert "\n" not in line
    assert "\x1b" not in line
    assert LINE.fullmatch(line)


def test_severities_are_those_of_syslog() -> None:
    levels = (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)
    assert [severity(level) for level in levels] == [2, 3, 4, 6, 7]


def test_records_reach_a_syslog_server() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        sink.settimeout(2)
        handler = SyslogHandler(sink.getsockname())
        handler.setFormatter(Rfc5424Formatter("OT-0001", "boot"))
        handler.emit(record(logging.INFO, "hello"))
        assert LINE.fullmatch(sink.recv(2048).decode())
        handler.emit(record(logging.INFO, "x" * 10_000))
        assert len(sink.recv(65_535)) == 2048
        handler.close()
        handler.emit(record(logging.INFO, "after the end"))


def test_a_log_that_has_grown_is_moved_aside(tmp_path: Path) -> None:
    log = tmp_path / "log" / "boot.log"
    handler = log_to_file(log, Rfc5424Formatter("OT-0001", "boot"))
    handler.emit(record(logging.INFO, "hello"))
    handler.close()
    rotate(log, max_bytes=10)
    assert not log.exists()
    assert LINE.fullmatch((tmp_path / "log" / "boot.log.1").read_text().strip())


def test_what_was_said_before_a_server_was_known_is_sent_in_order_and_once() -> None:
    backlog = Backlog(capacity=3)
    for number in range(5):
        backlog.handle(record(logging.INFO, "line %d", number))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        sink.settimeout(2)
        handler = SyslogHandler(sink.getsockname())
        backlog.pass_on(handler)
        backlog.pass_on(handler)
        handler.handle(record(logging.INFO, "the end"))
        handler.close()
        heard = [sink.recv(2048).decode() for _ in range(4)]
    assert heard == ["line 2", "line 3", "line 4", "the end"]


def test_a_syslog_server_is_an_address_and_a_port() -> None:
    assert syslog_address("10.11.0.10:514") == ("10.11.0.10", 514)


@pytest.mark.parametrize(
    "text",
    ["", "10.11.0.10", "tss1.turret.example:514", "10.11.0.10:0", "10.11.0.10:65536", ":514",
     "10.11.0.10:\u0665", "10.11.0.10:-1"],
)  # fmt: skip
def test_what_would_make_a_log_line_wait_or_raise_is_no_syslog_server(text: str) -> None:
    with pytest.raises(ValueError, match=r"not address:port|[Aa]ddress|octet"):
        syslog_address(text)
