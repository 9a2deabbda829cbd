"""Who works at the unit: the directory, the policy, the profiles."""
