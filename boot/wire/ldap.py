r"""LDAPv3 messages for a simple bind and the reading of one entry (RFC 4511), bounded.

BER is read as §5.1 restricts it: definite lengths, one-octet tags.  Nothing here recurses, so
depth costs nothing; a message is refused by its length before it is received.

>>> bytes(BindRequest(1, "uid=a", "pw")).hex(" ")
'30 13 02 01 01 60 0e 02 01 03 04 05 75 69 64 3d 61 80 02 70 77'
>>> parse_response(bytes(BindResponse(1, Result(49)))).result.code
49
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from .errors import MalformedError, TruncatedError

MAX_MESSAGE_BYTES: Final = 65_536
"""The longest answer that is read; a result and one name need some hundred."""

MAX_MESSAGE_ID: Final = 2**31 - 1
SUCCESS: Final = 0
NOTICE_OF_DISCONNECTION: Final = "1.3.6.1.4.1.1466.20036"
"""Name of the message that a server sends unasked before it hangs up (RFC 4511 §4.4.1)."""

_VERSION = b"\x03"
_INTEGER, _OCTETS, _ENUMERATED, _SEQUENCE, _SET, _BOOLEAN = 0x02, 0x04, 0x0A, 0x30, 0x31, 0x01
_BIND, _BOUND, _UNBIND, _SEARCH = 0x60, 0x61, 0x42, 0x63
_ENTRY, _DONE, _REFERENCE, _EXTENDED = 0x64, 0x65, 0x73, 0x78
_PASSWORD, _PRESENT, _REFERRAL, _RESPONSE_NAME = 0x80, 0x87, 0xA3, 0x8A
_LONG_FORM, _MAX_LENGTH_OCTETS, _MAX_INTEGER_OCTETS = 0x80, 4, 4
_MULTI_OCTET_TAG = 0x1F
_ESCAPED = frozenset('"+,;<=>\\')


@dataclass(frozen=True, slots=True)
class BindRequest:
    """Asks for a simple bind (§4.2).

    Without a name or a password a server would bind anonymously and say success (§5.1.2 of
    RFC 4513), so such a request cannot be made.

    Raises:
        MalformedError: Name or password is empty.
    """

    message_id: int
    name: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.name or not self.password:
            raise MalformedError("a bind without name or password is an anonymous one")

    def __bytes__(self) -> bytes:
        password = _element(_PASSWORD, self.password.encode())
        version = _element(_INTEGER, _VERSION)
        return _message(self.message_id, _element(_BIND, version, _text(self.name), password))


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Asks for some attributes of one entry: a search of scope base for anything (§4.5.1)."""

    message_id: int
    name: str
    attributes: tuple[str, ...]

    def __bytes__(self) -> bytes:
        base, never_dereference = _element(_ENUMERATED, b"\0"), _element(_ENUMERATED, b"\0")
        size_limit, no_time_limit = _element(_INTEGER, b"\1"), _element(_INTEGER, b"\0")
        return _message(
            self.message_id,
            _element(
                _SEARCH, _text(self.name), base, never_dereference, size_limit, no_time_limit,
                _element(_BOOLEAN, b"\0"), _element(_PRESENT, b"objectClass"),
                _element(_SEQUENCE, *map(_text, self.attributes)),
            ),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class UnbindRequest:
    """Says goodbye; there is no answer (§4.3)."""

    message_id: int

    def __bytes__(self) -> bytes:
        return _message(self.message_id, _element(_UNBIND))


@dataclass(frozen=True, slots=True)
class Result:
    """How an operation ended (§4.1.9).

    Attributes:
        code: 0 is success; see RFC 4511 appendix A.
        diagnostic: What the server adds, for the log.
        referrals: Where it would send us; never followed.
    """

    code: int
    matched_name: str = ""
    diagnostic: str = ""
    referrals: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """Returns the components that every result begins with."""
        elsewhere = _element(_REFERRAL, *map(_text, self.referrals)) if self.referrals else b""
        code = _element(_ENUMERATED, _integer(self.code))
        return code + _text(self.matched_name) + _text(self.diagnostic) + elsewhere


@dataclass(frozen=True, slots=True)
class BindResponse:
    """The answer to a bind (§4.2.2)."""

    message_id: int
    result: Result

    def __bytes__(self) -> bytes:
        return _message(self.message_id, _element(_BOUND, self.result.encode()))


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry that a search found (§4.5.2)."""

    message_id: int
    name: str
    attributes: tuple[tuple[str, tuple[bytes, ...]], ...] = ()

    def __bytes__(self) -> bytes:
        lists = (
            _element(
                _SEQUENCE, _text(kind), _element(_SET, *(_element(_OCTETS, v) for v in values))
            )
            for kind, values in self.attributes
        )
        body = _text(self.name) + _element(_SEQUENCE, *lists)
        return _message(self.message_id, _element(_ENTRY, body))

    def first(self, attribute: str) -> str:
        """Returns the first value of an attribute as text; empty when there is none."""
        for kind, values in self.attributes:
            if kind.lower() == attribute.lower() and values:
                return values[0].decode(errors="replace")
        return ""


@dataclass(frozen=True, slots=True)
class Reference:
    """Another server that a search would go on at (§4.5.3); never followed."""

    message_id: int
    urls: tuple[str, ...]

    def __bytes__(self) -> bytes:
        return _message(self.message_id, _element(_REFERENCE, *map(_text, self.urls)))


@dataclass(frozen=True, slots=True)
class SearchDone:
    """The end of a search (§4.5.2)."""

    message_id: int
    result: Result

    def __bytes__(self) -> bytes:
        return _message(self.message_id, _element(_DONE, self.result.encode()))


@dataclass(frozen=True, slots=True)
class ExtendedResponse:
    """The answer to what was never asked here: with message id 0, a notice (§4.4)."""

    message_id: int
    result: Result
    name: str = ""

    def __bytes__(self) -> bytes:
        name = _element(_RESPONSE_NAME, self.name.encode()) if self.name else b""
        return _message(self.message_id, _element(_EXTENDED, self.result.encode(), name))


Response: TypeAlias = BindResponse | Entry | Reference | SearchDone | ExtendedResponse


def length_octets(head: bytes) -> int:
    """Returns how many octets of length follow the first two of a message, 0 to 4.

    Raises:
        TruncatedError: There are not two.
        MalformedError: No message, or a length that RFC 4511 §5.1 forbids.
    """
    if len(head) < 2:
        raise TruncatedError("an LDAP message has at least two octets")
    if head[0] != _SEQUENCE:
        raise MalformedError(f"an LDAP message starts with 0x30, not 0x{head[0]:02x}")
    if head[1] < _LONG_FORM:
        return 0
    octets = head[1] - _LONG_FORM
    if not 1 <= octets <= _MAX_LENGTH_OCTETS:
        raise MalformedError(f"a length of {octets} octets is not between 1 and 4")
    return octets


def content_length(head: bytes) -> int:
    """Returns how many octets follow the head of a message: tag and all of the length.

    Raises:
        TruncatedError: The head is shorter than it says.
        MalformedError: As `length_octets`, or the message is longer than ``MAX_MESSAGE_BYTES``.
    """
    octets = length_octets(head)
    if len(head) < 2 + octets:
        raise TruncatedError("the length of an LDAP message is cut off")
    length = int.from_bytes(head[2 : 2 + octets]) if octets else head[1]
    if length > MAX_MESSAGE_BYTES:
        raise MalformedError(f"an LDAP message of {length} octets exceeds {MAX_MESSAGE_BYTES}")
    return length


def parse_response(data: bytes) -> Response:
    """Returns the message that a server sent; what extensions add to it is left out.

    Raises:
        TruncatedError: It ends too early.
        MalformedError: It is not one message, or none that a client may be sent.
    """
    end = 2 + length_octets(data) + content_length(data)
    if len(data) > end:
        raise MalformedError(f"{len(data) - end} octets follow the LDAP message")
    message = _Elements(_Elements(data).take(_SEQUENCE))
    message_id = _number(message.take(_INTEGER))
    tag, body = message.next()
    if tag == _ENTRY:
        return _parse_entry(message_id, _Elements(body))
    if tag == _REFERENCE:
        return Reference(message_id, tuple(_texts(body)))
    return _parse_result(message_id, tag, _Elements(body))


def escape_dn_value(value: str) -> str:
    r"""Returns a value as it may stand in a distinguished name (RFC 4514 §2.4).

    >>> escape_dn_value("a,ou=admins")
    'a\\,ou\\=admins'
    """
    last = len(value) - 1
    return "".join(
        "\\" + character
        if character in _ESCAPED
        or (character == " " and at in (0, last))
        or (character == "#" and at == 0)
        else character.replace("\0", "\\00")
        for at, character in enumerate(value)
    )


def _parse_result(message_id: int, tag: int, body: "_Elements") -> Response:
    if tag not in (_BOUND, _DONE, _EXTENDED):
        raise MalformedError(f"0x{tag:02x} is no LDAP answer")
    code = _number(body.take(_ENUMERATED))
    matched, diagnostic = _lenient(body.take(_OCTETS)), _lenient(body.take(_OCTETS))
    extras = dict(body)
    result = Result(code, matched, diagnostic, tuple(_texts(extras.get(_REFERRAL, b""))))
    if tag == _BOUND:
        return BindResponse(message_id, result)
    if tag == _DONE:
        return SearchDone(message_id, result)
    return ExtendedResponse(message_id, result, _strict(extras.get(_RESPONSE_NAME, b"")))


def _parse_entry(message_id: int, body: "_Elements") -> Entry:
    name = _strict(body.take(_OCTETS))
    attributes = []
    for tag, content in _Elements(body.take(_SEQUENCE)):
        if tag != _SEQUENCE:
            raise MalformedError(f"0x{tag:02x} is no attribute")
        attribute = _Elements(content)
        kind = _strict(attribute.take(_OCTETS))
        attributes.append((kind, tuple(_octet_strings(attribute.take(_SET)))))
    return Entry(message_id, name, tuple(attributes))


class _Elements:
    """Walks over BER elements that stand side by side."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        while self._at < len(self._data):
            yield self.next()

    def take(self, wanted: int) -> bytes:
        """Returns the content of the next element, which has to be of that kind."""
        tag, content = self.next()
        if tag != wanted:
            raise MalformedError(f"0x{tag:02x} stands where 0x{wanted:02x} belongs")
        return content

    def next(self) -> tuple[int, bytes]:
        """Returns tag and content of the next element."""
        tag, length = self._octet(), self._length()
        if tag & _MULTI_OCTET_TAG == _MULTI_OCTET_TAG:
            raise MalformedError("a tag of several octets is none of LDAP's")
        return tag, self._octets(length)

    def _length(self) -> int:
        first = self._octet()
        if first < _LONG_FORM:
            return first
        octets = first - _LONG_FORM
        if not 1 <= octets <= _MAX_LENGTH_OCTETS:
            raise MalformedError(f"a length of {octets} octets is not between 1 and 4")
        return int.from_bytes(self._octets(octets))

    def _octet(self) -> int:
        return self._octets(1)[0]

    def _octets(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise TruncatedError(f"{count} octets are promised, {len(self._data) - self._at} there")
        self._at, begin = end, self._at
        return self._data[begin:end]


def _number(content: bytes) -> int:
    if not 1 <= len(content) <= _MAX_INTEGER_OCTETS or content[0] & _LONG_FORM:
        raise MalformedError(f"{content[:8].hex()} is no number between 0 and {MAX_MESSAGE_ID}")
    return int.from_bytes(content)


def _octet_strings(data: bytes) -> Iterator[bytes]:
    for tag, content in _Elements(data):
        if tag != _OCTETS:
            raise MalformedError(f"0x{tag:02x} is no octet string")
        yield content


def _texts(data: bytes) -> Iterator[str]:
    return map(_strict, _octet_strings(data))


def _strict(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise MalformedError("a name is not UTF-8") from error


def _lenient(content: bytes) -> str:
    """Words for people: some servers write them in another code, and nothing hangs on them."""
    return content.decode(errors="replace")


def _message(message_id: int, operation: bytes) -> bytes:
    return _element(_SEQUENCE, _element(_INTEGER, _integer(message_id)), operation)


def _text(value: str) -> bytes:
    return _element(_OCTETS, value.encode())


def _integer(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1)


def _element(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return bytes([tag]) + _encode_length(len(content)) + content


def _encode_length(length: int) -> bytes:
    if length < _LONG_FORM:
        return bytes([length])
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([_LONG_FORM + len(octets)]) + octets
