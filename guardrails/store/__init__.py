"""The durable memory: one database that the engine fills by itself, and that never holds it up."""
