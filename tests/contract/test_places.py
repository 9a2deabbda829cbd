"""A place that is not there is refused before anything is collected."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("place", "said"), [("guest", "make kernel-test"), ("rig", "needs --board FILE")]
)
def test_a_place_that_is_not_here_is_refused_with_a_remedy(place: str, said: str) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only"]
    env = {name: value for name, value in os.environ.items() if name != "OPENTURRET_HAND"}
    done = subprocess.run(
        [*command, str(Path(__file__).parent), "--place", place],
        capture_output=True, text=True, env=env, check=False,
    )  # fmt: skip
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert said in done.stderr
