"""The wheel's recipe: what it accepts, what it names, what it packs."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

RECIPE = Path(__file__).parents[4] / "firmware" / "calls" / "pjsip" / "build.py"
VERSION_MAK = (
    "export PJ_VERSION_MAJOR  := {}\n"
    "export PJ_VERSION_MINOR  := {}\n"
    "export PJ_VERSION_REV    :={}\n"
)


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pjsip_build", RECIPE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def tarball(folder: Path, text: str, name: str = "pjproject/version.mak") -> Path:
    source = folder / name
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(text)
    path = folder / "source.tar"
    subprocess.run(["tar", "cf", str(path), "-C", str(folder), name], check=True)
    return path


@pytest.mark.parametrize(
    ("numbers", "version"),
    [(("2", "17", ""), "2.17"), (("2", "15", " 1"), "2.15.1"), (("3", "0", ""), "3.0")],
)
def test_the_version_is_pjsips_own(
    build: ModuleType, tmp_path: Path, numbers: tuple[str, str, str], version: str
) -> None:
    assert build.tarball_version(tarball(tmp_path, VERSION_MAK.format(*numbers))) == version


def test_an_old_pjsip_is_refused_with_a_remedy(build: ModuleType, tmp_path: Path) -> None:
    old = tarball(tmp_path, VERSION_MAK.format("2", "12", ""))
    with pytest.raises(build.BuildError, match=r"2\.12 is too old\n.*remedy"):
        build.tarball_version(old)


def test_what_is_no_pjproject_is_refused_with_a_remedy(build: ModuleType, tmp_path: Path) -> None:
    other = tarball(tmp_path, "x", name="other/readme")
    with pytest.raises(build.BuildError, match="not a pjproject source"):
        build.tarball_version(other)


def test_the_key_changes_with_the_tap(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = build.inspect_python(Path(sys.executable))
    before = build.cache_key(target)
    for name in build.TAP_SOURCES:
        (tmp_path / name).write_bytes((RECIPE.parent / name).read_bytes() + b"\n")
    monkeypatch.setattr(build, "HERE", tmp_path)
    assert build.cache_key(target) != before
    monkeypatch.undo()
    assert build.cache_key(target) == before


def test_the_wheel_is_one_that_installs(build: ModuleType, tmp_path: Path) -> None:
    target = build.inspect_python(Path(sys.executable))
    stale = tmp_path / f"pjsua2-2.16+openturret1.g0-{target.tag}.whl"
    stale.touch()
    wheel = build.pack({"pjsua2.py": b"answer = 42\n"}, "2.17+openturret1.gabc", target, tmp_path)
    build.remove_older(tmp_path, wheel, target)
    assert [path.name for path in tmp_path.iterdir()] == [wheel.name]
    with zipfile.ZipFile(wheel) as archive:
        record = archive.read("pjsua2-2.17+openturret1.gabc.dist-info/RECORD").decode()
    assert "pjsua2.py,sha256=" in record
    installed = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target"]
    subprocess.run([*command, str(installed), str(wheel)], check=True, capture_output=True)
    digest = hashlib.sha256((installed / "pjsua2.py").read_bytes()).hexdigest()
    assert digest == hashlib.sha256(b"answer = 42\n").hexdigest()


def test_a_step_that_fails_names_itself_its_log_and_a_remedy(
    build: ModuleType, tmp_path: Path
) -> None:
    lines: list[str] = []
    steps = build.Steps(tmp_path / "logs", lines.append)
    steps.run("say hello", [["echo", "hello"]], cwd=tmp_path, remedy="none")
    assert len(lines) == 1
    assert lines[0].startswith("pjsua2: say hello")
    assert "hello" in (tmp_path / "logs" / "say-hello.log").read_text()
    with pytest.raises(build.BuildError, match=r"break: false ended with 1(.|\n)*remedy: mend it"):
        steps.run("break", [["false"]], cwd=tmp_path, remedy="mend it")
    with pytest.raises(build.BuildError, match=r"missing: .*no-such-program"):
        steps.run("missing", [["no-such-program"]], cwd=tmp_path, remedy="install it")


def test_nothing_to_do_is_said(build: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build.main([])
    assert "nothing to do" in capsys.readouterr().err


def test_a_cached_wheel_is_not_built_again(
    build: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = build.inspect_python(Path(sys.executable))
    source = tarball(tmp_path, VERSION_MAK.format("2", "17", ""))
    out = tmp_path / "wheels"
    out.mkdir()
    version = f"2.17+openturret{build.PACKAGING}.{build.cache_key(target)}"
    wheel = build.pack({"pjsua2.py": b""}, version, target, out)
    assert build.main(["--tarball", str(source), "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(wheel)
