"""A LAN in a namespace: this machine's ``eth0`` and a unit's, joined by a cable."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openturret.lab import namespace
from openturret.lab.errors import NamespaceError, ToolMissingError
from openturret.lab.tools import tool

SESSION = Path(__file__).with_name("session.py")


@pytest.fixture
def on_a_lan(tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """Runs a function of ``session.py`` on such a LAN and gives what it returns."""
    try:
        namespace.check()
        tool("dnsmasq")
    except (NamespaceError, ToolMissingError) as error:
        pytest.skip(str(error))

    def run(name: str) -> dict[str, Any]:
        lifeline, held = os.pipe()
        command = [sys.executable, str(SESSION), name, str(tmp_path)]
        process = namespace.spawn(command, lifeline, stdout=subprocess.PIPE)
        os.close(lifeline)
        output, _ = process.communicate(timeout=60)
        os.close(held)
        assert process.returncode == 0
        found: dict[str, Any] = json.loads(output)
        return found

    return run
