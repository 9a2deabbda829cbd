"""A turret proxy of the bench, thin: hoot lines that speak, and calls that may be taken over."""
