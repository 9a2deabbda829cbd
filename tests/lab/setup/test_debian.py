"""What set-up does to the host's packages, against a host of a few shell scripts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from openturret.lab.setup.debian import BUILD_PACKAGES, BuildTools, ServerSysroot
from openturret.lab.setup.shell import Shell

SCRIPTS = {
    "sudo": 'shift; exec "$@"',
    "dpkg-query": """case "$3" in
  *Status*) grep -qx "$4" "$HOST/installed" && echo "install ok installed" ;;
  *) cat "$HOST/installed" ;;
esac""",
    "apt-cache": 'echo "Package: known"',
    "apt-get": """case "$*" in
  "--simulate purge"*) shift 2; for name in "$@"; do
    echo "Purg $name [1.0]"
    sed -n "s/^$name<//p" "$HOST/dependents" | sed "s/.*/Purg & [1.0]/"
  done ;;
  "purge --yes"*) shift 2; for name in "$@"; do
    grep -vx "$name" "$HOST/installed" > "$HOST/left"; mv "$HOST/left" "$HOST/installed"
  done ;;
  update) echo update >> "$HOST/calls"; touch "$HOST/fresh" ;;
  install*) echo install >> "$HOST/calls"
    [ -e "$HOST/fresh" ] || { echo "404 Not Found"; exit 100; }
    for word in "$@" libbrought1; do
      case "$word" in install|-*) ;; *) echo "$word" >> "$HOST/installed" ;; esac
    done ;;
esac""",
}
ABSENT = {"g++", "uuid-dev"}
"""What the host lacks."""


class Host:
    """A Debian host in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.shell = Shell(folder / "step.log")
        self.write("installed", {"bash", *BUILD_PACKAGES} - ABSENT)
        self.write("dependents", set())

    def write(self, name: str, lines: set[str]) -> None:
        (self._folder / name).write_text("".join(f"{line}\n" for line in sorted(lines)))

    def read(self, name: str) -> list[str]:
        return (self._folder / name).read_text().split()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    (tmp_path / "bin").mkdir()
    for name, body in SCRIPTS.items():
        script = tmp_path / "bin" / name
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("HOST", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Host(tmp_path)


def test_more_packages_than_the_build_needs_can_be_asked_for(host: Host) -> None:
    tools = BuildTools(system_python=False, more=("librem-dev",))
    assert set(tools.missing()) == {*ABSENT, "librem-dev"}
    tools.install(host.shell)
    assert "librem-dev" in host.read("installed")


def test_a_second_sysroot_knows_its_own_packages(host: Host) -> None:
    bench, peers = ServerSysroot(), ServerSysroot(("rtpengine-daemon",), "peers/rtpengine")
    assert bench.path != peers.path
    assert peers.unpack(host.shell) == "0 packages unpacked"
    assert peers.unpack(host.shell) == "cached"
    assert ServerSysroot(("another",), "peers/rtpengine").unpack(host.shell) != "cached"
    assert bench.unpack(host.shell) != "cached"


def test_only_what_is_missing_is_installed_and_taken_back(host: Host) -> None:
    before = set(host.read("installed"))
    tools = BuildTools(system_python=False)
    assert set(tools.missing()) == ABSENT
    tools.install(host.shell)
    assert set(host.read("installed")) == before | ABSENT | {"libbrought1"}
    assert tools.install(host.shell) == "present"
    tools.remove(host.shell)
    assert set(host.read("installed")) == before
    assert tools.remove(host.shell) == "no package of ours"


def test_package_lists_older_than_the_mirror_are_read_again(host: Host) -> None:
    BuildTools(system_python=False).install(host.shell)
    assert host.read("calls") == ["install", "update", "install"]


def test_a_package_that_others_need_by_now_stays_until_they_do_not(host: Host) -> None:
    tools = BuildTools(system_python=False)
    tools.install(host.shell)
    host.write("dependents", {"g++<build-essential", "uuid-dev<g++"})
    assert "others need g++" in tools.remove(host.shell)
    assert "g++" in host.read("installed")
    assert not {"uuid-dev", "libbrought1"} & set(host.read("installed"))
    host.write("dependents", set())
    assert tools.remove(host.shell) == "removed 1 of our packages"
    assert "g++" not in host.read("installed")
