"""How the unit comes to an address on its LAN, keeps it, and knows the time."""
