"""How long execution waits for whom: nothing waits for ever."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds, floats so that tests can be quick."""

    preview: float = 6.0
    """for a broker's what-if"""
    exit_preview: float = 1.5
    """the same, for an exit, which is approved without it"""
    held: float = 6.0
    """for positions that are read anew before a submit"""
    read: float = 10.0
    """for everything a broker says of orders"""
    send: float = 10.0
    """for the call that sends; later than that it is in doubt"""
    ask: float = 6.0
    """for chains and price rules"""
    keep: float = 2.0
    """for an intent to be durable"""
    hand_again: float = 10.0
    """what the store has not taken by then is handed over once more"""
    fresh: float = 5.0
    """a read of the orders that is not older is not repeated before a submit"""
    silent: float = 10.0
    """an order that was sent and of which the broker says nothing is in doubt after this"""
    cancelled: float = 30.0
    """for a cancellation to be confirmed: before an order is replaced, and before the order is in doubt"""
    reconcile: float = 60.0
    """between two reads when nothing is in doubt"""
    retry: float = 1.0
    """before the first repetition of a read while something is in doubt; doubles up to `reconcile`"""
    tick: float = 1.0
    """between two looks when nothing happens"""
    quotes: float = 3.0
    """for the first quotes of legs that nobody streamed"""
    lapse: float = 120.0
    """what nobody asked for any more within this is not streamed any longer"""
