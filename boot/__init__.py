"""From power-on to a verified, running unit: the boot agent."""
