"""USB devices of a turret as models: what they say on the wire, without a wire."""
