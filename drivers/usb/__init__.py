"""Real USB devices: what is plugged in, and the telephony devices among it."""
