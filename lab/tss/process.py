"""Describes a TSS node as a process, without importing what the node needs."""

from __future__ import annotations

import sys
from pathlib import Path

from ..certificates import ServerCertificate
from ..plan import TSS_PORTS, Host
from ..processes import Service, accepts


def service(name: str, host: Host, folder: Path, certificate: ServerCertificate) -> Service:
    """A node that serves what the `Administration` of a folder published.

    Args:
        name: what the bench calls it.
        host: where it runs.
        folder: the administration's folder.
        certificate: of the node's name.
    """
    argv = [
        sys.executable, "-m", "openturret.lab.tss",
        "--address", host.address,
        "--directory", str(folder),
        "--certificate", str(certificate.both),
    ]  # fmt: skip
    return Service(name, host.name, argv, ready=accepts(host.address, *TSS_PORTS))
