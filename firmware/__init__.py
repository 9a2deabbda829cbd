"""The firmware of a unit: the mixing matrix and the runtime, two processes."""
