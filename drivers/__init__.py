"""Drivers of real and emulated hardware, found by name through the registry."""
