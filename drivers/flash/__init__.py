"""Firmware onto peripherals: DFU 1.1 over USB, SMP over serial lines, one sequence for both."""
