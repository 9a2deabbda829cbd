"""What DHCP and TFTP tell a unit: where the TFTP server is, and where the TSS.

For a LAN with a DHCP server of its own there are lines to put into it. They speak to units
only (option 60 is ``OpenTurret``), so telephones and computers on the LAN notice nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

VENDOR_CLASS: Final = "OpenTurret"
HINT_FILE: Final = "default.yaml"
"""Named by option 67, so that a unit asks for no other file first."""


def write_hints(root: Path, address: str) -> None:
    """Write the TFTP tree: one hint for all units.

    It names the TSS by its address, which its certificate carries too: a bench needs no DNS.

    Args:
        root: the TFTP root; anybody may read it.
        address: of the TSS.
    """
    root.mkdir(parents=True, exist_ok=True)
    path = root / HINT_FILE
    path.write_text(f"tss.servers: [{address}]\n", encoding="ascii")
    path.chmod(0o644)


def dnsmasq_lines(address: str) -> list[str]:
    """The options for a dnsmasq."""
    options = (f"66,{address}", f"67,{HINT_FILE}", f"150,{address}")
    return [
        f"dhcp-vendorclass=set:turret,{VENDOR_CLASS}",
        *(f"dhcp-option=tag:turret,{option}" for option in options),
        f"dhcp-option=vendor:{VENDOR_CLASS},1,{address}",
    ]


def _dnsmasq(address: str) -> str:
    return "\n".join(dnsmasq_lines(address))


def _kea(address: str) -> str:
    """Members of the object ``Dhcp4`` (Kea Administrator Reference Manual, sections 8.2.10, 14)."""
    options = [
        {"name": "tftp-server-name", "data": address},
        {"name": "boot-file-name", "data": HINT_FILE},
        {"name": "tftp-servers", "data": address},
    ]
    definition = {"name": "tftp-servers", "code": 150, "type": "ipv4-address", "array": True}
    turret = {
        "name": "turret",
        "test": f"substring(option[60].hex,0,{len(VENDOR_CLASS)}) == '{VENDOR_CLASS}'",
        "option-data": options,
    }
    members = {"option-def": [definition], "client-classes": [turret]}
    return json.dumps(members, indent=2).removeprefix("{\n").removesuffix("\n}")


def _isc(address: str) -> str:
    """Statements of ``dhcpd.conf`` (dhcp-options(5), dhcp-eval(5))."""
    return "\n".join(
        [
            "option turret-tftp code 150 = array of ip-address;",
            f'if option vendor-class-identifier = "{VENDOR_CLASS}" {{',
            f'  option tftp-server-name "{address}";',
            f'  option bootfile-name "{HINT_FILE}";',
            f"  option turret-tftp {address};",
            "}",
        ]
    )


SERVERS: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType(
    {"dnsmasq": _dnsmasq, "kea": _kea, "isc": _isc}
)
"""The DHCP servers that we have lines for; each takes the address of the TSS."""
