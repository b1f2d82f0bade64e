"""A Message as plain text, for mail, chat and pagers: sign and word instead of colour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from guardrails import wording
from guardrails.alerts.values import Line, Message, Severity, State
from guardrails.calendar import NEW_YORK

SIGNS = {Severity.CRITICAL: "[!!]", Severity.BREACH: "[!]", Severity.UNKNOWN: "[?]", Severity.WATCH: "[~]"}
RESOLVED_SIGN = "[-]"
IN_FULL = 20
"""alerts told with everything; those beyond (BREACH or CRITICAL) with title and figures: a thousand can be read"""
TEST_WORDS = "Somebody asked whether this channel works. It does. This says nothing about your book."
_UNDER = "     "
"""what belongs to an alert stands under it"""


def text_of(message: Message, most: int | None = None) -> str:
    """The whole message; with `most`, at most so many characters (at least 200), the worst first and the rest counted.

    What was left out is said, and the link stays.
    """
    tail = f"\n{closing(message)}"
    if most is not None and len(message.title) + len(tail) + 1 > most:
        return message.title[: max(most - len(message.link) - 1, 0)] + "\n" + message.link
    full = ["\n" + "\n".join(in_full(line, message.time)) for line in message.lines[:IN_FULL]]
    chosen = full + _listed(message.lines[IN_FULL:])
    head = message.title + (f"\n\n{TEST_WORDS}" if message.test else "")
    if most is None or _size(head, chosen, left_out(message.more), tail) <= most:
        return _joined(head, chosen, left_out(message.more), tail)
    shown, everything = _listed(message.lines), message.more + len(message.lines)
    while shown and _size(head, shown, left_out(everything - len(shown)), tail) > most:
        shown.pop()
    return _joined(head, shown, left_out(everything - len(shown)), tail)


def in_full(line: Line, now: datetime) -> list[str]:
    """Everything about one alert, a line each."""
    return [brief(line, with_figures=False), *(_UNDER + words for words in details(line, now))]


def brief(line: Line, *, with_figures: bool = True) -> str:
    """`[!] BREACH  Margin cushion, IBKR •••4567: 14 %, limit 20 %`."""
    told = f": {line.figures}" if with_figures and line.figures else ""
    return f"{label(line)}  {line.title}{told}"


def label(line: Line) -> str:
    """Sign and word: `[!] BREACH`, `[-] RESOLVED (was BREACH)`."""
    if line.state is State.RESOLVED:
        return f"{RESOLVED_SIGN} RESOLVED (was {line.severity.value})"
    return f"{SIGNS[line.severity]} {line.severity.value}"


def details(line: Line, now: datetime) -> list[str]:
    """What stands under the title: the sentence, the figures it does not say with since when, what to do, why now."""
    figures = "" if line.holds_figures else line.figures
    facts = " · ".join(part for part in (figures, since(line, now), line.age) if part)
    action = f"Next: {line.action}" if line.action else ""
    over = line.state is State.RESOLVED
    what = f"When last seen: {line.what}" if over and line.what else line.what
    return [words for words in (what, facts, action, "" if over else f"Why now: {line.reason}") if words]


def since(line: Line, now: datetime) -> str:
    """`since 15:31:00 ET (4 min)`, with the day when that is another one; of what is over, when it began."""
    age = wording.age((now - line.since).total_seconds())
    if line.state is State.RESOLVED:
        return f"began {_clock(line.since, now)}, over after {age}"
    return f"since {_clock(line.since, now)} ({age})"


def left_out(count: int) -> str:
    """`and 3 more on the Alerts page`; nothing when nothing was left out."""
    return f"\nand {count} more on the Alerts page" if count else ""


def closing(message: Message) -> str:
    """The link, and when it was said."""
    return f"\nAlerts page: {message.link}\nSaid {said_at(message.time)} by Portfolio Guardrails."


def said_at(time: datetime) -> str:
    """`Wed 18 Nov 2026 15:31:05 ET`."""
    local = time.astimezone(NEW_YORK)
    return f"{local:%a} {local.day} {local:%b %Y %H:%M:%S} ET"


def _clock(time: datetime, now: datetime) -> str:
    local = time.astimezone(NEW_YORK)
    if local.date() == now.astimezone(NEW_YORK).date():
        return f"{local:%H:%M:%S} ET"
    return f"{local:%a} {local.day} {local:%b %H:%M} ET"


def _listed(lines: Sequence[Line]) -> list[str]:
    """A line each, apart from what stands before."""
    return [("" if place else "\n") + brief(line) for place, line in enumerate(lines)]


def _size(head: str, shown: Sequence[str], more: str, tail: str) -> int:
    return len(head) + len(more) + len(tail) + sum(len(part) + 1 for part in shown)


def _joined(head: str, shown: Iterable[str], more: str, tail: str) -> str:
    return "\n".join([head, *shown]) + more + tail
