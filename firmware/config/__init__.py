"""Every configuration key once, and the files that give the keys their values."""
