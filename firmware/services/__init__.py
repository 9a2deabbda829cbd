"""What a unit offers and asks of others beside calls: web, syslog, the way to boot."""
