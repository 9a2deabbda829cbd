"""The mixing kernel beside its peers."""
