"""Records every word twice: two independent SIPREC sessions, one per recorder."""
