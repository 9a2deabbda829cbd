"""The XMA2: its console, and the matrix that answers in place of the unit's own."""
