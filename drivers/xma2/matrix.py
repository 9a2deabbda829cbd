"""The mixing matrix of an XMA2: the protocol of the unit's own, at the module's address."""

import re
from typing import Final

from ...hal.errors import BoardError
from ...hal.matrix import MixingMatrix
from ..oldcb import OldcbMatrix

_ADDRESS: Final = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")


def matrix_at(address: str) -> MixingMatrix:
    """Returns a client of the matrix that an XMA2 serves.

    Args:
        address: ``HOST:PORT`` of its requests; its events are at the next port, as 4250 and 4251.

    Raises:
        BoardError: The text is no such address.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found[2]) < 0xFFFF:
        raise BoardError(f"{address!r} is no address", remedy="write 'matrix: \"10.1.0.8:4250\"'")
    port = int(found[2])
    return OldcbMatrix(found[1].strip("[]"), control_port=port, event_port=port + 1)
