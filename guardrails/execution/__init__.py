"""The way of an order after the gate: intent saved, sent once, followed until the broker says what became of it."""
