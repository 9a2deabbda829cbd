"""Hands at the devices of a turret: at twins, beyond a wire, and an operator's at a rig."""
