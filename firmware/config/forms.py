"""How a text value must look, as a sentence for people and a check for the store."""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Callable


class Form(enum.Enum):
    """The look of a text value; each member's value completes "must be ..."."""

    FREE = "text"
    ADDRESS = "an IPv4 address such as 127.0.0.1"
    ENDPOINT = "address:port such as 10.11.0.20:5060"
    SIP_URI = "a SIP address such as sip:recorder@10.11.0.30:5060;transport=tcp"
    LDAPS_URL = "a directory address such as ldaps://ldap.turret.example:636"
    USER_DN = "a distinguished name with {user} in it once, such as uid={user},ou=people"
    MULTICAST = "a multicast address such as 239.1.1.1 or 239.1.1.1:9876"
    DIAL = "a number or SIP address to dial, such as 2001"
    CODEC = "PCMU, PCMA, G722 or OPUS"
    TRANSPORT = "ftpes or https"
    NAME = "letters, digits, dot, dash and underscore"

    def accepts(self, text: str) -> bool:
        """Whether `text` has this form (control characters never do).

        >>> Form.ENDPOINT.accepts("10.11.0.20:5060"), Form.ENDPOINT.accepts("10.11.0.20")
        (True, False)
        """
        return text.isprintable() and _CHECKS[self](text)


_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
_ENDPOINT = re.compile(rf"({_HOST}):([0-9]{{1,5}})")
_SIP_URI = re.compile(
    rf"sips?:(?:[A-Za-z0-9_.!~*'()&=+$,;?/%-]{{1,64}}@)?({_HOST})(?::([0-9]{{1,5}}))?"
    r"(?:;[A-Za-z0-9_.!~*'()%+-]{1,64}(?:=[A-Za-z0-9_.!~*'()%+:-]{1,128})?){0,8}"
)
_LDAPS_URL = re.compile(rf"ldaps://({_HOST})(?::([0-9]{{1,5}}))?/?")
_DIAL = re.compile(r"[0-9A-Za-z+*#][0-9A-Za-z+*#._-]{0,63}")
CODECS = ("PCMU", "PCMA", "G722", "OPUS")
TRANSPORTS = ("ftpes", "https")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


def _is_port(text: str | None) -> bool:
    return text is None or 1 <= int(text) <= 65535


def _is_address(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_endpoint(text: str) -> bool:
    match = _ENDPOINT.fullmatch(text)
    return match is not None and _is_port(match[2])


def _is_sip_uri(text: str) -> bool:
    match = _SIP_URI.fullmatch(text)
    return match is not None and _is_port(match[2])


def _is_ldaps_url(text: str) -> bool:
    match = _LDAPS_URL.fullmatch(text)
    return match is not None and _is_port(match[2])


def _is_multicast(text: str) -> bool:
    address, _, port = text.partition(":")
    return (
        _is_address(address)
        and ipaddress.IPv4Address(address).is_multicast
        and (not port or (port.isdecimal() and _is_port(port)))
    )


def _is_dial(text: str) -> bool:
    return _DIAL.fullmatch(text) is not None or _is_sip_uri(text)


_CHECKS: dict[Form, Callable[[str], bool]] = {
    Form.FREE: lambda text: len(text) <= 1024,
    Form.ADDRESS: _is_address,
    Form.ENDPOINT: _is_endpoint,
    Form.SIP_URI: _is_sip_uri,
    Form.LDAPS_URL: _is_ldaps_url,
    Form.USER_DN: lambda text: len(text) <= 512 and text.count("{user}") == 1,
    Form.MULTICAST: _is_multicast,
    Form.DIAL: _is_dial,
    Form.CODEC: lambda text: text in CODECS,
    Form.TRANSPORT: lambda text: text in TRANSPORTS,
    Form.NAME: lambda text: _NAME.fullmatch(text) is not None,
}
