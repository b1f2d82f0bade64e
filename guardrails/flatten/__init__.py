"""Closing what is dangerous on demand: planned first, shown with its cost, then done order by order."""
