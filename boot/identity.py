"""Who this unit is: what was written into it at manufacture."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from .cache import read_bounded
from .document import MAX_BYTES, Document, parse_document
from .errors import DocumentError, IdentityError

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_REMEDY = "write the factory folder again: see docs/boot.md"


@dataclass(frozen=True, slots=True)
class Identity:
    """The unit's name plate and its key to the TSS.

    Attributes:
        mac: Lower case with colons.
        firmware: Folder of the unit's firmware on the TSS.
        ca: File with the CA that signs TSS and directory servers.
        root: TUF root of trust, as bytes.
        board: Board description for the runtime.
    """

    model: str
    serial: str
    mac: str
    firmware: str
    username: str
    password: str = field(repr=False)
    ca: Path
    root: bytes = field(repr=False)
    board: Path

    @property
    def folder(self) -> str:
        """The MAC as TSS and TFTP spell it in paths: with dashes."""
        return self.mac.replace(":", "-")

    @classmethod
    def read(cls, factory: Path) -> "Identity":
        """Returns the identity in a factory folder.

        Raises:
            IdentityError: A file or key is missing or damaged.
        """
        document = _document(factory / "identity.yaml")
        ca = factory / "ca.pem"
        _bytes(ca)
        return cls(
            model=_matching(_WORD, document, "unit.model"),
            serial=_matching(_WORD, document, "unit.serial"),
            mac=_matching(_MAC, document, "unit.mac").lower(),
            firmware=_matching(_WORD, document, "unit.firmware"),
            username=_matching(re.compile(r"\S{1,128}"), document, "ftpes.username"),
            password=_matching(re.compile(r"[ -~]{1,128}"), document, "ftpes.password"),
            ca=ca,
            root=_bytes(factory / "root.json"),
            board=factory / "board.yaml",
        )


def _document(path: Path) -> Document:
    try:
        return parse_document(_bytes(path))
    except DocumentError as error:
        raise IdentityError(f"{path.name}: {error}", _REMEDY) from error


def _matching(pattern: re.Pattern[str], document: Document, key: str) -> str:
    value = document.values.get(key)
    if not isinstance(value, str) or not pattern.fullmatch(
        value.lower() if pattern is _MAC else value
    ):
        raise IdentityError(f"identity.yaml: {key} is missing or malformed", _REMEDY)
    return value


def _bytes(path: Path) -> bytes:
    data = read_bounded(path, MAX_BYTES)
    if not data:
        raise IdentityError(f"{path.name} is missing, empty or too large", _REMEDY)
    return data
