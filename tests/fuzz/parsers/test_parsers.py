"""The fuzzers find what they are for: each is set on a boot with a mistake planted in it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
UNUSABLE = 2
TARGETS = sorted(path.stem for path in Path(__file__).with_name("targets").glob("[!_]*.py"))

pytestmark = [pytest.mark.slow]
needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="atheris is missing: pip install atheris (it has wheels for CPython 3.11 to 3.14 on "
    "Linux, x86_64)",
)


@dataclass(frozen=True, slots=True)
class Mistake:
    """A change to a source file, and what the target that must notice says of it."""

    target: str
    file: str
    pattern: str
    replacement: str
    says: str


MISTAKES = {
    "a field that is missing": Mistake(
        "control", "hal/wire/json_lines.py", "if name not in message:", "if False:", "KeyError"
    ),
    "three bytes as an address": Mistake(
        "dhcp", "boot/wire/dhcp.py", r"if not value or len\(value\) % 4:", "if not value:",
        "AddressValueError",
    ),
    "an address of any length": Mistake(
        "dns", "boot/wire/dns.py", r"if len\(data\) != 4:", "if False:", "AddressValueError"
    ),
    "a list where keys belong": Mistake(
        "documents", "boot/document.py", r"if not isinstance\(value, dict\) or",
        "if value is None or", "AttributeError|TypeError",
    ),
    "what is no base64": Mistake(
        "est", "boot/trusted/est.py",
        r"except \(ValueError, [^)]*\) as error", "except TypeError as error",
        "ValueError|binascii|Incorrect padding|Error",
    ),
    "a header cut off": Mistake(
        "lan", "boot/wire/netlink.py", r" or len\(body\) < _LINK\.size", "", "unpack_from"
    ),
    "a line that is no reply": Mistake(
        "ftp", "boot/wire/ftp.py", "if found is None:", "if False:", "TypeError"
    ),
    "a length that is no number": Mistake(
        "http", "boot/wire/http.py", r"if not _SIZE\.fullmatch\(length\):", "if False:",
        "ValueError",
    ),
    "infinity as a number": Mistake(
        "kept", "boot/lan/lease.py", r"values: dict\[str, Any\] = decode\(data\)",
        "values: dict[str, Any] = json.loads(data)", "OverflowError|RecursionError",
    ),
    "an element beyond the end": Mistake(
        "ldap", "boot/wire/ldap.py", r"if end > len\(self\._data\):", "if False:",
        "IndexError|AssertionError",
    ),
    "an error of the library": Mistake(
        "metadata", "boot/trusted/trust.py",
        r"except \(RepositoryError, DownloadError, ValueError\)",
        "except DownloadError", "DeserializationError",
    ),
    "a packet cut off": Mistake(
        "lan", "boot/wire/ntp.py", r"if len\(data\) < _PACKET\.size:", "if False:",
        "unpack_from",
    ),
    "a request that is not answered": Mistake(
        "page", "boot/supervision/page.py", r"except \(asyncio\.IncompleteReadError, [^)]*\):",
        "except asyncio.LimitOverrunError:", "the answer is",
    ),
    "a way out of the folder": Mistake(
        "slot", "boot/slots/image.py", r'or "\.\." in path\.parts', "", "beside the slot"
    ),
    "a text that is no ASCII": Mistake(
        "tftp", "boot/wire/tftp.py", r'if not all\(" " <= character <= "~"', 'if not all("\\\\0"',
        "UnicodeEncodeError",
    ),
}  # fmt: skip


def fuzz(
    *words: str | Path, openturret: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    paths = [str(openturret.parent)] if openturret else []
    paths += [path for path in [os.environ.get("PYTHONPATH")] if path]
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz.parsers", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def mistaken(folder: Path, mistake: Mistake) -> Path:
    """Returns a package like ours, but for the mistake."""
    package = folder / "openturret"
    for name in ("boot", "hal"):
        shutil.copytree(ROOT / name, package / name, ignore=shutil.ignore_patterns("__pycache__"))
    path = package / mistake.file
    changed, times = re.subn(mistake.pattern, mistake.replacement, path.read_text())
    assert times, f"{mistake.file} reads otherwise by now: plant this mistake anew"
    path.write_text(changed)
    return package


@needs_atheris
@pytest.mark.parametrize("name", MISTAKES)
def test_a_planted_mistake_is_found(tmp_path: Path, name: str) -> None:
    mistake = MISTAKES[name]
    package = mistaken(tmp_path, mistake)
    folders = ("--corpora", tmp_path / "corpora", "--findings", tmp_path / "findings")
    limits = ("--runs", "100000", "--seed", "1", "--json", "-")
    done = fuzz(mistake.target, *folders, *limits, openturret=package)
    assert done.returncode == 1, done.stderr
    (result,) = json.loads(done.stdout)["targets"]
    assert re.search(mistake.says, result["reason"]), result
    assert Path(result["finding"]).parent == tmp_path / "findings"


@needs_atheris
def test_a_finding_is_replayed(tmp_path: Path) -> None:
    finding = tmp_path / "finding"
    finding.write_bytes(b"cut off")
    package = mistaken(tmp_path, MISTAKES["a packet cut off"])
    found = fuzz("--replay", "lan", finding, openturret=package)
    assert found.returncode == 1
    assert "Uncaught Python exception" in found.stdout
    assert fuzz("--replay", "lan", finding).returncode == 0, "without the mistake"


def test_every_target_has_a_mistake_to_find() -> None:
    assert {mistake.target for mistake in MISTAKES.values()} == set(TARGETS)


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", UNUSABLE)])
def test_without_atheris_it_is_skipped_with_the_remedy_but_not_in_ci(
    tmp_path: Path, ci: str, code: int
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util\nfind = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'atheris' else find(name, *more)\n"
    )
    done = fuzz("ldap", openturret=tmp_path / "openturret", CI=ci)
    assert done.returncode == code
    assert "skipped: atheris is missing: pip install atheris" in done.stderr


def test_help_and_list_explain_every_target() -> None:
    assert "examples:" in fuzz("--help").stdout
    listed = fuzz("--list").stdout.splitlines()
    assert sorted(line.split()[0] for line in listed) == TARGETS
    assert all(len(line.split()) > 3 for line in listed)


def test_an_unknown_target_is_refused_by_name() -> None:
    done = fuzz("lpad")
    assert done.returncode == UNUSABLE
    assert re.search(r"no target 'lpad'; there are .*\bldap\b", done.stderr)
