"""Devices at the end of a serial line: light rings, push-to-talk boxes, key boxes."""
