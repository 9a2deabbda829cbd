r"""The one SIP request that the boot sends: is anybody there (RFC 3261 section 11)?

>>> is_answer(b"SIP/2.0 200 OK\r\n")
True
"""

import re
from dataclasses import dataclass
from typing import Final

MAX_BYTES: Final = 2048
"""A longer answer is an answer too; its end is not read."""

_STATUS_LINE = re.compile(rb"SIP/2\.0 [1-6][0-9][0-9] ")


@dataclass(frozen=True, slots=True)
class Options:
    """OPTIONS to a server, over UDP.

    Attributes:
        local: Address and port that it is sent from.
        peer: Address and port that it is sent to.
        token: Makes it another request than any other; letters and digits.
    """

    local: tuple[str, int]
    peer: tuple[str, int]
    token: str

    def __bytes__(self) -> bytes:
        local, peer = (f"{host}:{port}" for host, port in (self.local, self.peer))
        lines = (
            f"OPTIONS sip:{peer} SIP/2.0",
            f"Via: SIP/2.0/UDP {local};branch=z9hG4bK{self.token};rport",
            "Max-Forwards: 70",
            f"From: <sip:health@{local}>;tag={self.token}",
            f"To: <sip:{peer}>",
            f"Call-ID: {self.token}@{self.local[0]}",
            "CSeq: 1 OPTIONS",
            "Content-Length: 0",
            "\r\n",
        )
        return "\r\n".join(lines).encode()


def is_answer(data: bytes) -> bool:
    """Whether a datagram is an answer of a SIP server, whatever it says."""
    return _STATUS_LINE.match(data) is not None
