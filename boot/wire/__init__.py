"""Wire formats of the boot: bytes to frozen values and back, nothing else."""
