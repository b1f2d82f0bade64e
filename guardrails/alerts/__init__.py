"""Alerts: from what is wrong now to a message that a person has acknowledged.

One way through: a Snapshot's findings and regime changes are problems (`problems`); `life` decides, from what was
known, the problems and the clock, what each alert has become, why, and whom to tell; `message` puts that in words;
`desk` keeps it (in the store, in one transaction with its deliveries) and `sending` brings it to every channel.
"""
