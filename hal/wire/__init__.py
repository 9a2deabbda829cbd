"""Wire formats of the HAL: bytes to frozen values and back, nothing else."""
