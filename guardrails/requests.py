"""What a person asks of the program that watches the book, from whichever app the page belongs to.

An app that only reads (another program holds the lease) puts the request into the store, the watching program takes
it once, does it, and answers there; an app that watches itself does the same in memory. A request that was not taken
before `valid_until` is never done: what a person wanted a minute ago may be wrong by now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What can be asked."""

    ACKNOWLEDGE = "acknowledge"
    """body: alert, note; severity, step, fired (ISO time): what was shown of it"""
    SILENCE = "silence"
    """body: alert, reason, until (ISO time); severity, step, fired: what was shown of it"""
    UNSILENCE = "unsilence"
    """body: alert"""
    ACTED = "acted"
    """body: alert, note: it led to an action"""
    TEST_CHANNEL = "test_channel"
    """body: channel"""
    SEND_AGAIN = "send_again"
    """body: delivery: one that was given up"""
    SIMULATE = "simulate"
    """body: order (JSON as in `guardrails.order_json`), preview (`no`: no broker is asked); content: Impact"""
    SUBMIT = "submit"
    """body: order, token, reason (against a warning), rationale, origin, tag; content: {key, state, impact}"""
    CANCEL = "cancel"
    """body: order (its key), or account and reference of another sender's"""
    REPLACE = "replace"
    """body: order (its key), limit: the order is cancelled, and once that is confirmed another is judged and sent"""
    RESOLVE = "resolve"
    """body: order (its key), note: a person has looked and says that it does not live at the broker"""
    FLATTEN_PLAN = "flatten_plan"
    """body: wish (JSON of `guardrails.flatten.values.Wish`); content: Plan"""
    FLATTEN = "flatten"
    """body: plan (its key), phrase; content: {run}"""
    FLATTEN_STOP = "flatten_stop"
    """body: run"""
    ACCEPT_CHANGE = "accept_change"
    """body: entry (key of what the journal tells of a change that nothing explains), or account and position (key,
    symbol or label); quantity: what was shown of it, may be left out; note: why it is right"""
    SAFETY = "safety"
    """body: state, reason"""
    OVERRIDE = "override"
    """body: check, subject, reason, minutes"""
    END_OVERRIDE = "end_override"
    """body: override"""
    NOTE = "note"
    """body: words, and entry (its key) that it belongs to or nothing"""
    EXPIRIES = "expiries"
    """body: underlying; content: list of ChainExpiry"""
    CHAIN = "chain"
    """body: underlying, expiry, root: content: rows of that expiry with quotes and Greeks of now; streams them"""


ORDER_KINDS = frozenset({
    Kind.SIMULATE, Kind.SUBMIT, Kind.CANCEL, Kind.REPLACE, Kind.RESOLVE, Kind.FLATTEN_PLAN, Kind.FLATTEN,
    Kind.FLATTEN_STOP, Kind.ACCEPT_CHANGE, Kind.SAFETY, Kind.OVERRIDE, Kind.END_OVERRIDE, Kind.NOTE,
    Kind.EXPIRIES, Kind.CHAIN,
})  # fmt: skip
"""what `guardrails.execution` does; the rest is about alerts"""


@dataclass(frozen=True, slots=True)
class Request:
    """One wish of a person."""

    key: str
    """unique, made by the app that asks"""
    time: datetime
    valid_until: datetime
    author: str
    kind: str
    """a `Kind`; a program that does not know it refuses"""
    body: Mapping[str, str]


class Said(StrEnum):
    """What came of a request."""

    DONE = "done"
    REFUSED = "refused"
    EXPIRED = "expired"
    """nobody took it in time, and nobody will"""
    UNKNOWN = "unknown"
    """somebody took it and no word came back: it may have been done"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request, in words."""

    key: str
    time: datetime
    said: Said
    words: str
    content: str = ""
    """JSON of what was worked out, where the kind says so"""
