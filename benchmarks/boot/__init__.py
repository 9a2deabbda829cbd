"""What a boot costs: each exchange beside its peers, a whole power-on, and a storm of units."""
