"""What is heard through bad networks, beside peers."""
