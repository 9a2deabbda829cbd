"""What stands around these tests: Debian's kernel, and twins in its USB ports.

They run nowhere else (``make kernel-test``), so elsewhere they are not even collected.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from openturret.lab.hands.wire import WireHand

HAND = os.environ.get("OPENTURRET_HAND", "")
collect_ignore_glob = [] if HAND else ["test_*.py"]


@pytest.fixture
async def hand() -> AsyncIterator[WireHand]:
    found = await WireHand.connect(Path(HAND))
    yield found
    await found.tidy()
    await found.close()
