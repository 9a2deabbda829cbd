import os
from pathlib import Path

import pytest

from openturret.boot.errors import BootError
from openturret.boot.memory import SHARED_MEMORY, memory_folder


def test_shared_memory_is_a_tmpfs_here() -> None:
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    assert any(line.split()[1:3] == [str(SHARED_MEMORY), "tmpfs"] for line in mounts)


def test_each_state_folder_has_one_of_its_own_that_nobody_else_opens(tmp_path: Path) -> None:
    first = memory_folder(tmp_path / "a", tmp_path)
    assert memory_folder(tmp_path / "a", tmp_path) == first
    assert memory_folder(tmp_path / "b", tmp_path) != first
    assert first.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_may_look_into_is_refused(tmp_path: Path) -> None:
    memory_folder(tmp_path / "a", tmp_path).chmod(0o755)
    with pytest.raises(BootError, match="not a private folder"):
        memory_folder(tmp_path / "a", tmp_path)


def test_a_link_that_somebody_left_there_is_refused(tmp_path: Path) -> None:
    folder = memory_folder(tmp_path / "a", tmp_path)
    folder.rmdir()
    (tmp_path / "mallory").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "mallory")
    with pytest.raises(BootError, match="not a private folder"):
        memory_folder(tmp_path / "a", tmp_path)


def test_a_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    somebody = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: somebody)
    with pytest.raises(BootError, match="not a private folder"):
        memory_folder(tmp_path / "a", tmp_path)


def test_without_memory_the_remedy_is_said(tmp_path: Path) -> None:
    with pytest.raises(BootError, match="no folder in memory") as caught:
        memory_folder(tmp_path / "a", tmp_path / "nothing")
    assert "mount a tmpfs" in caught.value.remedy
