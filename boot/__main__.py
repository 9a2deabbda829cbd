"""Runs the boot agent: ``python -m openturret.boot``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
