"""Measurements of the engine and of a unit, beside their peers: ``python -m benchmarks``."""
