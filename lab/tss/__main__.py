"""``python -m openturret.lab.tss``: one TSS node."""

from .node import main

main()
