"""Units as they are made: a name plate, a password that only they know, a factory folder."""

from __future__ import annotations

import csv
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from ...hal.board import parse_board
from ...hal.errors import HalError
from ..plan import UnitPlan
from ..tss import write_factory
from .errors import UnitListError
from .publisher import Publisher

_MAC: Final = re.compile(r"[0-9a-f]{2}([:-][0-9a-f]{2}){5}")
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_COLUMNS: Final = ("mac", "serial", "model", "board")
MODELS: Final = ("TouchPro", "FlexPro")


@dataclass(frozen=True, slots=True)
class NamePlate:
    """Who a unit is.

    Attributes:
        mac: small letters with colons.
        serial: unique among the units of a site.
        model: such as ``TouchPro``; its family's firmware has the same name in small letters.
        board: a board description that OpenTurret ships, or a file.
    """

    mac: str
    serial: str
    model: str
    board: str

    @classmethod
    def of(cls, mac: str, serial: str, model: str, board: str) -> NamePlate:
        """Check what somebody wrote; what is empty gets its usual value.

        Raises:
            UnitListError: the MAC, the serial number or the model cannot be used.
        """
        plain = mac.strip().lower().replace("-", ":")
        if not _MAC.fullmatch(plain):
            raise UnitListError(f"{mac!r} is no MAC: write it as 02:54:50:00:00:01")
        if int(plain[:2], 16) & 1:
            raise UnitListError(f"{mac} is a group's MAC: its first octet must be even")
        serial = serial.strip() or plain.replace(":", "").upper()
        model = model.strip() or MODELS[0]
        for name, word in (("serial number", serial), ("model", model)):
            if not _WORD.fullmatch(word):
                raise UnitListError(
                    f"{mac}: {word!r} is no {name}: letters, digits and . _ -, 64 at most"
                )
        return cls(plain, serial, model, board.strip() or model.lower())

    @property
    def folder(self) -> str:
        """The MAC with dashes."""
        return self.mac.replace(":", "-")


def read_list(path: Path) -> list[NamePlate]:
    """Name plates from a CSV file with the columns mac, serial, model and board.

    Raises:
        UnitListError: the file cannot be read, or lines of it are wrong; every one is told.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            _check_columns(path, rows.fieldnames or ())
            return _plates(path, rows)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UnitListError(f"{path}: {error}") from error


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    unknown = set(columns) - set(_COLUMNS)
    if "mac" not in columns or unknown:
        raise UnitListError(
            f"{path} line 1: the columns are {', '.join(columns) or 'missing'}: "
            f"they must be mac, and any of {', '.join(_COLUMNS[1:])}"
        )


def _plates(path: Path, rows: csv.DictReader[str]) -> list[NamePlate]:
    plates, problems = [], []
    for row in rows:
        cells = [row.get(column) or "" for column in _COLUMNS]
        try:
            plates.append(NamePlate.of(*cells))
        except UnitListError as error:
            problems.append(f"{path} line {rows.line_num}: {error}")
    if problems:
        raise UnitListError(problems)
    return plates


def add_units(publisher: Publisher, plates: Sequence[NamePlate]) -> list[Path]:
    """Let units fetch from a site, and write the factory folder of each.

    Returns:
        The factory folders.

    Raises:
        UnitListError: one of them was added before, or two are the same; none is added.
    """
    _refuse_twice(publisher, plates)
    boards = [board_text(plate.board) for plate in plates]
    return [_make(publisher, *pair) for pair in zip(plates, boards, strict=True)]


def remake(publisher: Publisher, plate: NamePlate) -> Path:
    """Write the factory folder of a unit anew, with a new password: the old one ends here.

    Returns:
        The factory folder.
    """
    return _make(publisher, plate, board_text(plate.board))


def board_text(board: str) -> str:
    """A board description: one that OpenTurret ships, by name, or a file.

    Raises:
        UnitListError: there is none, or it is not acceptable.
    """
    shipped = resources.files("openturret.hal").joinpath("boards", f"{board}.yaml")
    try:
        text = shipped.read_text() if shipped.is_file() else Path(board).read_text()
        parse_board(text.encode())
    except (OSError, UnicodeDecodeError, HalError) as error:
        raise UnitListError(
            f"board {board}: {error}; name one of {', '.join(_shipped_boards())}, or a file"
        ) from error
    return text


def _shipped_boards() -> list[str]:
    entries = resources.files("openturret.hal").joinpath("boards").iterdir()
    return sorted(entry.name.removesuffix(".yaml") for entry in entries if ".yaml" in entry.name)


def _refuse_twice(publisher: Publisher, plates: Sequence[NamePlate]) -> None:
    units = publisher.units()
    macs, serials = {unit.mac for unit in units}, {unit.serial for unit in units}
    problems = list(_repetitions(plates, macs, serials))
    if problems:
        raise UnitListError(problems)


def _repetitions(plates: Sequence[NamePlate], macs: set[str], serials: set[str]) -> Iterator[str]:
    for plate in plates:
        if plate.mac in macs:
            yield (f"{plate.mac} was added before: `turret bundle factory` writes its folder again")
        elif plate.serial in serials:
            yield f"{plate.mac}: another unit has the serial number {plate.serial}"
        macs.add(plate.mac)
        serials.add(plate.serial)


def _make(publisher: Publisher, plate: NamePlate, board: str) -> Path:
    """The factory folder is whole before the site knows the unit."""
    password = secrets.token_urlsafe(24)
    folder = publisher.site.factory / plate.folder
    partial = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700, parents=True)
    unit = UnitPlan(plate.folder, plate.serial, plate.mac, password, plate.model)
    trust = publisher.trust()
    write_factory(partial, unit, authority=trust.authority, root=trust.root, board=board)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    publisher.enrol(unit)
    return folder
