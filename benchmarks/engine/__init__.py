"""What a leg costs, how that grows, and how punctual the ticks are."""
