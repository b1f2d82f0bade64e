"""The parts of the Risk page that say what the book would be worth: moves of the index, distance to liquidation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from guardrails import calendar, wording
from guardrails.findings import Finding, Level
from guardrails.portfolio import Portfolio
from guardrails.products import SP500
from guardrails.snapshot.book import AccountRow
from guardrails.snapshot.sources import SourceRow
from guardrails.snapshot.stress import AccountStressRow, Number, StressNow, StressRow
from guardrails.stress.scenarios import TITLES
from guardrails.summary.sources import source_row
from guardrails.values import SourceState
from pages._dollars import level_words, move_words, points_words, row_words
from pages._moment import Moment, day_and_time, silence
from pages._parts import LOOKS, counted, pill, text, use_of

_FOLDED = {"stress_ladder": "rung", "stress_scenarios": "scenario"}
"""checks that judge many moves of one book, and what one of them is called"""
SHOWN = (-0.05, -0.03, -0.01, 0.0, 0.01, 0.03)
"""returns of the index in the strip"""
_NOT_THERE = "nothing was computed for this account"
_NEVER = "this moment was kept by a version that did not revalue the book"


def old_data(moment: Moment) -> dict[str, str]:
    """By source (empty for all of them), why the figures do not rest on data of now, with its age; empty when they do.

    A statement of an earlier day is one such source, although nothing is wrong with it.
    """
    snapshot = moment.snapshot
    if snapshot is None:
        return {}
    if moment.old:
        return {"": "; ".join(moment.trouble)}
    found = {}
    for row in snapshot.sources:
        words = (*silence(replace(snapshot, sources=(row,)), moment.now), statement_words(row, snapshot.as_of))
        if said := next(filter(None, words), ""):
            found[row.name] = said
    return found


def statement_words(row: SourceRow, as_of: datetime) -> str:
    """`statement:book.csv is of Tue 3 Nov 16:00 ET (15 d old)`; nothing for one of today, or a live source."""
    if row.state != SourceState.FILE or row.age_seconds is None:
        return ""
    time = as_of - timedelta(seconds=row.age_seconds)
    same = calendar.exchange_date(time) == calendar.exchange_date(as_of)
    return "" if same else f"{row.name} is of {day_and_time(time)} ({wording.age(row.age_seconds)} old)"


def old_of(portfolio: Portfolio) -> tuple[str, ...]:
    """The same of a book as it is revalued, at its own time."""
    dated = [statement_words(source_row(source, portfolio), portfolio.time) for source in portfolio.sources]
    return tuple(dict.fromkeys(filter(None, (*dated, *portfolio.gaps))))


def folded(findings: Iterable[Finding]) -> list[Finding]:
    """`findings`, worst first, with the rungs of the ladder as one and the named scenarios as one, the worst of each.

    Accounts stay apart: what one of them lacks another cannot give.
    """
    found = list(findings)
    kinds = {kind: [one for one in found if one.check == kind] for kind in _FOLDED}
    kept = []
    for one in found:
        same = sorted(kinds.get(one.check, [one]), key=_badness)
        if one.check not in kinds:
            kept.append(one)
        elif one is kinds[one.check][0]:
            kept.append(_with_others(same[0], same[1:]) if len(same) > 1 else one)
    return kept


def _badness(finding: Finding) -> tuple[int, float]:
    use = use_of(finding)
    return -finding.level.rank, -math.inf if use is None else -use


def _with_others(first: Finding, others: Sequence[Finding]) -> Finding:
    levels = Counter(one.level for one in others)
    words = ", ".join(f"{levels[level]} {LOOKS[level].word}" for level in LOOKS if levels[level])
    more = f" And {counted(len(others), 'more ' + _FOLDED[first.check])}: {words}."
    return replace(first, message=first.message + more)


def titled(finding: Finding) -> Finding:
    """A finding of stress whose subject is what a person calls the rung or the scenario: `19 Oct 1987`, `SPX −20 %`."""
    kind, _, name = finding.subject.partition(":")
    if finding.check not in _FOLDED or not name:
        return finding
    return replace(finding, subject=f"{kind}:{TITLES.get(name, name.replace('-', wording.MINUS))}")


def if_it_moves(stress: StressNow, old: Sequence[str] = ()) -> str:
    """HTML of the strip: P&L at a few returns of the index with the volatility that comes with them, and the worst.

    Grey-striped, with the reasons, where what it rests on is `old`.
    """
    if not stress.curve:
        reason = stress.reason or _NEVER
        said = f"Not known: {text(reason)}."
        return f'<ul class="pg-list"><li>{pill(Level.UNKNOWN)}<div class="pg-body">{said}</div></li></ul>'
    cells = "".join(_cell(row) for step in SHOWN for row in stress.curve if abs(row.index - step) < 1e-9)
    worst = f"<div>worst: <b>{text(worst_words(stress))}</b></div>"
    body = f'<div class="pg-moves">{cells}</div>{worst}{_unvalued(stress)}{_under(stress)}'
    if not old:
        return body
    reasons = "".join(f"<div><strong>⚠ {text(words)}</strong></div>" for words in old)
    return f'<section class="pg-silent" aria-label="Old stress figures">{reasons}{body}</section>'


def worst_words(stress: StressNow) -> str:
    """`−$46k at −8.5 % (SPX 5,490), volatility +15 points`; where nothing is lost, how far was looked."""
    row = stress.trough or min(stress.curve, key=lambda row: -math.inf if row.at_least is None else row.at_least)
    if row.at_least is not None and row.at_least >= 0:
        return f"no loss between {move_words(stress.curve[0].index)} and {move_words(stress.curve[-1].index)}"
    level = "" if stress.index is None else f" ({level_words(SP500, stress.index * (1.0 + row.index))})"
    ends = row.index in (stress.curve[0].index, stress.curve[-1].index)
    beyond = "; no further was looked" if ends else ""
    return f"{row_words(row)} at {move_words(row.index)}{level}, volatility {points_words(row.vol)}{beyond}"


def of_each(accounts: Sequence[AccountRow], stress: StressNow) -> list[AccountStressRow | None]:
    """What is known of each of `accounts`, in their order; two whose numbers end alike are told apart by theirs.

    None where nothing is, and for names of which there are not as many on either side: whose is whose is not known.
    """
    names = [f"{row.broker} {row.account}" for row in accounts]
    many, there = Counter(names), Counter(row.account for row in stress.accounts)
    rows = {name: iter([row for row in stress.accounts if row.account == name]) for name in many}
    return [next(rows[name]) if many[name] == there[name] else None for name in names]


def account_words(row: AccountStressRow | None, broker: str, stress: StressNow, old: str = "") -> str:
    """Markdown for an account's tile: distance to liquidation, our estimate of its margin beside the broker's.

    `old` says why that is not of now.
    """
    if row is None:
        return f"Distance to zero excess not known: {stress.reason or _NOT_THERE}"
    aged = f"⚠ {old} · " if old else ""
    return f"{aged}**{liquidation_words(row)}** · {margin_words(row, broker)}"


def liquidation_words(row: AccountStressRow) -> str:
    """`Zero excess at −7.3 % (SPX 5,610) / +8 % (SPX 6,480), our estimate`; why it is not known; how far none is."""
    if row.reason:
        return f"Distance to zero excess not known: {row.reason}"
    low, high = (move_words(end) for end in row.searched)
    sides = ((row.down, row.zero_down, f"none down to {low}"), (row.up, row.zero_up, f"none up to {high}"))
    if all(move is None and level is None for move, level, _ in sides):
        return f"No zero of excess between {low} and {high}, our estimate"
    unknown = any(move is not None and level is None for move, level, _ in sides)
    return (
        f"Zero excess at {' / '.join(_zero(move, level) or none for move, level, none in sides)}"
        f"{' (level of the S&P 500 not known)' if unknown else ''}, our estimate"
    )


def _zero(move: Number, level: Number) -> str:
    """`−7.3 % (SPX 5,610)`, of which the moments of an older version have the level only; nothing where none is."""
    where = "" if level is None else level_words(SP500, level)
    if move is None:
        return where
    return f"{move_words(move)} ({where})" if where else move_words(move)


def margin_words(row: AccountStressRow, broker: str) -> str:
    """`Margin: we estimate $41,200 (strategy rules), IBKR says $39,800`; when it changes the tile says already."""
    rule = f" ({row.rule} rules)" if row.rule else ""
    ours = "margin estimate not known" if row.estimate is None else f"we estimate {wording.money(row.estimate)}{rule}"
    theirs = "does not say" if row.maintenance is None else f"says {wording.money(row.maintenance)}"
    return f"Margin: {ours}, {broker} {theirs}"


def _cell(row: StressRow) -> str:
    name = "now" if row.index == 0 else move_words(row.index)
    return f'<div><div class="pg-soft">{text(name)}</div><div><b>{text(row_words(row))}</b></div></div>'


def _unvalued(stress: StressNow) -> str:
    if not stress.unvalued:
        return ""
    names = wording.names([*dict.fromkeys(stress.unvalued)], 4)
    said = f"{counted(len(stress.unvalued), 'position')} cannot be revalued ({names}): hence ranges."
    return f"<div>{pill(Level.UNKNOWN)} {text(said)}</div>"


def _under(stress: StressNow) -> str:
    residual = "" if stress.residual is None else f"Model vs broker now: {wording.percent(stress.residual)}. "
    said = f"{residual}Of all that is held, from now, every underlying by its beta, with the volatility it brings."
    return f'<div class="pg-soft">{text(said)}</div>'
