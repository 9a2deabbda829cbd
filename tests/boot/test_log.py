import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from openturret.boot.document import Document
from openturret.boot.folder import StateFolder
from openturret.boot.log import (
    MAX_BACKLOG,
    Backlog,
    Syslog,
    formatter,
    learn_secrets,
    start_log,
    syslog_address,
)
from openturret.hal.syslog import Redactor

# RFC 5424 section 6: PRI VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID SD MSG
LINE = re.compile(
    r"<(?P<pri>\d{1,3})>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z OT-0001 boot \d+ "
    r"openturret.boot.lan.dhcp - (?P<text>.*)"
)


def record(level: int, text: str, *values: object) -> logging.LogRecord:
    return logging.LogRecord("openturret.boot.lan.dhcp", level, __file__, 1, text, values, None)


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """The log of everything of ours, as it was before once the test is over."""
    log = logging.getLogger("openturret")
    before, level = list(log.handlers), log.level
    log.setLevel(logging.INFO)
    yield log
    log.handlers[:] = before
    log.setLevel(level)


@pytest.fixture
def sink() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        sink.settimeout(2)
        yield sink


def test_a_line_is_rfc_5424() -> None:
    line = formatter("OT-0001", Redactor()).format(record(logging.WARNING, "lease %s", "x"))
    match = LINE.fullmatch(line)
    assert match is not None
    assert (match["pri"], match["text"]) == ("132", "lease x")


def test_what_a_server_said_cannot_forge_a_line() -> None:
    evil = "no\n<134>1 2026-01-01T00:00:00.000Z OT-0001 boot 1 x - all is well\x1b[2J"
    line = formatter("OT-0001", Redactor()).format(record(logging.ERROR, "TSS: %s", evil))
    assert "\n" not in line
    assert "\x1b" not in line
    assert LINE.fullmatch(line)


def test_file_and_events_are_written_and_neither_has_a_secret(
    tmp_path: Path, log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    redactor, folder = Redactor(), StateFolder(tmp_path)
    redactor.learn("canary")
    start_log(folder, "OT-0001", redactor, verbose=False)
    log.info("the word is %s", "canary")
    log.warning("alarm: %s", "canary", extra={"structured": {"event": "x", "message": "canary"}})
    written = folder.log.read_text().splitlines()
    lines = [line for line in written if " openturret " in line]  # a thread of before may speak
    assert len(lines) == 2
    assert '[turret@32473 event="x" message="***"]' in lines[1]
    assert folder.events.read_text().count("\n") == 1, "only what is an event"
    shown = folder.log.read_text() + folder.events.read_text() + capsys.readouterr().err
    assert "canary" not in shown
    assert "***" in shown


def test_a_medium_that_takes_no_log_stops_nobody(tmp_path: Path, log: logging.Logger) -> None:
    (tmp_path / "log").write_text("a file where the folder should be")
    start_log(StateFolder(tmp_path), "OT-0001", Redactor(), verbose=False)
    log.warning("x", extra={"structured": {"event": "x"}})


def test_what_was_said_before_a_server_was_known_is_sent_in_order_and_once(
    log: logging.Logger, sink: socket.socket
) -> None:
    syslog = Syslog("OT-0001", Redactor(), lambda: 0.0)
    syslog.open()
    log.info("one")
    log.info("two")
    syslog.send_to("{}:{}".format(*sink.getsockname()))
    log.info("three", extra={"structured": {"event": "done", "stage": "dhcp"}})
    syslog.close()
    log.info("four")
    heard = [sink.recv(2048).decode() for _ in range(3)]
    assert [line.split()[-1] for line in heard] == ["one", "two", "three"]
    assert '[turret@32473 event="done" stage="dhcp"]' in heard[2]
    sink.setblocking(False)
    with pytest.raises(BlockingIOError):
        sink.recv(2048)


def test_only_the_newest_are_kept_while_no_server_is_known() -> None:
    backlog, kept = Backlog(capacity=3), logging.Handler()
    said: list[str] = []
    kept.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    for number in range(5):
        backlog.handle(record(logging.INFO, "line %d", number))
    backlog.pass_on(kept)
    backlog.pass_on(kept)
    assert said == ["line 2", "line 3", "line 4"]


def test_a_flood_of_lines_is_limited(log: logging.Logger, sink: socket.socket) -> None:
    now = [0.0]
    syslog = Syslog("OT-0001", Redactor(), lambda: now[0])
    syslog.send_to("{}:{}".format(*sink.getsockname()))
    sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_194_304)
    for number in range(MAX_BACKLOG + 70):
        log.info("line %d", number)
    now[0] = 1.0
    log.info("after")
    syslog.close()
    heard = [sink.recv(2048).decode() for _ in range(MAX_BACKLOG + 1)]
    assert heard[-1].endswith("after (70 earlier messages left out)")


@pytest.mark.parametrize("server", [None, "", "tss1:514", "10.11.0.10:x", 7])
def test_without_a_server_that_is_one_nothing_is_kept_any_longer(
    log: logging.Logger, server: object
) -> None:
    before = list(log.handlers)
    syslog = Syslog("OT-0001", Redactor(), lambda: 0.0)
    syslog.open()
    syslog.send_to(server)
    assert log.handlers == before


def test_keys_that_sound_like_a_secret_are_learned() -> None:
    redactor = Redactor()
    values = {
        "application.global.snmp.read.community": "hush-hush",
        "profile.sip.password": "s3cret",
        "application.config.version": 7,
        "application.web.port": "eighty",
    }
    learn_secrets(Document(values), redactor)
    assert redactor.clean("hush-hush s3cret eighty 7") == "*** *** eighty 7"


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
