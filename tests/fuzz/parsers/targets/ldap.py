"""LDAP messages of a server: one, or a WireError; never longer than its head may say."""

from openturret.boot.wire.errors import WireError
from openturret.boot.wire.ldap import (
    MAX_MESSAGE_BYTES,
    Entry,
    ExtendedResponse,
    Reference,
    Result,
    content_length,
    escape_dn_value,
    parse_response,
)

from ..data import captured

ERRORS = (WireError,)


def seeds() -> list[bytes]:
    referral = Result(10, "dc=example", "elsewhere", ("ldap://10.1.0.2/",))
    return [
        *captured("ldap_*.bin"),
        bytes(Entry(300, "uid=a", (("cn", (b"A" * 200, b"B")), ("sn", ())))),
        bytes(Reference(2, ("ldap://10.1.0.2/",))),
        bytes(ExtendedResponse(0, referral, "1.3.6.1.4.1.1466.20036")),
    ]


def run(data: bytes) -> None:
    if content_length(data) > MAX_MESSAGE_BYTES:
        raise AssertionError("longer than is allowed")
    message = parse_response(data)
    if parse_response(bytes(message)) != message:
        raise AssertionError(f"{message} does not survive its own bytes")
    if isinstance(message, Entry):
        escape_dn_value(message.name)
