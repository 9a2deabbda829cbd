"""The benchmarks are no part of the package: their folder is found from the repository's root."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))
