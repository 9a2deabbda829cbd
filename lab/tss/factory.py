"""What manufacture writes into a unit: who it is, and whom it believes."""

from __future__ import annotations

from pathlib import Path

import yaml

from ..plan import UnitPlan


def write_factory(
    folder: Path, unit: UnitPlan, *, authority: Path, root: bytes, board: str
) -> Path:
    """Write the factory folder of a unit.

    Args:
        folder: where; made when missing.
        unit: who it is.
        authority: the certificate of the CA that it believes.
        root: the TUF root of trust.
        board: the board description, YAML.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    identity = folder / "identity.yaml"
    identity.touch(mode=0o600)
    identity.write_text(yaml.safe_dump(_identity(unit), sort_keys=False))
    (folder / "ca.pem").write_bytes(authority.read_bytes())
    (folder / "root.json").write_bytes(root)
    (folder / "board.yaml").write_text(board)
    return folder


def _identity(unit: UnitPlan) -> dict[str, str]:
    return {
        "unit.model": unit.model,
        "unit.serial": unit.serial,
        "unit.mac": unit.mac,
        "unit.firmware": unit.model.lower(),
        "ftpes.username": unit.ftpes_username,
        "ftpes.password": unit.ftpes_password,
    }
