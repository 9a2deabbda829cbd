"""``python -m openturret.lab.tss``: one TSS node."""

from .node import main

if __name__ == "__main__":
    main()
