import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from openturret.boot.errors import DocumentError, SlotError
from openturret.boot.slots.manager import Manifest

GOOD = {"version": "0.1.0", "file": "a.whl", "sha256": "0123456789abcdef" * 4}


def parsed(**changed: object) -> Manifest:
    return Manifest.parse(yaml.safe_dump({**GOOD, **changed}).encode())


def test_a_manifest_names_a_file_beside_it() -> None:
    assert parsed() == Manifest("0.1.0", "a.whl", "0123456789abcdef" * 4)
    assert parsed(sha256=GOOD["sha256"].upper()) == parsed()
    assert parsed(allow_downgrade=True).allow_downgrade


@pytest.mark.parametrize(
    "changed",
    [{"file": "b/a.whl"}, {"file": ""}, {"sha256": "0" * 63}, {"sha256": "g" * 64},
     {"sha256": 7}, {"version": 1}, {"allow_downgrade": "yes"}, {"allow_downgrade": 1}],
)  # fmt: skip
def test_a_manifest_that_makes_no_sense_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(DocumentError):
        parsed(**changed)


def test_a_version_that_cannot_be_compared_is_refused() -> None:
    with pytest.raises(SlotError, match="not a version"):
        parsed(version="../up")


@given(st.integers(0, 200))
def test_a_manifest_that_is_cut_is_an_error_or_another_manifest(at: int) -> None:
    data = yaml.safe_dump(GOOD).encode()
    try:
        Manifest.parse(data[:at])
    except (DocumentError, SlotError):
        return
