"""The generated pages under docs/ say what the registry says."""

from pathlib import Path

import pytest

from openturret.firmware.config import docs
from openturret.firmware.config.keys import KEYS

DOCS = Path(__file__).parent.parent / "docs"


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
