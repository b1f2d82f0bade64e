"""The journal: what was done, told as trades, and what nobody can explain. Pure functions; nothing here is stored."""
