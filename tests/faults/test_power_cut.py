"""Power cut during an update, at any byte: 0 bricks, 0 lost configuration.

The failure table's row, on a sample; `python -m tests.boot.power_cut` makes every cut.
"""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path

import pytest

from tests.boot import power_cut

pytestmark = pytest.mark.slow

CUTS = {"update": 500, "provisioning": 50}


def test_a_power_cut_at_any_byte_of_an_update_leaves_a_unit_that_starts(tmp_path: Path) -> None:
    """Other cuts each time; the seed in the message makes the same ones again."""
    seed = secrets.randbits(32)
    with power_cut.scenarios(tmp_path) as every:
        for scenario in every:
            with tempfile.TemporaryDirectory(dir=power_cut.memory()) as folder:
                outcome = power_cut.run(scenario, Path(folder), cuts=CUTS[scenario.name], seed=seed)
            assert not outcome.failures, f"--seed {seed}: {outcome.failures}"
