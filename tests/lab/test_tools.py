from __future__ import annotations

from pathlib import Path

import pytest

from openturret.lab.errors import ToolMissingError
from openturret.lab.tools import sysroot, tool


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPENTURRET_SYSROOT", str(tmp_path))
    return tmp_path


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_sysroot_comes_before_the_path(root: Path) -> None:
    path = program(root / "usr/bin/ls")
    assert tool("ls").path == path


def test_what_is_only_on_the_path_needs_no_environment(root: Path) -> None:
    found = tool("ls")
    assert found.path.name == "ls"
    assert found.env == {}
    assert found.root == Path("/")


def test_a_private_program_finds_its_private_libraries(root: Path) -> None:
    program(root / "usr/sbin/kamailio")
    (root / "usr/lib/x86_64-linux-gnu/kamailio").mkdir(parents=True)
    libraries = tool("kamailio").env["LD_LIBRARY_PATH"].split(":")
    assert str(root / "usr/lib/x86_64-linux-gnu") in libraries
    assert str(root / "usr/lib/x86_64-linux-gnu/kamailio") in libraries


def test_a_file_that_cannot_run_is_no_program(root: Path) -> None:
    program(root / "usr/bin/frobnicate").chmod(0o644)
    with pytest.raises(ToolMissingError):
        tool("frobnicate")


def test_a_missing_program_names_its_package_and_the_remedy(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_args, **_options: None)
    with pytest.raises(ToolMissingError, match=r"slapadd .*package slapd.*make setup"):
        tool("slapadd")


def test_modules_are_found_below_the_root_of_their_program(root: Path) -> None:
    program(root / "usr/bin/baresip")
    (root / "usr/lib/baresip/modules").mkdir(parents=True)
    assert tool("baresip").find("usr/lib/baresip/modules") == root / "usr/lib/baresip/modules"
    with pytest.raises(ToolMissingError, match="is missing below"):
        tool("baresip").find("usr/lib/*/nothing")


def test_the_sysroot_is_in_the_cache_unless_said_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("OPENTURRET_SYSROOT", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert sysroot() == tmp_path / "openturret/sysroot"
