"""What IBKR's words about an order mean: its statuses, and its error codes, most of which are no end of it.

Source: IBKR facts 0.5 to 0.7, 8 and 9. A code that is not listed here leaves the order in doubt until IBKR says more.
"""

from __future__ import annotations

from enum import Enum, auto

ALIVE = frozenset({"PendingSubmit", "ApiPending", "PreSubmitted", "Submitted", "PendingCancel", "Inactive"})
"""after these it may still be filled; Inactive can come back"""
WORKING = frozenset({"PendingSubmit", "ApiPending", "PreSubmitted", "Submitted"})
CANCELLED = frozenset({"Cancelled", "ApiCancelled"})
FILLED, PENDING_CANCEL, INACTIVE = "Filled", "PendingCancel", "Inactive"

NOT_CANCELLED = frozenset({135, 161, 10147, 10148})
"""a cancellation was refused: the order is over already, most often because it was filled"""
_NOTICES = frozenset({399, 404, 10167, 10349})
"""the order lives on: a message about it, shares being located, delayed data, a preset applied; also 2100 to 2199"""
_FINAL = frozenset({201, 203})
"""rejected, at whatever time"""
_NOT_TAKEN = frozenset({
    110, 200, 321, 387, 388, 389, 391, 412, 434, 435, 436, 460, 461, 10043, 10052, 10058, 10268,
})  # fmt: skip
"""a new order is refused before anything of it rests: price off tick, no such contract, request invalid, no account"""
_CHANGE_REFUSED = frozenset({105, 110, 321, 329})
"""a change was refused, and the order rests as it was"""


class Meaning(Enum):
    """What an error says of the order it is about."""

    NOTICE = auto()
    REFUSED = auto()
    CANCELLED = auto()
    DOUBT = auto()


def meaning(code: int, *, acknowledged: bool, changing: bool) -> Meaning:
    """What `code` means for an order: `acknowledged` once IBKR told a status, `changing` while a new limit is asked."""
    if is_passing(code):
        return Meaning.NOTICE
    if code == 202:
        return Meaning.CANCELLED
    if code in _FINAL:
        return Meaning.DOUBT if changing else Meaning.REFUSED
    if not acknowledged and code in _NOT_TAKEN:
        return Meaning.REFUSED
    if acknowledged and changing and code in _CHANGE_REFUSED:
        return Meaning.NOTICE
    return Meaning.DOUBT


def is_passing(code: int) -> bool:
    """Whether `code` only informs: whatever was asked for goes on."""
    return code in _NOTICES or 2100 <= code < 2200


def has_limit(order_type: str) -> bool:
    """Whether the price field of an order of this type is a limit."""
    return "LMT" in order_type or order_type in ("LOC", "LIT")
