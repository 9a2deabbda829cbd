"""``turret selftest``: plays, listens and lights everything, and says a verdict for each device."""
