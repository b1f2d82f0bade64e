"""How it stands with orders in general: safety, who may send, how the rules were kept today. Words, no widgets."""

from __future__ import annotations

from datetime import datetime

from guardrails import wording
from guardrails.findings import Level
from guardrails.orders_now import Discipline, OrdersNow, TradingRow
from guardrails.safety import Safety, SafetyState
from pages._alerts import in_words, past_words, said
from pages._moment import Moment, session_words
from pages._parts import counted, pill
from pages._safety_words import MEANS, safety_mark

SWITCHES = {"ibkr": "IBKR_TRADING", "tastytrade": "TT_TRADING"}
_LEAVE = {
    SafetyState.NO_NEW_RISK: "A person sets NORMAL, once the cooling-off is over.",
    SafetyState.REDUCE_ONLY: "A person sets NO_NEW_RISK, or NORMAL once the cooling-off is over.",
    SafetyState.STOPPED: "A person can step to REDUCE_ONLY at any time; then exits and hedges pass again.",
}
"""said when the state itself does not say how it is left"""
OLD_SECONDS = 15.0
"""what is known of orders is older than this: it is said"""


def standing(orders: OrdersNow | None, moment: Moment, watcher: str) -> str:
    """HTML: safety, the market's hours, who may send, the discipline of today; and why any of it is not known."""
    lines = [_hours(moment)]
    if orders is None:
        words = f"It is not known what {watcher} can send: orders have not been heard of. The ticket still simulates."
        return _block([f"<div>{pill(Level.UNKNOWN)} {said(words)}</div>", *lines])
    age = (moment.now - orders.as_of).total_seconds()
    if orders.problem:
        lines.insert(0, f"<div>{pill(Level.UNKNOWN)} {said(orders.problem)}</div>")
    if age > OLD_SECONDS:
        words = f"What is said of orders here is {wording.age(age)} old: it may have changed since."
        lines.insert(0, f"<div>{pill(Level.UNKNOWN)} {said(words)}</div>")
    lines.append(_safety(orders.safety, moment.now))
    told: dict[str, list[str]] = {}
    for row in orders.trading:
        told.setdefault(_trading(row), []).append(row.account)
    lines += [words.replace(_WHO, said(wording.names(names))) for words, names in told.items()]
    if not orders.trading:
        lines.append(f"<div>{pill(Level.UNKNOWN)} No account is known that orders could be sent for.</div>")
    lines.append(discipline(orders.discipline))
    return _block(lines)


def _mark(level: Level) -> str:
    """HTML of a light where something is worth a look; a dash where there is nothing to judge."""
    return "–" if level is Level.NOT_APPLICABLE else pill(level)


def _block(lines: list[str]) -> str:
    return f'<section class="pg-standing" aria-label="How it stands with orders">{"".join(lines)}</section>'


def _hours(moment: Moment) -> str:
    """The stock market's hours when it is closed: each product has its own, which the gate looks up."""
    snapshot = moment.snapshot
    if snapshot is None or snapshot.market_open:
        return ""
    words = f"The stock market is {session_words(snapshot, moment.now).removeprefix('market ')}."
    more = "New risk waits for the hours of its product; an exit is never refused for the hour, by us."
    return f"<div>– {said(f'{words} {more}')}</div>"


def _safety(safety: Safety, now: datetime) -> str:
    state = safety.state
    since = "" if safety.since is None else f" since {past_words(safety.since, now)}"
    who = f", set by {safety.author}" if safety.author else ""
    why = f": {safety.reason.rstrip('.')}" if safety.reason else ""
    until = (
        ""
        if safety.until is None or safety.until <= now
        else f" NORMAL again {in_words(safety.until, now)} at the \
earliest."
    )
    leave = safety.leave or _LEAVE.get(state, "")
    how = f' <span class="pg-soft">To leave it: {said(leave)}{said(until)}</span>' if leave else ""
    return (
        f"<div>{'– ' if state is SafetyState.NORMAL else ''}Safety {safety_mark(state)}: {MEANS[state]}{said(since)}"
        f"{said(who)}{said(why)}.{how}</div>"
    )


_WHO = "{who}"


def _trading(row: TradingRow) -> str:
    """HTML about one account, `_WHO` in the place of its name: those of which the same is true share a line."""
    known = "" if row.orders_known else " Its working orders are not known, so new risk is blocked."
    detail = f" {row.detail.rstrip('.')}." if row.detail else ""
    if not row.refusal:
        kind = "LIVE, orders are real"
        if row.paper or row.source == "demo":
            kind = "on paper, orders reach no real exchange"
        level = Level.WATCH if not row.orders_known else Level.NOT_APPLICABLE
        return f"<div>{_mark(level)} {_WHO}: <b>{kind}</b>.{said(known)}{said(detail)}</div>"
    return (
        f"<div>– {_WHO}: <b>cannot send</b>: {said(off_words(row))}"
        f"{said(known)}{said(detail)} The ticket still simulates.</div>"
    )


def off_words(row: TradingRow) -> str:
    """Why orders cannot be sent for an account, and the setting that changes it."""
    words = f"{row.refusal.rstrip('.')}."
    switch = SWITCHES.get(row.source, "")
    if not switch or switch in row.refusal:
        return words
    return f"{words} {switch}=paper lets a paper or sandbox account trade, {switch}=live those that \
GUARDRAILS_LIVE_ACCOUNTS lists; then start the program anew."


def discipline(kept: Discipline) -> str:
    """HTML of the discipline line."""
    parts = [
        f"{kept.sent} sent", f"{kept.warned} against a warning", f"{kept.overridden} with an override",
        f"{kept.blocked} refused at submit",
    ]  # fmt: skip
    outside = f"{counted(kept.unguarded, 'fill')} that did not come through the gate"
    names = f": {wording.names(kept.unguarded_words)}" if kept.unguarded_words else ""
    mark = f"{pill(Level.WATCH)} " if kept.unguarded else ""
    return (
        f'<div class="pg-discipline"><b>Discipline today:</b> {", ".join(parts)}; {mark}'
        f"<b>{said(outside)}</b>{said(names)}.</div>"
    )
