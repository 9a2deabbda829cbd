"""DNS answers: a datagram is one or a WireError, and aliases come to an end."""

from openturret.boot.wire.dns import Answer
from openturret.boot.wire.errors import WireError

from ..data import captured, tolerate

ERRORS = (WireError,)


def seeds() -> list[bytes]:
    return captured("dns_*.bin")


def run(data: bytes) -> None:
    answer = Answer.parse(data)
    tolerate(ERRORS, answer.target, answer.addresses, answer.services)
    if not answer.truncated and Answer.parse(bytes(answer)) != answer:
        raise AssertionError(f"{answer} does not survive its own bytes")
