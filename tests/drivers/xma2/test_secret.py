from pathlib import Path

import pytest

from openturret.drivers.xma2.secret import read_secret, secret_file
from openturret.hal.board import DeviceSpec, DeviceType
from openturret.hal.errors import BoardError, DeviceError


def spec(match: dict[str, str | int]) -> DeviceSpec:
    return DeviceSpec("xma-1", DeviceType.XMA2, "xma2", match, frozenset())


def test_a_secret_is_read_without_the_white_space_around_it(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"  0123456789abcdef\n")
    path.chmod(0o600)
    assert read_secret(path) == b"0123456789abcdef"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_secret_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"0123456789abcdef")
    path.chmod(mode)
    with pytest.raises(DeviceError, match=f"mode {mode:03o}.; chmod 600 "):
        read_secret(path)


@pytest.mark.parametrize("content", [b"", b"short", b" " * 20, b"x" * 129])
def test_a_file_without_a_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(DeviceError, match="openssl rand -hex 32"):
        read_secret(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="nowhere: No such file"):
        read_secret(tmp_path / "nowhere")


@pytest.mark.parametrize("match", [{}, {"secret": 7}, {"secret": "hunter2"}])
def test_a_board_that_names_no_file_is_refused(match: dict[str, str | int]) -> None:
    with pytest.raises(BoardError, match="add 'secret: /etc/openturret/secrets/xma-1'") as refused:
        secret_file(spec(match))
    assert "hunter2" not in str(refused.value)


def test_a_board_names_the_file() -> None:
    assert secret_file(spec({"secret": "/run/x"})) == Path("/run/x")
