"""What insists on giving up its groups is told that it has."""

from __future__ import annotations

import subprocess
import sys

import pytest

from openturret.lab.pretend import command

pytestmark = pytest.mark.bench

DROPS = "import os; os.setgroups([os.getgid()]); print('dropped')"


def isolated(argv: list[str]) -> subprocess.CompletedProcess[str]:
    inside = [sys.executable, "-m", "openturret.lab.isolated", *argv]
    return subprocess.run(inside, capture_output=True, text=True, check=False)


def test_setgroups_succeeds_where_it_is_forbidden() -> None:
    assert "PermissionError" in isolated([sys.executable, "-c", DROPS]).stderr
    assert isolated(command([sys.executable, "-c", DROPS])).stdout == "dropped\n"


def test_everything_else_is_as_before() -> None:
    done = isolated(command([sys.executable, "-c", "import os; os.chroot('/nowhere')"]))
    assert "FileNotFoundError" in done.stderr
