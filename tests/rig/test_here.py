from __future__ import annotations

import socket

import pytest

from openturret.lab.rig.errors import ElsewhereError
from openturret.lab.rig.here import is_here, require_here


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", socket.gethostname()])
def test_this_machine_is_here(host: str) -> None:
    assert is_here(host)
    require_here(host, "a handset")


@pytest.mark.parametrize("host", ["203.0.113.7", "rig-7.example", ""])
def test_another_machine_is_elsewhere_and_named(host: str) -> None:
    assert not is_here(host)
    with pytest.raises(ElsewhereError, match=f"a handset is at {host}, whose kernel"):
        require_here(host, "a handset")
