"""Interactive Brokers: what its records mean, whether they come over the wire or out of a statement."""
