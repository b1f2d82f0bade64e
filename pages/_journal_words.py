"""Trades as stories: opened, rolled, closed, what it did to risk, what was written. Words and HTML; no widget here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from guardrails import wording
from guardrails.execution.values import BookThen, JournalEntry, JournalKind, JournalLeg
from guardrails.findings import Level
from guardrails.journal.trades import Part, Step, TradeStory
from guardrails.redaction import redact
from guardrails.titles import headline
from pages._alerts import said
from pages._moment import day_and_time
from pages._parts import counted, pill

Number = float | None
_RISKS: Mapping[str, tuple[str, str]] = {
    "beta_delta_dollars": ("beta delta", ""),
    "gamma_1pct_dollars": ("gamma 1 %", ""),
    "vega_per_point": ("vega", "/pt"),
    "theta_per_day": ("theta", "/day"),
}
KINDS = {
    JournalKind.FILL: "Fill", JournalKind.OUTSIDE: "Outside the gate", JournalKind.ASSIGNMENT: "Assignment or expiry",
    JournalKind.NOTE: "Note", JournalKind.SAFETY: "Safety state", JournalKind.OVERRIDE: "Override",
    JournalKind.FLATTEN: "Flatten", JournalKind.BLOCKED: "Refused at submit", JournalKind.CHANGE: "Position change",
}  # fmt: skip
_MARKUP = re.compile(r"[\\`*_\[\]$:<>~#]")
_LEVELS = {level.value: level for level in Level}


def label_of(story: TradeStory) -> str:
    """The title as a label of a widget, which is Markdown: no sign in it is markup."""
    return _MARKUP.sub(r"\\\g<0>", redact(title_of(story)))


def title_of(story: TradeStory) -> str:
    """`SPX, IBKR •••4567: open, rolled 1 time, net credit $1,656 so far`; plain text."""
    state = "closed" if story.closed is not None else "open"
    parts = [state]
    if story.rolls:
        parts.append(f"rolled {counted(story.rolls, 'time')}")
    parts.append(money_words(story))
    return f"{story.underlying or '?'}, {story.account or '?'}: {', '.join(parts)}"


def money_words(story: TradeStory) -> str:
    """What it brought: the gain of a closed trade, of an open one the credit that is carried."""
    if story.begun_before:
        return "opened before the journal, so what it gained is not known"
    if story.closed is not None:
        return f"{gained(story.realised)}{_before_fees(story)}"
    if story.net is None:
        return f"net credit not known{_before_fees(story)}"
    return f"net {'credit' if story.net >= 0 else 'debit'} {wording.money(abs(story.net))} so far"


def gained(value: Number) -> str:
    """`gained $1,032`, `lost $20`, or that it is not known."""
    if value is None:
        return "gain not known"
    return f"{'gained' if value >= 0 else 'lost'} {wording.money(abs(value))}"


def story_html(story: TradeStory) -> str:
    """HTML of what happened, entry by entry, and what is open."""
    lines = [_part(part) for part in story.parts]
    notes = [f'<li><b>{said(day_and_time(note.time))}</b> {said(note.author)}: “{said(note.words)}”</li>'
             for note in story.notes]  # fmt: skip
    left = ", ".join(f"{wording.quantity(leg.quantity)} {leg.label} at {price(leg.price)}" for leg in story.legs)
    realised = "" if story.closed is not None else f" Closed so far: {gained(story.realised)}."
    standing = f"Open: {left}.{realised}" if left else "Nothing of it is open."
    return f'<ul class="pg-sentences">{"".join(lines)}{"".join(notes)}</ul><div class="pg-soft">{said(standing)}</div>'


def _part(part: Part) -> str:
    entry = part.entry
    who = entry.author if entry.kind is not JournalKind.OUTSIDE else ""
    about = ", ".join(filter(None, (who, entry.tag)))
    head = (
        f"<b>{said(day_and_time(entry.time))}</b> {_mark(part)}{said(part.step.value)}: {said(legs_words(part.legs))}"
    )
    money = said(f"{_net_words(part)}{f' ({about})' if about else ''}.")
    wrote = f"<div>“{said(entry.words)}”</div>" if entry.words else ""
    risk = risk_words(entry.before, entry.after)
    moved = f'<div class="pg-soft">{said(risk)}</div>' if risk else ""
    found = "".join(f"<div>{pill(level)} {said(words)}</div>" for level, words in findings_moved(entry))
    return f"<li>{head}; {money}{wrote}{moved}{found}</li>"


def _mark(part: Part) -> str:
    return f"{pill(Level.WATCH)} " if part.entry.kind is JournalKind.OUTSIDE else ""


def legs_words(legs: Iterable[JournalLeg]) -> str:
    """`sold 2 SPXW 18Dec26 5700P at 12.40, bought 2 SPXW 18Dec26 5600P at 4.10`."""
    return ", ".join(
        f"{'bought' if leg.quantity > 0 else 'sold'} {wording.quantity(abs(leg.quantity))} {leg.label} "
        f"at {price(leg.price)}"
        for leg in legs
    )


def price(value: Number) -> str:
    """A price of one unit, `?` when it is not known."""
    return wording.number(value, 2)


def risk_words(before: BookThen | None, after: BookThen | None) -> str:
    """What the book was before and after it: `beta delta −$5,000 → −$9,100, …; VIX 17.0, SPX 6,000`."""
    if before is None:
        return "the book before it is not known"
    moved = [
        f"{title} {wording.money(getattr(before, name))}{unit} → "
        f"{'not known yet' if after is None else wording.money(getattr(after, name)) + unit}"
        for name, (title, unit) in _RISKS.items()
    ]
    market = f"VIX {wording.number(before.vix, 1)}, SPX {wording.number(before.spx)}, {before.regime}"
    return f"{', '.join(moved)}; {market}"


def findings_moved(entry: JournalEntry) -> list[tuple[Level, str]]:
    """The limits of which the light was another after it, the worst first."""
    if entry.before is None or entry.after is None:
        return []
    then, now = entry.before.findings, entry.after.findings
    moved = [
        (_level(now.get(name)), f"{_name(name)}: was {_level(then.get(name)).value}")
        for name in {*then, *now}
        if then.get(name) != now.get(name)
    ]
    return sorted(moved, key=lambda one: (-one[0].rank, one[1]))


def _level(told: str | None) -> Level:
    """What is not among those that are WATCH or worse was OK; what cannot be read is UNKNOWN."""
    return Level.OK if told is None else _LEVELS.get(told, Level.UNKNOWN)


def _name(name: str) -> str:
    check, _, subject = name.partition(" ")
    return headline(check, subject)


def _net_words(part: Part) -> str:
    net = part.net
    if part.step is Step.ASSIGNED and net is None:
        return "what it brought or took is not known"
    if net is not None:
        return f"{'received' if net >= 0 else 'paid'} {wording.money(abs(net))} net"
    if part.gross is None:
        return "money not known"
    return (
        f"{'received' if part.gross >= 0 else 'paid'} {wording.money(abs(part.gross))} before fees, which are not known"
    )


def _before_fees(story: TradeStory) -> str:
    if story.net is not None or story.gross is None:
        return ""
    return f" ({wording.money(story.gross)} before fees, which the broker has not told)"


def unguarded_words(told: Sequence[JournalEntry]) -> str:
    """How many of these entries did not come through the gate; empty when none did not."""
    count = sum(entry.kind is JournalKind.OUTSIDE for entry in told)
    return f"{counted(count, 'order')} of these did not come through the gate." if count else ""
