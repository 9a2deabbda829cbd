from __future__ import annotations

import pytest

from openturret.lab.tss.access import may_read

MAC = "02:54:50:00:00:0A"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "metadata/timestamp.json",
        "targets",
        "targets/units",
        "targets/units/02-54-50-00-00-0a/config.yaml",
        "targets/profiles/alice.yaml",
        "targets/firmware/touchpro/manifest.yaml",
    ],
)
def test_a_unit_reads_the_common_tree_and_its_own_folder(path: str) -> None:
    assert may_read(MAC, path)


@pytest.mark.parametrize(
    "path",
    [
        "targets/units/02-54-50-00-00-0b",
        "targets/units/02-54-50-00-00-0b/config.yaml",
        "targets/units/02-54-50-00-00-0a/../02-54-50-00-00-0b/config.yaml",
        "targets/../../keys/root.pem",
    ],
)
def test_a_unit_reads_nothing_of_another_one_or_outside(path: str) -> None:
    assert not may_read(MAC, path)
