"""What keeps the unit's services alive, and what becomes of it when they will not live."""
