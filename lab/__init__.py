"""The bench: everything that a unit talks to, on one machine, unprivileged."""
