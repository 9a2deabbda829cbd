"""The documents hold: generated pages are current, links lead somewhere, commands exist."""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from openturret.firmware.config import docs
from openturret.firmware.config.keys import KEYS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", docs.pages())
def test_a_generated_page_is_current(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == docs.pages()[name], (
        "run: python -m openturret.firmware.config.docs docs"
    )


def test_every_key_has_its_row() -> None:
    assert all(f"| `{key.name}` |" in docs.keys_page() for key in KEYS)


def test_stale_pages_are_named_and_then_written(tmp_path: Path) -> None:
    said: list[str] = []
    assert docs.main([str(tmp_path), "--check"], said.append) == 1
    assert "".join(said).count("out of date") == len(docs.pages())
    assert docs.main([str(tmp_path)], said.append) == 0
    assert docs.main([str(tmp_path), "--check"], said.append) == 0


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(path: Path) -> set[str]:
    """The anchors that a forge makes of a document's headings."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_link_leads_somewhere(document: Path) -> None:
    links = LINK.findall(FENCE.sub("", document.read_text(encoding="utf-8")))
    for link in links:
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path) if path else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def commands(document: Path) -> list[str]:
    """The lines of a document's shell examples, without their comments."""
    blocks = FENCE.findall(document.read_text(encoding="utf-8"))
    lines = [line for kind, body in blocks if kind in ("sh", "") for line in body.splitlines()]
    return [line.partition("#")[0].strip() for line in lines]


@cache
def shown_help(command: str) -> str:
    program = (
        f"import sys; from openturret.lab.cli import main; sys.exit(main(['{command}', '-h']))"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "400"},
    ).stdout  # fmt: skip


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_command_is_one_of_ours_with_options_that_it_takes(document: Path) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for line in commands(document):
        program, *words = line.split() or [""]
        if program == "make":
            assert set(words) <= set(targets), line
        elif program == "turret":
            options = {word for word in words if word.startswith("--")} - {"--help"}
            assert all(option in shown_help(words[0]) for option in options), line
