"""Set-up that cannot be done says which step, why, and the remedy; never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def set_up(folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "openturret.lab.setup"],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / ".pkg"), **env},
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder for the front of PATH, where every Debian package is said to be installed."""
    folder = tmp_path / "bin"
    folder.mkdir()
    write_script(folder / "dpkg-query", "echo install ok installed")
    return folder


def write_script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_a_cache_that_cannot_be_written_is_told_with_a_remedy() -> None:
    done = set_up(ROOT, XDG_CACHE_HOME="/dev/null/cache")
    assert done.returncode == 1
    assert "cannot be done" in done.stdout
    assert "remedy: make room, or set XDG_CACHE_HOME" in done.stdout


def test_forbidden_namespaces_are_told_with_a_remedy(programs: Path, tmp_path: Path) -> None:
    write_script(programs / "unshare", "echo Operation not permitted >&2; exit 1")
    path = f"{programs}:{os.environ['PATH']}"
    done = set_up(ROOT, PATH=path, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert done.returncode == 1
    assert "namespaces are forbidden here (Operation not permitted)" in done.stdout
    assert "sysctl -w kernel.unprivileged_userns_clone=1" in done.stdout


def test_elsewhere_than_in_a_checkout_it_refuses(tmp_path: Path) -> None:
    done = set_up(tmp_path)
    assert done.returncode == 2
    assert "checkout" in done.stderr
