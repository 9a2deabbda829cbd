"""The emulated hardware: a process of its own, spoken to over Unix sockets."""
