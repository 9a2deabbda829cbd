"""DHCP messages: a datagram is one or a WireError, and so is every option that a unit reads."""

from functools import partial

from openturret.boot.wire.dhcp import BootpOp, DhcpMessage, MessageType, Option, Options
from openturret.boot.wire.errors import WireError

from ..data import captured, tolerate

ERRORS = (WireError,)
_ADDRESS = bytes([10, 1, 0, 2])
_LONG = Options(
    (
        (Option.MESSAGE_TYPE, bytes([MessageType.ACK])),
        (Option.VENDOR_SPECIFIC, b"\x01\x04\x0a\x01\x00\x02" * 50),
        (Option.CLASSLESS_ROUTES, b"\x18\x0a\x02\x00" + _ADDRESS + b"\x00" + _ADDRESS),
        (Option.VENDOR_IDENTIFYING, b"\0\0\x01\x37\x04\x01\x02ab"),
        (Option.DOMAIN_SEARCH, b"\x07example\x00\xc0\x00"),
        (Option.LEASE_TIME, b"\0\0\x0e\x10"),
        (Option.ROUTER, _ADDRESS * 3),
    )
)


def seeds() -> list[bytes]:
    long = DhcpMessage(BootpOp.REPLY, 7, options=_LONG, server_name="tss", file="boot.yaml")
    return [*captured("dhcp_*.bin"), bytes(long)]


def run(data: bytes) -> None:
    message = DhcpMessage.parse(data)
    again = DhcpMessage.parse(bytes(message))
    if again != message:
        raise AssertionError(f"{message} became {again}")
    options = message.options
    for code, _ in options.items:
        tolerate(
            ERRORS,
            partial(options.address, code),
            partial(options.addresses, code),
            partial(options.seconds, code),
            partial(options.text, code),
        )
    tolerate(
        ERRORS,
        options.routes,
        options.vendor_specific,
        options.vendor_identifying,
        options.domain_search,
        lambda: message.type,
    )
